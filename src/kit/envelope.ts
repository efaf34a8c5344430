import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import * as v from "valibot";
import { fromBase64Url } from "./strict-bytes.ts";
import type { VaultKey } from "./vault-key.ts";

/** Where a secret belongs: it can be opened nowhere else. */
export interface Place {
  readonly provider: string;
  /** Name of the file, without its directory. */
  readonly file: string;
}

/** Why an envelope was not opened. */
export type EnvelopeFault =
  /** No JSON of that shape. */
  | "malformed"
  | "unknown_version"
  | "unknown_algorithm"
  /** No key of that id is at hand. */
  | "wrong_key"
  /** It was sealed for another file or provider. */
  | "wrong_place"
  /** The key is right, but something was changed. */
  | "corrupt";

export type Opened =
  | { readonly ok: true; readonly text: string; readonly keyId: string }
  | {
      readonly ok: false;
      readonly fault: EnvelopeFault;
      /** Of the key that it needs. */
      readonly keyId?: string;
      /** Whom it was sealed for, when that is the fault. */
      readonly sealedFor?: Place;
    };

const algorithm = "A256GCM";
const nonceBytes = 12;
/** All of it: with a shorter tag a forgery needs fewer tries, and Node 20 would accept one. */
const tagBytes = 16;

const shape = v.strictObject({
  v: v.literal(1),
  alg: v.literal(algorithm),
  kid: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  provider: v.string(),
  file: v.string(),
  n: v.string(),
  ct: v.string(),
  tag: v.string(),
});
type Envelope = v.InferOutput<typeof shape>;

/** Encrypts a text for one place (AES-256-GCM, NIST SP 800-38D), with a nonce of its own. */
export function sealEnvelope(key: VaultKey, place: Place, text: string): string {
  const nonce = randomBytes(nonceBytes);
  const { provider, file } = place;
  const head = { v: 1, alg: algorithm, kid: key.id, provider, file } as const;
  const cipher = createCipheriv("aes-256-gcm", key.sealing, nonce, { authTagLength: tagBytes });
  cipher.setAAD(boundTo(head));
  const ct = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  const b64u = (bytes: Buffer): string => bytes.toString("base64url");
  const envelope: Envelope = {
    ...head,
    n: b64u(nonce),
    ct: b64u(ct),
    tag: b64u(cipher.getAuthTag()),
  };
  return `${JSON.stringify(envelope)}\n`;
}

/** Whether a parsed file claims to be an envelope, of whatever version. */
export function isEnvelope(content: unknown): boolean {
  return typeof content === "object" && content !== null && "v" in content && "ct" in content;
}

/** Decrypts what was sealed for a place, with whichever of the keys it was. */
export function openEnvelope(keys: readonly VaultKey[], place: Place, content: unknown): Opened {
  if (!isEnvelope(content)) return { ok: false, fault: "malformed" };
  const { v: version, alg } = content as { v: unknown; alg?: unknown };
  if (version !== 1) return { ok: false, fault: "unknown_version" };
  if (alg !== algorithm) return { ok: false, fault: "unknown_algorithm" };
  const parsed = v.safeParse(shape, content);
  if (!parsed.success) return { ok: false, fault: "malformed" };
  const envelope = parsed.output;
  const { kid: keyId, provider, file } = envelope;
  const nonce = fromBase64Url(envelope.n);
  const ct = fromBase64Url(envelope.ct);
  const tag = fromBase64Url(envelope.tag);
  if (nonce?.length !== nonceBytes || ct === undefined || tag?.length !== tagBytes) {
    return { ok: false, fault: "malformed", keyId };
  }
  const key = keys.find(({ id }) => id === keyId);
  if (key === undefined) return { ok: false, fault: "wrong_key", keyId };
  const decipher = createDecipheriv("aes-256-gcm", key.sealing, nonce, { authTagLength: tagBytes });
  decipher.setAAD(boundTo(envelope));
  decipher.setAuthTag(tag);
  let text: string;
  try {
    const bytes = Buffer.concat([decipher.update(ct), decipher.final()]);
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { ok: false, fault: "corrupt", keyId };
  }
  // Only after the tag: what names the place is then known to be what was sealed.
  if (provider !== place.provider || file !== place.file) {
    return { ok: false, fault: "wrong_place", keyId, sealedFor: { provider, file } };
  }
  return { ok: true, text, keyId };
}

/** The additional data: each part behind its length, so that none can run into the next. */
function boundTo(head: Pick<Envelope, "v" | "alg" | "kid" | "provider" | "file">): Buffer {
  const parts = [
    "cliproxy credential",
    String(head.v),
    head.alg,
    head.kid,
    head.provider,
    head.file,
  ];
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, "utf8");
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}
