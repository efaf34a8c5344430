import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { distrustOf } from "../kit/trusted-file.ts";
import type { SourceFile } from "./source.ts";

/** Name of the file that pins what may be loaded. */
export const lockName = "policies.lock";

/** Digests by path below the directory. */
export type Lock = ReadonlyMap<string, string>;

const line = /^([0-9a-f]{64}) {2}(.+)$/;

/**
 * Reads the lock of a directory, in the form of `sha256sum`.
 * @returns undefined when there is none
 * @throws Error when it can't be read as one
 */
export function readLock(dir: string): Lock | undefined {
  const path = join(dir, lockName);
  let text: string;
  try {
    const distrust = distrustOf(path);
    if (distrust !== undefined) throw new Error(`${distrust.message} (mend: ${distrust.mend})`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
  return parseLock(text);
}

/** @throws Error when a line is none of a lock */
export function parseLock(text: string): Lock {
  const lock = new Map<string, string>();
  for (const [i, row] of text.split("\n").entries()) {
    if (row.trim() === "" || row.startsWith("#")) continue;
    const [, digest, path] = line.exec(row) ?? [];
    if (digest === undefined || path === undefined) {
      throw new Error(`${lockName}:${i + 1}: must be "<sha256>  <path>"`);
    }
    lock.set(path, digest);
  }
  return lock;
}

/** Writes files in the form of `sha256sum`, so that `sha256sum -c` checks them, too. */
export function toLockText(files: Iterable<SourceFile>): string {
  const rows = new Map<string, string>();
  for (const { path, sha256 } of files) rows.set(path, sha256);
  const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([path, sha256]) => `${sha256}  ${path}\n`).join("");
}

/** One digest over all files of a policy: that of the lines that pin them. */
export function digestOfFiles(files: Iterable<SourceFile>): string {
  return createHash("sha256").update(toLockText(files)).digest("hex");
}

/** How a lock differs from the one before it, by path. */
export interface LockChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export function compareLocks(before: Lock, after: Lock): LockChanges {
  const paths = [...after.keys()];
  return {
    added: paths.filter((path) => !before.has(path)),
    changed: paths.filter((path) => before.has(path) && before.get(path) !== after.get(path)),
    removed: [...before.keys()].filter((path) => !after.has(path)),
  };
}

/** What of a policy's files is not as it was pinned. */
export function lockProblems(lock: Lock, files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, sha256 }) => {
    const pinned = lock.get(path);
    if (pinned === undefined) return [`${path} is not in ${lockName}`];
    return pinned === sha256 ? [] : [`${path} has changed since ${lockName} was written`];
  });
}
