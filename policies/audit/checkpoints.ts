import { Buffer } from "node:buffer";
import type { ChainHead } from "../../src/kit/audit-chain.ts";
import { writeCheckpoint } from "../../src/kit/audit-checkpoint.ts";
import { checkpointSuffix } from "../../src/kit/audit-files.ts";
import { reasonOf } from "./reason.ts";
import type { WriterParts } from "./writer.ts";

/** A checkpoint is written after so many records… */
export const checkpointRecords = 1000;
/** …or with the first write after so many milliseconds. */
export const checkpointMs = 60_000;

/** Signs how far the chain has come: beside the log, and in the operational log. */
export class Checkpoints {
  readonly #parts: WriterParts;
  #seq: number;
  #atMs: number;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(parts: WriterParts, seq: number) {
    this.#parts = parts;
    this.#seq = seq;
    this.#atMs = parts.clock.mono();
  }

  /**
   * Writes a checkpoint if one is due.
   * @param last the file is rotated or closed: every record behind the last one is worth it
   */
  note(head: ChainHead, last: boolean): void {
    const { clock, key, log } = this.#parts;
    const more = head.seq - this.#seq;
    const nowMs = clock.mono();
    if (more <= 0) return;
    if (!last && more < checkpointRecords && nowMs - this.#atMs < checkpointMs) return;
    const checkpoint = writeCheckpoint(head, clock.now(), key);
    try {
      this.#append(`${checkpoint}\n`);
    } catch (error) {
      log.error("audit checkpoint can't be written", { reason: reasonOf(error) });
    }
    this.#seq = head.seq;
    this.#atMs = nowMs;
    if (!last && nowMs - this.#toldMs < checkpointMs) return;
    this.#toldMs = nowMs;
    log.info("audit checkpoint", { checkpoint });
  }

  #append(line: string): void {
    const { disk, path } = this.#parts;
    const file = disk.openAppend(path + checkpointSuffix);
    try {
      disk.write(file, Buffer.from(line));
      disk.sync(file);
    } finally {
      disk.close(file);
    }
  }
}
