import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { accessNote, chownMend } from "./access-note.ts";
import { removeDurably, writeAtomically } from "./atomic-file.ts";
import { type CredentialInput, parseCredential } from "./credential-file.ts";
import {
  type CredentialName,
  isCredentialFile,
  nameOfCredential,
  nameOfFile,
} from "./credential-name.ts";
import {
  type RefusedCredential,
  readCredential,
  readStoredText,
  type StoredCredential,
} from "./credential-reading.ts";
import { withDirLock } from "./dir-lock.ts";
import { sealEnvelope } from "./envelope.ts";
import { judgeDir } from "./guarded-read.ts";
import { assertKeyFits, noteKey } from "./key-check.ts";
import type { Vault } from "./vault-settings.ts";

/** All that `auth.dir` holds. */
export interface StoredCredentials {
  readonly credentials: readonly StoredCredential[];
  readonly refused: readonly RefusedCredential[];
  /** About the directory itself. */
  readonly notes: readonly string[];
}

export type StoreFaultCode =
  /** The name, or what should be written. */
  | "bad_credential"
  | "not_found"
  /** It is there, but can't be used. */
  | "refused"
  /** The configured key is not that of the store. */
  | "wrong_key"
  /** Directory or disk: nothing was changed. */
  | "cannot_write";

/** Why a credential was not read, written or removed; holds no secret. */
export class StoreFault extends Error {
  readonly code: StoreFaultCode;
  readonly mend: string;

  constructor(code: StoreFaultCode, message: string, mend: string) {
    super(message);
    this.name = "StoreFault";
    this.code = code;
    this.mend = mend;
  }
}

/** The credentials in `auth.dir`; the running proxy and the commands share it. */
export interface AuthStore {
  readonly dir: string;
  /** Reads all; never throws. */
  list(): StoredCredentials;
  /** @throws StoreFault when there is none, or it can't be used */
  read(provider: string, id: string): StoredCredential;
  /**
   * Writes one, encrypted where a key is configured; what was there is replaced.
   * @returns whether it is a new one
   * @throws StoreFault
   */
  write(provider: string, id: string, content: CredentialInput): Promise<boolean>;
  /**
   * Changes one under the lock, so that no other process writes in between.
   * @param change is told what is there, and returns what to write; undefined: nothing
   * @throws StoreFault
   */
  update(
    provider: string,
    id: string,
    change: (old: StoredCredential) => CredentialInput | undefined,
  ): Promise<void>;
  /**
   * Removes one, or all of a provider, also those that can't be used.
   * @returns the ids of what was removed
   * @throws StoreFault
   */
  remove(provider: string, id?: string): Promise<readonly string[]>;
  /**
   * Encrypts a file with the first key, as it is; one that is, is left alone.
   * @throws StoreFault
   */
  reseal(file: string): Promise<"sealed" | "was_sealed">;
}

/**
 * Opens the store; nothing is read or made yet.
 * @param providers names that a file can belong to
 * @param repair whether modes that are too open are mended
 */
export function openAuthStore(
  dir: string,
  providers: readonly string[],
  vault: Vault,
  repair: boolean,
): AuthStore {
  const nameFor = (provider: string, id: string): CredentialName => {
    const name = nameOfCredential(provider, id, providers);
    if (typeof name === "string") throw new StoreFault("bad_credential", name, "");
    return name;
  };
  const put = (name: CredentialName, text: string): void => {
    noteKey(dir, vault);
    const sealed = vault.sealsWith && sealEnvelope(vault.sealsWith, name, text);
    writeAtomically(join(dir, name.file), sealed ?? text);
  };
  const usable = (found: StoredCredential | RefusedCredential): StoredCredential => {
    if (!("reason" in found)) return found;
    if (found.reason === "gone") throw absent(found.path);
    throw new StoreFault("refused", `${found.path} ${found.message}`, found.mend);
  };
  return {
    dir,
    list: () => listAll(dir, providers, vault, repair),
    read: (provider, id) => usable(readCredential(dir, nameFor(provider, id), vault, repair)),
    write(provider, id, content) {
      const name = nameFor(provider, id);
      const text = toText(content, name);
      return changing(dir, vault, () => {
        const isNew = !existsSync(join(dir, name.file));
        put(name, text);
        return isNew;
      });
    },
    update(provider, id, change) {
      const name = nameFor(provider, id);
      return changing(dir, vault, () => {
        const content = change(usable(readCredential(dir, name, vault, repair)));
        if (content !== undefined) put(name, toText(content, name));
      });
    },
    remove(provider, id) {
      const only = id === undefined ? undefined : nameFor(provider, id).file;
      return changing(dir, undefined, () => {
        const files = listFiles(dir).files.filter((file) => only === undefined || file === only);
        const names = files.map((file) => nameOfFile(file, providers));
        const removed = names.filter((name) => name?.provider === provider);
        for (const name of removed) removeDurably(join(dir, name?.file ?? ""));
        return removed.map((name) => name?.id ?? "");
      });
    },
    reseal(file) {
      const name = nameOfFile(file, providers);
      if (name === undefined) throw new StoreFault("bad_credential", `${file} is nobody's`, "");
      return changing(dir, vault, () => {
        // What must be encrypted may be read here: this is how it becomes so.
        const stored = readStoredText(dir, name, { ...vault, requireEncrypted: false }, repair);
        if ("reason" in stored) {
          if (stored.reason === "gone") throw absent(stored.path);
          throw new StoreFault("refused", `${stored.path} ${stored.message}`, stored.mend);
        }
        if (stored.form === "encrypted" && stored.keyId === vault.sealsWith?.id)
          return "was_sealed";
        put(name, stored.text);
        return "sealed";
      });
    },
  };
}

