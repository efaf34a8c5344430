import { type ChainHead, type ChainKey, emptyChain } from "./audit-chain.ts";
import type { Checkpoint } from "./audit-checkpoint.ts";
import { Holes } from "./audit-holes.ts";
import { type ReadRecord, readOwnNote, readRecord } from "./audit-record.ts";

/** Something that is not as it was written. */
export interface AuditFinding {
  readonly kind:
    | "changed"
    | "missing"
    | "out_of_order"
    | "repeated"
    | "does_not_follow"
    | "torn"
    | "rewritten"
    | "truncated"
    | "foreign_checkpoint";
  /** Empty where it is about no one file. */
  readonly file: string;
  /** From 1; 0 where it is about no one line. */
  readonly line: number;
  readonly message: string;
}

export interface AuditReport {
  readonly findings: readonly AuditFinding[];
  /** Beyond the most that are listed. */
  readonly moreFindings: number;
  /** What the log tells about itself: gaps, repairs, removed files. */
  readonly notes: readonly string[];
  readonly records: number;
  readonly first: number;
  readonly last: number;
}

/** Most findings, and most notes, that are listed; the rest is counted. */
export const mostListed = 1000;

/** Most lines in a row that a repair can tell of as torn. */
const mostTornLines = 16;

/** A run of lines that the key did not sign. */
interface Unsigned {
  readonly file: string;
  readonly line: number;
  lastLine: number;
  /** Bytes of each of the last of them. */
  sizes: number[];
  /** The last one has no line break. */
  torn: boolean;
}

/** Walks the lines of a chain, file by file in order, and keeps little whatever their number. */
export class ChainVerifier {
  readonly #key: ChainKey;
  readonly #checkpoints: ReadonlyMap<number, Checkpoint>;
  readonly #findings: AuditFinding[] = [];
  readonly #notes: string[] = [];
  readonly #holes = new Holes();
  #more = 0;
  #records = 0;
  #first = 0;
  #max: ChainHead = emptyChain;
  /** The record on the line before. */
  #before: ReadRecord | undefined = undefined;
  /** Since the last record, one for each file. */
  #unsigned: Unsigned[] = [];
  #prunedTo = 0;

  constructor(key: ChainKey, checkpoints: readonly Checkpoint[] = []) {
    this.#key = key;
    this.#checkpoints = new Map(checkpoints.map((one) => [one.seq, one]));
  }

  /** Takes the next line, without its line break; `torn` when it has none. */
  line(file: string, line: number, bytes: Uint8Array, torn: boolean): void {
    const record = readRecord(bytes, this.#key);
    if (record === undefined) {
      this.#noteUnsigned(file, line, bytes.byteLength, torn);
      return;
    }
    const note = readOwnNote(bytes);
    if (note?.result === "repaired") {
      this.#dismiss(Number(note.details.torn_bytes), Number(note.details.torn_lines));
    }
    const unsigned = this.#endUnsigned();
    if (note !== undefined) this.#tell(file, line, record, note);
    this.#records += 1;
    this.#place(file, line, record, unsigned);
    const kept = this.#checkpoints.get(record.seq);
    if (kept !== undefined && kept.mac !== record.mac) {
      this.#find("rewritten", file, line, `record ${record.seq} is not the one of its checkpoint`);
    }
    this.#before = record;
  }

  /**
   * Ends the walk.
   * @param whole nothing was left out on purpose: a chain that does not begin at 1 is a finding
   */
  end(whole: boolean): AuditReport {
    this.#endUnsigned();
    for (const hole of this.#holes.list) {
      const missing = spanOf(hole.from, hole.to);
      const some = hole.unsigned > 0 ? `; ${hole.unsigned} changed lines stand in their place` : "";
      this.#find("missing", hole.file, hole.line, `${missing} missing before this line${some}`);
    }
    this.#checkStart(whole);
    const last = [...this.#checkpoints.keys()].reduce((a, b) => Math.max(a, b), 0);
    if (last > this.#max.seq) {
      const at = this.#checkpoints.get(last)?.at;
      const missing = spanOf(this.#max.seq + 1, last);
      this.#find(
        "truncated",
        "",
        0,
        `${missing} missing at the end: a checkpoint of ${at} has them`,
      );
    }
    return {
      findings: this.#findings,
      moreFindings: this.#more,
      notes: this.#notes,
      records: this.#records,
      first: this.#first,
      last: this.#max.seq,
    };
  }

  #checkStart(whole: boolean): void {
    if (this.#first <= 1) return;
    const earlier = spanOf(1, this.#first - 1);
    if (this.#prunedTo >= this.#first - 1 || !whole) {
      this.#notes.push(`${earlier} in files that are not here`);
      return;
    }
    this.#find("missing", "", 0, `${earlier} missing at the start`);
  }

  #noteUnsigned(file: string, line: number, bytes: number, torn: boolean): void {
    const run = this.#unsigned.at(-1);
    if (run === undefined || run.file !== file) {
      this.#unsigned.push({ file, line, lastLine: line, sizes: [bytes], torn });
      return;
    }
    const sizes = [...run.sizes, bytes].slice(-mostTornLines);
    Object.assign(run, { lastLine: line, sizes, torn });
  }

  /** The log itself says that writes were cut off there. */
  #dismiss(tornBytes: number, tornLines: number): void {
    const sizes = this.#unsigned.flatMap((run) => run.sizes).slice(-tornLines);
    if (!(tornLines >= 1) || sizes.length < tornLines) return;
    if (sizes.reduce((a, b) => a + b) !== tornBytes) return;
    let left = tornLines;
    for (let run = this.#unsigned.at(-1); run !== undefined && left > 0; ) {
      const lines = Math.min(left, run.lastLine - run.line + 1);
      left -= lines;
      run.lastLine -= lines;
      run.torn = false;
      if (run.lastLine < run.line) this.#unsigned.pop();
      run = this.#unsigned.at(-1);
    }
  }

  /** @returns how many lines since the last record are not signed */
  #endUnsigned(): number {
    const runs = this.#unsigned;
    if (runs.length === 0) return 0;
    this.#unsigned = [];
    for (const run of runs) this.#tellUnsigned(run);
    return runs.reduce((sum, { line, lastLine }) => sum + lastLine - line + 1, 0);
  }

