import { readFileSync } from "node:fs";
import { join } from "node:path";
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
  let text: string;
  try {
    text = readFileSync(join(dir, lockName), "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
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

/** What of a policy's files is not as it was pinned. */
export function lockProblems(lock: Lock, files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, sha256 }) => {
    const pinned = lock.get(path);
    if (pinned === undefined) return [`${path} is not in ${lockName}`];
    return pinned === sha256 ? [] : [`${path} has changed since ${lockName} was written`];
  });
}
