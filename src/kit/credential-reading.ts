import { Buffer } from "node:buffer";
import { join } from "node:path";
import { type CredentialFile, parseCredential } from "./credential-file.ts";
import { type CredentialName, defaultId } from "./credential-name.ts";
import { type EnvelopeFault, isEnvelope, openEnvelope } from "./envelope.ts";
import { type GuardedRead, readGuarded } from "./guarded-read.ts";
import { openLegacy } from "./legacy-envelope.ts";
import type { Vault } from "./vault-settings.ts";

/** How a credential lies on the disk; a `legacy` one is bound to no place: files can be swapped. */
export type StoredForm = "encrypted" | "legacy" | "plain";

/** A credential of `auth.dir`. */
export interface StoredCredential extends CredentialName {
  readonly path: string;
  readonly form: StoredForm;
  /** Of the key that it is encrypted with. */
  readonly keyId: string | undefined;
  readonly content: CredentialFile;
  /** What about the file should not be so. */
  readonly notes: readonly string[];
}

export type RefusedReason =
  | EnvelopeFault
  | (GuardedRead & { ok: false })["reason"]
  | "no_provider"
  | "no_key"
  | "not_encrypted"
  | "unfinished"
  | "invalid";

/** A file that is not used; it is left as it is. */
export interface RefusedCredential {
  readonly file: string;
  readonly path: string;
  readonly provider: string | undefined;
  readonly id: string | undefined;
  readonly reason: RefusedReason;
  /** Continues a sentence that begins with the path; holds no secret. */
  readonly message: string;
  readonly mend: string;
}

/** The text of a credential, decrypted, and how it lay there. */
export interface StoredText {
  readonly text: string;
  readonly form: StoredForm;
  readonly keyId: string | undefined;
  readonly notes: readonly string[];
}

/** Reads one credential file, whatever form it has. */
export function readCredential(
  dir: string,
  name: CredentialName,
  vault: Vault,
  repair: boolean,
): StoredCredential | RefusedCredential {
  const stored = readStoredText(dir, name, vault, repair);
  if ("reason" in stored) return stored;
  const { text, form, keyId, notes } = stored;
  const parsed = parseCredential(parseJson(text));
  const refuse = refusing(dir, name);
  if (!parsed.ok) return refuse("invalid", parsed.message, "correct it, or add it again");
  const { id } = parsed.content;
  if (id !== undefined && id !== name.id) {
    const message = `says that its id is \`${id.slice(0, 100)}\`, but its name says ${name.id}`;
    return refuse("invalid", message, "rename the file, or take `id` out of it");
  }
  return { ...name, path: join(dir, name.file), form, keyId, content: parsed.content, notes };
}

/** Reads and decrypts a file without judging what is in it. */
export function readStoredText(
  dir: string,
  name: CredentialName,
  vault: Vault,
  repair: boolean,
): StoredText | RefusedCredential {
  const refuse = refusing(dir, name);
  const path = join(dir, name.file);
  if (name.id === defaultId && name.file !== `${name.provider}.json`) {
    return refuse("invalid", "has the name of another file's credential", "give it another id");
  }
  const read = readGuarded(path, repair);
  if (!read.ok) return refuse(read.reason, read.message, read.mend);
  const { bytes, notes } = read;
  const text = Buffer.from(bytes).toString("utf8");
  const content = parseJson(text);
  if (isEnvelope(content)) {
    const opened = openEnvelope(vault.keys, name, content);
    if (opened.ok) return { text: opened.text, form: "encrypted", keyId: opened.keyId, notes };
    return refuse(...wordsFor(opened, vault));
  }
  if (content === undefined) {
    const opened = openLegacy(vault.keys, bytes);
    if (opened === undefined) return refuse(...unfinished(vault));
    if (vault.requireEncrypted) return refuse(...notEncrypted("is not bound to its name"));
    return { ...opened, form: "legacy", notes };
  }
  if (vault.requireEncrypted) return refuse(...notEncrypted("is not encrypted"));
  return { text, form: "plain", keyId: undefined, notes };
}

type Words = readonly [reason: RefusedReason, message: string, mend: string];

function refusing(dir: string, { file, provider, id }: CredentialName) {
  return (reason: RefusedReason, message: string, mend: string): RefusedCredential => {
    return { file, path: join(dir, file), provider, id, reason, message, mend };
  };
}

function unfinished({ keys }: Vault): Words {
  const what = keys.length === 0 ? "is not JSON" : "is not JSON, and no key opens it";
  return ["unfinished", what, "finish writing it, or add it again"];
}

function notEncrypted(what: string): Words {
  return [
    "not_encrypted",
    `${what}, which auth.encryption.require_encrypted refuses`,
    "run `cliproxy auths encrypt`, if it is yours",
  ];
}

function wordsFor(opened: ReturnType<typeof openEnvelope> & { ok: false }, { keys }: Vault): Words {
  const { fault, keyId, sealedFor } = opened;
  const known = keys.map(({ id }) => id).join(", ");
  const again = "add it again: `cliproxy auths add`";
  switch (fault) {
    case "wrong_key":
      if (keys.length === 0) {
        const mend = "set auth.encryption.key";
        return ["no_key", `is encrypted with key id ${keyId}, and no key is configured`, mend];
      }
      return [
        fault,
        `decryption failed: it needs key id ${keyId}; configured: ${known}`,
        "add that key to auth.encryption.keys, or add the credential again",
      ];
    case "wrong_place": {
      const { file = "", provider = "" } = sealedFor ?? {};
      const message = `was encrypted as ${file} of the provider ${provider}, not for this place`;
      return [fault, message, `move it back to ${file}, or add it again`];
    }
    case "corrupt":
      return [fault, `decryption failed: key id ${keyId} fits, but it was changed`, again];
    case "unknown_version":
      return [fault, "has a version that this program does not know", "run the newer program"];
    case "unknown_algorithm":
      return [fault, "names another algorithm than A256GCM", again];
    case "malformed":
      return [fault, "is a damaged envelope", again];
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