function absent(path: string): StoreFault {
  return new StoreFault("not_found", `there is no ${path}`, "see `cliproxy auths list`");
}

function toText(content: CredentialInput, { id }: CredentialName): string {
  const parsed = parseCredential(content);
  if (!parsed.ok) throw new StoreFault("bad_credential", parsed.message, "");
  if (content.id !== undefined && content.id !== id) {
    throw new StoreFault("bad_credential", "`id` is not the one of its name", "leave it out");
  }
  return `${JSON.stringify(content)}\n`;
}

/** Works under the lock of the directory, which is made where there is none. */
async function changing<T>(dir: string, vault: Vault | undefined, work: () => T): Promise<T> {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return await withDirLock(dir, () => {
      // Else a proxy with the wrong key would add files that the right one can't read.
      if (vault !== undefined) assertKeyFits(dir, vault);
      return work();
    });
  } catch (error) {
    if (error instanceof StoreFault) throw error;
    const { code, message, configPath, mend } = error as {
      code?: string;
      message: string;
      configPath?: string;
      mend?: string;
    };
    if (configPath !== undefined) throw new StoreFault("wrong_key", message, mend ?? "");
    if (code === "ELOCKED") throw new StoreFault("cannot_write", message, "try again");
    if (code === undefined) throw error;
    throw new StoreFault(
      "cannot_write",
      `${dir}: ${code} (${accessNote(dir)})`,
      mendFor(code, dir),
    );
  }
}

function mendFor(code: string, dir: string): string {
  if (code === "ENOSPC" || code === "EDQUOT") return "free some space: nothing was changed";
  if (code === "EROFS") return "mount it writable";
  return chownMend(dir);
}

function listAll(
  dir: string,
  providers: readonly string[],
  vault: Vault,
  repair: boolean,
): StoredCredentials {
  const credentials: StoredCredential[] = [];
  const refused: RefusedCredential[] = [];
  const notes = [...judgeDir(dir, repair)];
  const { files, problem } = listFiles(dir);
  if (problem !== undefined) notes.push(problem);
  for (const file of files) {
    const name = nameOfFile(file, providers);
    if (name === undefined) {
      refused.push(nobodys(dir, file));
      continue;
    }
    const found = readCredential(dir, name, vault, repair);
    if (!("reason" in found)) credentials.push(found);
    else if (found.reason !== "gone") refused.push(found);
  }
  return { credentials, refused, notes };
}

function nobodys(dir: string, file: string): RefusedCredential {
  return {
    ...{ file, path: join(dir, file), provider: undefined, id: undefined, reason: "no_provider" },
    message: "no provider of that name is configured",
    mend: "add it to `providers`, or rename the file",
  };
}

function listFiles(dir: string): { readonly files: readonly string[]; readonly problem?: string } {
  try {
    return { files: readdirSync(dir).filter(isCredentialFile).sort() };
  } catch (error) {
    const { code = "unknown error" } = error as { code?: string };
    if (code === "ENOENT") return { files: [] };
    return { files: [], problem: `${dir} can't be read: ${code} (${accessNote(dir)})` };
  }
}
