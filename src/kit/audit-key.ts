import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { accessNote, chownMend } from "./access-note.ts";
import { configFault } from "./config-fault.ts";
import { createPrivateFile } from "./private-file.ts";

const keyBytes = 32;

/**
 * Reads `<dir>/audit.key`, or makes it (0600).
 * @param make false: never writes, and returns undefined where there is none
 * @throws a fault of the configuration when it can't be read or made, is open to others, or holds
 *   no key
 */
export function auditKeyFile(dir: string, make: boolean): Uint8Array | undefined {
  const path = join(dir, "audit.key");
  try {
    const text = read(path);
    if (text !== undefined) return decodeAuditKey(text, path);
    if (!make) return undefined;
    const key = randomBytes(keyBytes);
    createPrivateFile(path, `${key.toString("hex")}\n`);
    return key;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    throw configFault("auth.dir", `${path}: ${code} (${accessNote(path)})`, chownMend(dir));
  }
}

/**
 * The bytes of a key file's text: 64 hex digits.
 * @param path for the message
 * @throws a fault of the configuration when it is none
 */
export function decodeAuditKey(text: string, path: string): Uint8Array {
  const hex = text.trim();
  if (/^[0-9a-f]{64}$/i.test(hex)) return Buffer.from(hex, "hex");
  const mend = "put the old key back; or move it and the old log away: a new chain begins";
  throw configFault("auth.dir", `${path} holds no audit key of 64 hex digits`, mend);
}

function read(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { mode } = fstatSync(file);
    // Whoever reads it can write the log anew.
    if ((mode & 0o027) !== 0) {
      const bits = (mode & 0o777).toString(8).padStart(4, "0");
      throw configFault(
        "auth.dir",
        `${path} has mode ${bits}: others may read or write it`,
        `chmod 600 ${path}`,
      );
    }
    const buffer = Buffer.alloc(256);
    return buffer.toString("latin1", 0, readSync(file, buffer));
  } finally {
    closeSync(file);
  }
}
