import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

/** Age at which nobody writes to a temporary file any more, in milliseconds. */
const staleTempMs = 60_000;
const tempName = /^\..+\.[0-9a-f]{16}\.tmp$/;

/**
 * Replaces a file, or makes it: after a crash or a full disk there is the old content or the
 * new one, whole. A link at the path is replaced, not followed.
 * @param mode of the file; only its owner may read it when absent
 * @throws the system's error; the old file is then untouched
 */
export function writeAtomically(path: string, text: string, mode = 0o600): void {
  const dir = dirname(path);
  const temp = join(dir, `.${basename(path)}.${randomBytes(8).toString("hex")}.tmp`);
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const file = openSync(temp, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode);
  try {
    try {
      writeAll(file, Buffer.from(text, "utf8"));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temp, path);
  } catch (error) {
    removeQuietly(temp);
    throw error;
  }
  syncDir(dir);
}

/**
 * Removes a file for good: it is gone after a crash, too.
 * @returns false when there was none
 * @throws the system's error
 */
export function removeDurably(path: string): boolean {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
  syncDir(dirname(path));
  return true;
}

/**
 * Removes what writers left that were killed: such a file may hold a secret.
 * @param now milliseconds since the epoch
 * @returns how many there were
 */
export function sweepTemps(dir: string, now: number): number {
  let swept = 0;
  for (const name of readdirSync(dir)) {
    if (!tempName.test(name)) continue;
    const path = join(dir, name);
    try {
      if (now - statSync(path).mtimeMs < staleTempMs) continue;
      unlinkSync(path);
      swept += 1;
    } catch {
      // Its writer was faster, or it is not ours.
    }
  }
  return swept;
}

/** A system may write less than it was given, when a disk is nearly full. */
function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const written = writeSync(file, bytes, done, bytes.length - done);
    if (written === 0) throw Object.assign(new Error("nothing was written"), { code: "ENOSPC" });
    done += written;
  }
}

/** A rename is on the disk only when its directory is. */
function syncDir(dir: string): void {
  const handle = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(handle);
  } catch (error) {
    // Some file systems can't: then it is as durable as they make it.
    const { code = "" } = error as { code?: string };
    if (!["EINVAL", "ENOTSUP", "EPERM"].includes(code)) throw error;
  } finally {
    closeSync(handle);
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The error that led here says more.
  }
}
