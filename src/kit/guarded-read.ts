import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname, sep } from "node:path";
import { geteuid } from "node:process";

/** Largest credential file, in bytes. */
export const mostCredentialBytes = 65_536;

/** A private file: what it holds, and what about it should not be so. */
export type GuardedRead =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly notes: readonly string[] }
  | {
      readonly ok: false;
      readonly reason: "gone" | "unreadable" | "not_a_file" | "too_large" | "link" | "writable";
      readonly message: string;
      readonly mend: string;
    };

/**
 * Reads a file that only its owner should be able to read or change.
 * @param repair whether a mode that is too open is mended, where the file is ours
 */
export function readGuarded(path: string, repair: boolean): GuardedRead {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
  let file: number;
  try {
    const isLink = lstatSync(path).isSymbolicLink();
    // Kubernetes mounts files as links into a folder beside them; any other may lead anywhere.
    if (isLink && !staysWithin(path)) return outside;
    // A pipe must not make us wait for its writer.
    file = openSync(path, O_RDONLY | O_NONBLOCK | (isLink ? 0 : O_NOFOLLOW));
  } catch (error) {
    return cannot(path, error);
  }
  try {
    const found = fstatSync(file);
    if (!found.isFile()) return fault("not_a_file", "is no regular file", "move it away");
    if (found.size > mostCredentialBytes) {
      return fault("too_large", `is larger than ${mostCredentialBytes} bytes`, "move it away");
    }
    const judged = judge(path, file, found, repair);
    if (!("notes" in judged)) return judged;
    const bytes = new Uint8Array(found.size);
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(file, bytes, length, bytes.length - length, null);
      if (read === 0) break;
      length += read;
    }
    return { ok: true, bytes: bytes.subarray(0, length), notes: judged.notes };
  } catch (error) {
    return cannot(path, error);
  } finally {
    closeSync(file);
  }
}

type Refusal = GuardedRead & { readonly ok: false };

const outside: Refusal = fault(
  "link",
  "is a link that leads out of auth.dir",
  "put the file itself here",
);

function judge(
  path: string,
  file: number,
  found: Stats,
  repair: boolean,
): Refusal | { readonly notes: readonly string[] } {
  const notes: string[] = [];
  const uid = geteuid?.();
  const isOurs = uid === undefined || found.uid === uid;
  let open = found.mode & 0o077;
  const bits = octal(found.mode);
  if (open !== 0 && repair && isOurs && found.nlink === 1) {
    fchmodSync(file, found.mode & 0o700);
    notes.push(`had mode ${bits}: others could read it; it is ${octal(found.mode & 0o700)} now`);
    open = 0;
  }
  const mend = isOurs ? `chmod 600 ${path}` : `chown ${uid} ${path} && chmod 600 ${path}`;
  if ((open & 0o022) !== 0 && !isOurs) {
    return fault("writable", `has mode ${bits}: others may change it`, mend);
  }
  if (open !== 0) notes.push(`has mode ${bits}: others may read it: ${mend}`);
  if (!isOurs && found.uid !== 0) {
    notes.push(`belongs to uid ${found.uid}, who may change it; this runs as uid ${uid}`);
  }
  if (found.nlink > 1)
    notes.push("has a second name (hard link) elsewhere: copy it, then remove it");
  return { notes };
}

function staysWithin(path: string): boolean {
  return realpathSync(path).startsWith(realpathSync(dirname(path)) + sep);
}

function cannot(path: string, error: unknown): Refusal {
  const { code = "unknown error" } = error as { code?: string };
  if (code === "ENOENT") return fault("gone", "is gone", "");
  const uid = geteuid?.() ?? "<user>";
  const mend = `chown ${uid} ${path} && chmod 600 ${path}`;
  return fault("unreadable", `can't be read: ${code}${ownerOf(path)}, read as uid ${uid}`, mend);
}

function ownerOf(path: string): string {
  try {
    const { uid, gid, mode } = statSync(path);
    return ` (owner ${uid}:${gid}, mode ${octal(mode)})`;
  } catch {
    return "";
  }
}

/**
 * Judges the directory of private files.
 * @param repair whether a mode that is too open is mended, where the directory is ours
 * @returns what should not be so; nothing where there is no directory
 */
export function judgeDir(dir: string, repair: boolean): readonly string[] {
  let found: Stats;
  try {
    found = statSync(dir);
  } catch {
    return [];
  }
  if (!found.isDirectory() || (found.mode & 0o077) === 0) return [];
  const bits = octal(found.mode);
  const uid = geteuid?.();
  const isOurs = uid === undefined || found.uid === uid;
  if (repair && isOurs) {
    try {
      chmodSync(dir, found.mode & 0o700);
      return [`${dir} had mode ${bits}: others could look into it; it is 0700 now`];
    } catch {
      // A file system without modes, or one that is read only.
    }
  }
  const mend = isOurs ? `chmod 700 ${dir}` : `chown ${uid} ${dir} && chmod 700 ${dir}`;
  const may = (found.mode & 0o022) === 0 ? "look into it" : "put credentials into it";
  return [`${dir} has mode ${bits}: others may ${may}: ${mend}`];
}

function fault(reason: Refusal["reason"], message: string, mend: string): Refusal {
  return { ok: false, reason, message, mend };
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}
