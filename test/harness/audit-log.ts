import { Buffer } from "node:buffer";
import { AuditWriter, type WriterParts } from "../../policies/audit/writer.ts";
import { type AuditEntry, chainKeyOf } from "../../src/kit/audit-chain.ts";
import { readCheckpoints } from "../../src/kit/audit-checkpoint.ts";
import { isLogName } from "../../src/kit/audit-files.ts";
import { seqOf } from "../../src/kit/audit-record.ts";
import { type AuditReport, ChainVerifier } from "../../src/kit/audit-verify.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";
import { createFakeDisk, type FakeDisk } from "./fake-disk.ts";
import { createLogLines, type LogLines } from "./stubs.ts";

export const auditKey = chainKeyOf(new Uint8Array(32).fill(7));
export const logPath = "/logs/audit.log";

export function entryOf(more: Partial<AuditEntry> = {}): AuditEntry {
  return {
    atMs: Date.UTC(2026, 1, 19, 23),
    type: "auth_failure",
    provider: "claude",
    userId: "user@example.com",
    ip: "192.168.1.100",
    result: "invalid_token",
    details: { reason: "Token expired" },
    requestId: "req_1",
    ...more,
  };
}

export interface LogHouse {
  readonly disk: FakeDisk;
  readonly clock: FakeClock;
  readonly log: LogLines;
  readonly parts: WriterParts;
  /** Runs the timer that is set, if one is; returns its milliseconds. */
  ring(): number | undefined;
  /** The timer that is set never rings. */
  stop(): void;
  open(): AuditWriter;
}

/** What a writer needs, with a disk and a timer that tests turn by hand. */
export function createLogHouse(): LogHouse {
  const clock = createFakeClock();
  const disk = createFakeDisk(clock.now);
  const log = createLogLines();
  let armed: { run: () => void; ms: number } | undefined;
  const timer: WriterParts["timer"] = (run, ms) => {
    const own = { run, ms };
    armed = own;
    return {
      cancel() {
        if (armed === own) armed = undefined;
      },
    };
  };
  const parts = { path: logPath, key: auditKey, disk, clock, log, timer };
  return {
    ...{ disk, clock, log, parts },
    ring() {
      const due = armed;
      armed = undefined;
      due?.run();
      return due?.ms;
    },
    stop() {
      armed = undefined;
    },
    open: () => new AuditWriter(parts),
  };
}

/** The lines of a chain's files, in order. */
export function filesOf(disk: FakeDisk): { path: string; lines: string[]; torn: boolean }[] {
  return [...disk.files]
    .filter(([path]) => isLogName("audit.log", path.slice("/logs/".length)))
    .map(([path, { bytes }]) => {
      const text = bytes.toString("latin1");
      const lines = text.split("\n");
      const torn = lines.at(-1) !== "";
      return { path, lines: torn ? lines : lines.slice(0, -1), torn };
    })
    .sort((a, b) => seqIn(a.lines) - seqIn(b.lines));
}

function seqIn(lines: readonly string[]): number {
  const first = lines.find((line) => seqOf(Buffer.from(line, "latin1")) !== undefined);
  return seqOf(Buffer.from(first ?? "", "latin1")) ?? Number.MAX_SAFE_INTEGER;
}

/** Verifies what is on a disk, with the checkpoints that lie beside it. */
export function verifyDisk(disk: FakeDisk, kept?: string): AuditReport {
  const text = kept ?? disk.text(`${logPath}.checkpoints`);
  const verifier = new ChainVerifier(auditKey, readCheckpoints(text, auditKey).signed);
  for (const { path, lines, torn } of filesOf(disk)) {
    for (const [i, line] of lines.entries()) {
      const isTorn = torn && i === lines.length - 1;
      verifier.line(path, i + 1, Buffer.from(line, "latin1"), isTorn);
    }
  }
  return verifier.end(true);
}
