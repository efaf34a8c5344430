import { basename, dirname, join } from "node:path";
import type { Clock, Logger } from "../../src/contract/types.ts";
import {
  type AuditEntry,
  type ChainHead,
  type ChainKey,
  FieldCache,
  ownEvent,
  sealRecord,
} from "../../src/kit/audit-chain.ts";
import { checkpointSuffix, lastSeqOf, rotatedName } from "../../src/kit/audit-files.ts";
import { findChainEnd, tailBytes } from "./chain-end.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { Disk } from "./disk.ts";
import { LogFile } from "./log-file.ts";

/** Records wait so long for others to be written with, in milliseconds. */
export const commitMs = 50;
/** So many records are written at once without waiting. */
export const batchRecords = 500;
/** Most records that wait while the log can't be written; later ones are counted as lost. */
export const mostQueued = 10_000;
/** Milliseconds between two tries while the log can't be written, or not be rotated. */
export const retryMs = 1000;
const rotateRetryMs = 60_000;
/** The same alarm is raised once in so many milliseconds: a second writer would fill the log. */
const alarmMs = 60_000;

export interface Rotation {
  readonly maxBytes: number;
  readonly daily: boolean;
  /** Rotated files that are kept; undefined: all. */
  readonly keep: number | undefined;
}

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
  /** Called when somebody else seems to have changed the log. */
  onAlarm: ((result: string, details: Details) => void) | undefined = undefined;
  rotation: Rotation = { maxBytes: Number.POSITIVE_INFINITY, daily: false, keep: undefined };
  readonly counts = { records: 0, failures: 0, lost: 0 };
  readonly #parts: WriterParts;
  readonly #file: LogFile;
  readonly #checkpoints: Checkpoints;
  readonly #fields = new FieldCache();
  readonly #alarms: (readonly [result: string, details: Details])[] = [];
  readonly #alarmAfterMs = new Map<string, number>();
  #queue: AuditEntry[] = [];
  #head: ChainHead;
  #failure: Failure | undefined = undefined;
  #timer: { cancel(): void } | undefined = undefined;
  #rotateAfterMs = 0;
  #day: string | undefined = undefined;
  #isClosed = false;

  /** @throws the system's error when the log can't be opened */
  constructor(parts: WriterParts) {
    this.#parts = parts;
    const { path, disk, key } = parts;
    const before = disk.stateAt(path);
    this.#file = new LogFile(path, disk);
    if (before !== undefined && before.size > 0) this.#day = dayOf(before.changedMs);
    const end = findChainEnd(path, path + checkpointSuffix, key, disk);
    this.#head = end.head;
    this.#checkpoints = new Checkpoints(parts, end.head.seq);
    if (end.tornBytes > 0) this.#repair(end.tornBytes);
    if (end.isForeign) this.#alarm("foreign_line", {});
    if (end.missing > 0) this.#alarm("missing", { records: end.missing });
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
      this.#tellAlarms();
      if (look || this.#queue.length > 0 || this.#failure !== undefined) this.#inspect();
      this.#writeQueue();
      if (durable || this.#failure !== undefined) this.#file.sync();
      this.#recover();
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#checkpoints.note(this.#head, false);
    if (this.#alarms.length > 0) this.#arm(commitMs);
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
      const batch = this.#queue.slice(0, batchRecords);
      this.#write(batch);
      this.#queue = this.#queue.slice(batch.length);
    }
  }

  /** Appends records; the chain moves on only when they stand in the file. */
  #write(entries: readonly AuditEntry[]): void {
    let head = this.#head;
    let text = "";
    for (const entry of entries) {
      const sealed = sealRecord(entry, head, this.#parts.key, this.#fields);
      text += `${sealed.line}\n`;
      head = sealed.head;
    }
    this.#rotateIfDue(text.length);
    this.#file.append(text);
    this.#day ??= dayOf(this.#parts.clock.now());
    this.#head = head;
    this.counts.records += entries.length;
  }

  #inspect(): void {
    const { log } = this.#parts;
    const seen = this.#file.inspect();
    if (seen?.what === "replaced") {
      this.#day = undefined;
      log.info("audit log was moved or deleted: opened anew", { path: this.#file.path });
    } else if (seen !== undefined) this.#alarm(seen.what, { bytes: seen.bytes });
    const torn = this.#file.tornBytes;
    if (torn > 0) this.#write([this.#own("repaired", { torn_bytes: torn })]);
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

  #rotateIfDue(bytes: number): void {
    const { size, path } = this.#file;
    const { clock, log } = this.#parts;
    if (size === 0) return;
    const { maxBytes, daily } = this.rotation;
    const isOld = daily && this.#day !== undefined && dayOf(clock.now()) > this.#day;
    if (!isOld && size + bytes <= maxBytes) return;
    if (clock.mono() < this.#rotateAfterMs) return;
    this.#rotateAfterMs = 0;
    try {
      this.#checkpoints.note(this.#head, true);
      this.#file.rotate(rotatedName(path, clock.now(), this.#head.seq));
      this.#day = undefined;
      this.#prune();
    } catch (error) {
      this.#rotateAfterMs = clock.mono() + rotateRetryMs;
      log.error("audit log can't be rotated", { path, reason: reasonOf(error) });
    }
  }

  /** Removes the oldest files of our own rotation, and says so in the chain. */
  #prune(): void {
    const { keep } = this.rotation;
    if (keep === undefined) return;
    const { disk } = this.#parts;
    const { path } = this.#file;
    const dir = dirname(path);
    const rotated = disk
      .list(dir)
      .map((name) => ({ name, lastSeq: lastSeqOf(basename(path), name) ?? 0 }))
      .filter(({ lastSeq }) => lastSeq > 0)
      .sort((a, b) => b.lastSeq - a.lastSeq);
    for (const { name, lastSeq } of rotated.slice(keep)) {
      disk.remove(join(dir, name));
      this.#queue.push(this.#own("pruned", { file: name, last_seq: lastSeq }));
    }
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
    const nowMs = this.#parts.clock.mono();
    if (nowMs < (this.#alarmAfterMs.get(result) ?? 0)) return;
    this.#alarmAfterMs.set(result, nowMs + alarmMs);
    this.#queue.push(this.#own(result, details));
    this.#alarms.push([result, details]);
    this.#parts.log.error("audit log was changed by somebody else", {
      path: this.#file.path,
      what: result,
      ...details,
    });
  }

  /** Before anybody listens they wait: the first are found while the log is opened. */
  #tellAlarms(): void {
    if (this.onAlarm === undefined) return;
    for (const [result, details] of this.#alarms.splice(0)) this.onAlarm(result, details);
  }

  /** A record about the log itself. */
  #own(result: string, details: Details): AuditEntry {
    const who = { provider: "", userId: "", ip: "", requestId: "" };
    return { atMs: this.#parts.clock.now(), type: ownEvent, result, details, ...who };
  }
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? "unknown";
}
