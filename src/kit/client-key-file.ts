import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { newClientKey } from "./client-key.ts";
import { Secret } from "./secret.ts";

/** The generated client key of a house that configures none. */
export interface ClientKeyFile {
  readonly path: string;
  readonly key: Secret;
  /** It was made by this call. */
  readonly isNew: boolean;
}

/**
 * Reads `<dir>/client.key`, or makes it (0600, in a directory of 0700).
 * @param make false: never writes, and returns undefined where there is none
 * @throws when the directory or the file can't be read or made
 */
export function clientKeyFile(dir: string, make: boolean): ClientKeyFile | undefined {
  const path = join(dir, "client.key");
  const old = read(path);
  if (old !== undefined) return { path, key: new Secret(old), isNew: false };
  if (!make) return undefined;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const key = newClientKey();
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const file = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
  try {
    writeSync(file, `${key}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return { path, key: new Secret(key), isNew: true };
}

function read(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    if (text === "") throw new Error(`${path} is empty: delete it, and a new key is made`);
    return text;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}
