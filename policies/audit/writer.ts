import { Buffer } from "node:buffer";
import type { Clock, Logger } from "../../src/contract/types.ts";
import {
  type AuditEntry,
  type ChainHead,
  type ChainKey,
  FieldCache,
  ownEvent,
  sealRecord,
} from "../../src/kit/audit-chain.ts";
import { checkpointSuffix } from "../../src/kit/audit-files.ts";
import { Alarms } from "./alarms.ts";
import { findChainEnd, tailBytes } from "./chain-end.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { Disk } from "./disk.ts";
import { LogFile } from "./log-file.ts";
import { reasonOf } from "./reason.ts";
import { type Rotation, Rotator } from "./rotator.ts";

/** Records wait so long for others to be written with, in milliseconds. */
export const commitMs = 50;
/** So many records are written at once without waiting. */
export const batchRecords = 500;
/** Most records that wait while the log can't be written; later ones are counted as lost. */
export const mostQueued = 10_000;
/** Milliseconds between two tries while the log can't be written. */
export const retryMs = 1000;

export interface WriterParts {
  readonly path: string;
  readonly key: ChainKey;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timer: (run: () => void, ms: number) => { cancel(): void };
}

type Details = AuditEntry["details"];

/** Why and since when the log can't be written. */
interface Failure {
  readonly reason: string;
  readonly sinceMs: number;
  lost: number;
}

/** Writes the chain: many records at once, in order, each exactly once or counted as lost. */
export class AuditWriter {
  readonly counts = { records: 0, failures: 0, lost: 0 };
  readonly #parts: WriterParts;
  readonly #file: LogFile;
  readonly #checkpoints: Checkpoints;
  readonly #fields = new FieldCache();
  readonly #rotator: Rotator;
  readonly #alarms: Alarms;
  #queue: AuditEntry[] = [];
  #head: ChainHead;
  #failure: Failure | undefined = undefined;
  #timer: { cancel(): void } | undefined = undefined;
  #isClosed = false;

  /** @throws the system's error when the log can't be opened */
  constructor(parts: WriterParts) {
    this.#parts = parts;
    const { path, disk, key } = parts;
    const before = disk.stateAt(path);
    this.#file = new LogFile(path, disk);
    this.#rotator = new Rotator(parts, before);
    this.#alarms = new Alarms(parts);
    const end = findChainEnd(path, path + checkpointSuffix, key, disk);
    this.#head = end.head;
    this.#checkpoints = new Checkpoints(parts, end.head.seq);
    if (end.tornBytes > 0) this.#repair(end.tornBytes);
    if (end.isForeign) this.#alarm("foreign_line", {});
    if (end.missing > 0) this.#alarm("missing", { records: end.missing });
  }

  set onAlarm(hear: (result: string, details: Details) => void) {
    this.#alarms.hear = hear;
  }

  set rotation(rotation: Rotation) {
    this.#rotator.rotation = rotation;
  }

  get isFailing(): boolean {
    return this.#failure !== undefined;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get head(): ChainHead {
    return this.#head;
  }

