import { Buffer } from "node:buffer";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  statfsSync,
  statSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { getegid, geteuid } from "node:process";

/** What a path is, without following a link. */
export interface Stat {
  readonly kind: "file" | "directory" | "link" | "other";
  /** The twelve bits of permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeMs: number;
}

/** Of the file system below a path. */
export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeFiles: number;
  /** 0 where the file system does not count them. */
  readonly totalFiles: number;
  /** The kernel's number of its type. */
  readonly type: number;
}

/** The eyes of `doctor`: it changes nothing, and what it can't see is undefined. */
export interface Probe {
  /** The error's code where there is no answer, such as `ENOENT`. */
  stat(path: string): Stat | { readonly error: string };
  /** Names in a directory, sorted. */
  list(path: string): readonly string[] | undefined;
  /** The beginning of a regular file; a link is followed. */
  read(path: string, mostBytes: number): string | undefined;
  /** Where a path leads when all links are followed. */
  real(path: string): string | undefined;
  space(path: string): Space | undefined;
  /** Who looks. */
  readonly uid: number;
  readonly gid: number;
}

/**
 * Looks at the real machine.
 * @param root stands before every path; tests give a directory of their own
 */
export function systemProbe(root = ""): Probe {
  const at = (path: string): string => (root === "" ? resolve(path) : join(root, path));
  return {
    stat(path) {
      try {
        return toStat(at(path));
      } catch (error) {
        return { error: (error as { code?: string }).code ?? "UNKNOWN" };
      }
    },
    list: (path) => attempt(() => readdirSync(at(path)).sort()),
    read: (path, mostBytes) => attempt(() => readStart(at(path), mostBytes)),
    real: (path) => attempt(() => realpathSync(at(path))),
    space: (path) => attempt(() => toSpace(at(path))),
    uid: attempt(() => geteuid?.()) ?? -1,
    gid: attempt(() => getegid?.()) ?? -1,
  };
}

/** Most that is read of a file of the kernel. */
const kernelFileBytes = 256 * 1024;

/** A runtime may lack the right to look: then nothing is known, and that is no failure. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

function toStat(path: string): Stat {
  const stats = lstatSync(path);
  const { mode, uid, gid, size, mtimeMs } = stats;
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : undefined;
  const other = stats.isSymbolicLink() ? "link" : "other";
  return { kind: kind ?? other, mode: mode & 0o7777, uid, gid, size, mtimeMs };
}

function readStart(path: string, mostBytes: number): string | undefined {
  // A pipe would block, a device never ends.
  if (!statSync(path).isFile()) return undefined;
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const { size } = fstatSync(file);
    // Files of the kernel say that they are empty, and come in pieces.
    const most = Math.min(mostBytes, size === 0 ? kernelFileBytes : size);
    const buffer = Buffer.alloc(most);
    let length = 0;
    for (;;) {
      const read = readSync(file, buffer, length, most - length, null);
      length += read;
      if (read === 0 || length === most) return buffer.toString("latin1", 0, length);
    }
  } finally {
    closeSync(file);
  }
}

function toSpace(path: string): Space {
  const { bavail, bsize, blocks, ffree, files, type } = statfsSync(path);
  return {
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
    freeFiles: ffree,
    totalFiles: files,
    type,
  };
}