  #tellUnsigned({ file, line, lastLine, torn }: Unsigned): void {
    if (torn && line === lastLine) {
      this.#find("torn", file, line, "the last line is cut off");
      return;
    }
    const lines = line === lastLine ? "this line was" : `the lines to ${lastLine} were`;
    this.#find("changed", file, line, `${lines} changed, or not written with this key`);
  }

  #place(file: string, line: number, record: ReadRecord, unsigned: number): void {
    const { seq, prev } = record;
    if (this.#first === 0) {
      // Changed lines in front of the first good one stand for the records before it.
      this.#first = Math.max(1, seq - unsigned);
      this.#max = record;
      if (seq === 1 && prev !== emptyChain.mac) this.#breaks(file, line, record);
      return;
    }
    if (seq > this.#max.seq) {
      const missing = seq - this.#max.seq - 1;
      if (missing > unsigned) {
        this.#holes.add({ from: this.#max.seq + 1, to: seq - 1, unsigned, file, line });
      }
      const follows = this.#before?.seq === seq - 1 && unsigned === 0;
      if (follows && this.#before?.mac !== prev) this.#breaks(file, line, record);
      this.#max = record;
      return;
    }
    if (this.#holes.fill(seq)) {
      const after = this.#before?.seq ?? this.#max.seq;
      this.#find("out_of_order", file, line, `record ${seq} stands after record ${after}`);
      return;
    }
    this.#find("repeated", file, line, `record ${seq} stands here again`);
  }

  #breaks(file: string, line: number, { seq }: ReadRecord): void {
    const message = `record ${seq} does not follow the one before it: that one was written anew`;
    this.#find("does_not_follow", file, line, message);
  }

  #tell(
    file: string,
    line: number,
    { seq }: ReadRecord,
    { result, details }: { result: string; details: Readonly<Record<string, unknown>> },
  ): void {
    if (result === "pruned") {
      this.#prunedTo = Math.max(this.#prunedTo, Number(details.last_seq) || 0);
    }
    const facts = Object.entries(details).map(([name, value]) => `${name} ${String(value)}`);
    const text = `${file}:${line} record ${seq}: ${result}, ${facts.join(", ")}`;
    if (this.#notes.length < mostListed) this.#notes.push(text);
  }

  #find(kind: AuditFinding["kind"], file: string, line: number, message: string): void {
    if (this.#findings.length < mostListed) this.#findings.push({ kind, file, line, message });
    else this.#more += 1;
  }
}

function spanOf(from: number, to: number): string {
  return from === to ? `record ${from} is` : `records ${from} to ${to} are`;
}
