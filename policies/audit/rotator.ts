import { basename, dirname, join } from "node:path";
import { lastSeqOf, rotatedName } from "../../src/kit/audit-files.ts";
import type { FileState } from "./disk.ts";
import type { LogFile } from "./log-file.ts";
import { reasonOf } from "./reason.ts";
import type { WriterParts } from "./writer.ts";

export interface Rotation {
  readonly maxBytes: number;
  /** Also at the end of each day, in UTC. */
  readonly daily: boolean;
  /** Rotated files that are kept; undefined: all. */
  readonly keep: number | undefined;
}

/** A rotation that failed is tried again after so many milliseconds. */
const retryMs = 60_000;

/** Decides when a log is rotated, and which of the old files go. */
export class Rotator {
  rotation: Rotation = { maxBytes: Number.POSITIVE_INFINITY, daily: false, keep: undefined };
  readonly #parts: WriterParts;
  /** Of the first record in the file; undefined while it is empty. */
  #day: string | undefined;
  #afterMs = 0;

  /** @param state of the file as it was found */
  constructor(parts: WriterParts, state: FileState | undefined) {
    this.#parts = parts;
    this.#day = state !== undefined && state.size > 0 ? dayOf(state.changedMs) : undefined;
  }

  noteWrite(): void {
    this.#day ??= dayOf(this.#parts.clock.now());
  }

  noteNewFile(): void {
    this.#day = undefined;
  }

  /** Whether a file of that size is to be rotated before so many bytes are added. */
  isDue(size: number, bytes: number): boolean {
    const { clock } = this.#parts;
    const { maxBytes, daily } = this.rotation;
    if (size === 0 || clock.mono() < this.#afterMs) return false;
    // Only forwards: a clock that steps back over midnight must not rotate each time.
    const isOld = daily && this.#day !== undefined && dayOf(clock.now()) > this.#day;
    return isOld || size + bytes > maxBytes;
  }

  /**
   * Rotates the file; where that fails, it is written on.
   * @returns the old files that were removed
   */
  rotate(
    file: LogFile,
    lastSeq: number,
  ): readonly { readonly file: string; readonly lastSeq: number }[] {
    const { clock, log, path } = this.#parts;
    try {
      file.rotate(rotatedName(path, clock.now(), lastSeq));
      this.#day = undefined;
      return this.#prune();
    } catch (error) {
      this.#afterMs = clock.mono() + retryMs;
      log.error("audit log can't be rotated", { path, reason: reasonOf(error) });
      return [];
    }
  }

  /** Removes the oldest files of our own rotation, and never any other. */
  #prune(): readonly { readonly file: string; readonly lastSeq: number }[] {
    const { keep } = this.rotation;
    if (keep === undefined) return [];
    const { disk, path } = this.#parts;
    const dir = dirname(path);
    const rotated = disk
      .list(dir)
      .map((file) => ({ file, lastSeq: lastSeqOf(basename(path), file) ?? 0 }))
      .filter(({ lastSeq }) => lastSeq > 0)
      .sort((a, b) => b.lastSeq - a.lastSeq);
    const old = rotated.slice(keep);
    for (const { file } of old) disk.remove(join(dir, file));
    return old;
  }
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