  /** Takes a record; it is written within `commitMs`. */
  add(entry: AuditEntry): void {
    if (this.#queue.length >= mostQueued) {
      this.counts.lost += 1;
      if (this.#failure !== undefined) this.#failure.lost += 1;
      return;
    }
    this.#queue.push(entry);
    if (this.#failure === undefined && this.#queue.length >= batchRecords) this.flush();
    else this.#arm(commitMs);
  }

  /**
   * Writes what waits.
   * @param durable also wait until the disk has it
   * @param look see what became of the file even if there is nothing to write
   * @returns whether all of it stands in the log
   */
  flush(durable = false, look = false): boolean {
    if (this.#isClosed) return false;
    this.#timer?.cancel();
    this.#timer = undefined;
    try {
      this.#alarms.tell();
      if (look || this.#queue.length > 0 || this.#failure !== undefined) this.#inspect();
      this.#writeQueue();
      if (durable || this.#failure !== undefined) this.#file.sync();
      this.#recover();
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#checkpoints.note(this.#head, false);
    if (this.#alarms.waiting) this.#arm(commitMs);
    return true;
  }

  /** Writes what waits, signs the end, and lets go of the file. */
  close(): void {
    if (this.#isClosed) return;
    this.flush(true);
    if (this.#queue.length > 0) {
      this.#parts.log.error("audit records are lost", { records: this.#queue.length });
    }
    this.#checkpoints.note(this.#head, true);
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#file.close();
  }

  #arm(ms: number): void {
    if (this.#isClosed) return;
    this.#timer ??= this.#parts.timer(() => {
      this.#timer = undefined;
      this.flush();
    }, ms);
  }

  #writeQueue(): void {
    while (this.#queue.length > 0) {
      this.#write(this.#queue.slice(0, batchRecords), (done) => {
        this.#queue = this.#queue.slice(done);
      });
    }
  }

  /**
   * Appends records; the chain moves on only by what stands in the file.
   * @param written told how many do, also when it fails
   */
  #write(entries: readonly AuditEntry[], written: (records: number) => void = () => {}): void {
    const heads: ChainHead[] = [];
    const ends: number[] = [];
    let head = this.#head;
    let text = "";
    for (const entry of entries) {
      const sealed = sealRecord(entry, head, this.#parts.key, this.#fields);
      text += `${sealed.line}\n`;
      head = sealed.head;
      heads.push(head);
      ends.push(text.length);
    }
    const advance = (records: number): void => {
      this.#head = heads[records - 1] ?? this.#head;
      this.counts.records += records;
      written(records);
    };
    // A record that tells of a rotation must not cause the next one.
    if (entries.some(({ type }) => type !== ownEvent)) this.#rotateIfDue(text.length);
    try {
      this.#file.append(text);
    } catch (error) {
      const standing = Buffer.from(text).subarray(0, this.#file.standingBytes).toString();
      advance(ends.filter((end) => end <= standing.length).length);
      throw error;
    }
    this.#rotator.noteWrite();
    advance(entries.length);
  }

  #rotateIfDue(bytes: number): void {
    if (!this.#rotator.isDue(this.#file.size, bytes)) return;
    this.#checkpoints.note(this.#head, true);
    for (const { file, lastSeq } of this.#rotator.rotate(this.#file, this.#head.seq)) {
      this.#queue.push(this.#own("pruned", { file, last_seq: lastSeq }));
    }
  }

  #inspect(): void {
    const { log } = this.#parts;
    const seen = this.#file.inspect();
    if (seen?.what === "replaced") {
      this.#rotator.noteNewFile();
      log.info("audit log was moved or deleted: opened anew", { path: this.#file.path });
    } else if (seen !== undefined) this.#alarm(seen.what, { bytes: seen.bytes });
    const { torn } = this.#file;
    if (torn.length === 0) return;
    const bytes = torn.reduce((a, b) => a + b);
    this.#write([this.#own("repaired", { torn_bytes: bytes, torn_lines: torn.length })]);
  }

  /** A write that a crash or a full disk cut off is removed; where it can't be, it is told of. */
  #repair(bytes: number): void {
    const { log } = this.#parts;
    // What is longer than a line was not cut off by us: it stays as it is.
    const isCut = bytes < tailBytes && this.#file.cutEnd(bytes);
    if (isCut) this.#queue.push(this.#own("repaired", { cut_bytes: bytes }));
    else this.#file.leaveTorn(bytes);
    log.warn("audit log ended in a torn line", { path: this.#file.path, bytes, cut: isCut });
  }

  #fail(error: unknown): void {
    const { clock, log } = this.#parts;
    this.counts.failures += 1;
    if (this.#failure === undefined) {
      const reason = reasonOf(error);
      this.#failure = { reason, sinceMs: clock.now(), lost: 0 };
      log.error("audit log can't be written", { path: this.#file.path, reason });
    }
    this.#arm(retryMs);
  }

  /** Everything was written again: the record that tells of the gap is the last of the queue. */
  #recover(): void {
    const failure = this.#failure;
    if (failure === undefined) return;
    const { lost, reason, sinceMs } = failure;
    const since = new Date(sinceMs).toISOString();
    this.#write([this.#own("gap", { lost, reason, since })]);
    this.#failure = undefined;
    this.#parts.log.warn("audit log can be written again", { path: this.#file.path, lost });
  }

  #alarm(result: string, details: Details): void {
    if (this.#alarms.raise(result, details)) this.#queue.push(this.#own(result, details));
  }

  /** A record about the log itself. */
  #own(result: string, details: Details): AuditEntry {
    const who = { provider: "", userId: "", ip: "", requestId: "" };
    return { atMs: this.#parts.clock.now(), type: ownEvent, result, details, ...who };
  }
}
