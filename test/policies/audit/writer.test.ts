import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checkpointRecords } from "../../../policies/audit/checkpoints.ts";
import {
  type AuditWriter,
  batchRecords,
  commitMs,
  mostQueued,
  retryMs,
} from "../../../policies/audit/writer.ts";
import { createLogHouse, entryOf, filesOf, logPath, verifyDisk } from "../../harness/audit-log.ts";

type House = ReturnType<typeof createLogHouse>;
type Line = { seq: number; event_type: string; result: string; details: Record<string, unknown> };

function linesOf(house: House): Line[] {
  const lines = filesOf(house.disk).flatMap((file) => file.lines);
  return lines.filter((line) => line.endsWith('"}')).map((line) => JSON.parse(line) as Line);
}

function own(house: House): Line[] {
  return linesOf(house).filter((line) => line.event_type === "audit_log");
}

function add(writer: AuditWriter, count = 1): void {
  for (let i = 0; i < count; i++) writer.add(entryOf());
}

const all = Number.POSITIVE_INFINITY;

describe("group commit", () => {
  test("records wait for each other, and are one write", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, 100);
    expect(house.disk.writes).toBe(0);
    expect(house.ring()).toBe(commitMs);
    expect([house.disk.writes, linesOf(house).length]).toEqual([1, 100]);
    expect(house.ring()).toBeUndefined();
    expect(house.disk.syncs).toBe(0);
  });

  test("a full batch is written at once", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, batchRecords - 1);
    expect(house.disk.writes).toBe(0);
    add(writer);
    expect([house.disk.writes, linesOf(house).length]).toEqual([1, batchRecords]);
  });

  test("a durable flush waits for the disk", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer);
    expect(writer.flush(true)).toBe(true);
    expect(house.disk.syncs).toBe(1);
  });
});

describe("the chain", () => {
  test("goes on after a restart", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first, 3);
    first.close();
    const second = house.open();
    add(second, 2);
    second.close();
    expect(linesOf(house).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("numbers rise and times are UTC when the clock steps back", () => {
    const house = createLogHouse();
    const writer = house.open();
    for (const hour of [5, 3, 4]) {
      house.clock.setNow(Date.UTC(2026, 0, 1, hour));
      writer.add(entryOf({ atMs: house.clock.now() }));
    }
    writer.flush();
    const lines = linesOf(house) as (Line & { timestamp: string })[];
    expect(lines.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(lines.map(({ timestamp }) => timestamp.slice(11))).toEqual([
      ...["05:00:00.000Z", "03:00:00.000Z", "04:00:00.000Z"],
    ]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  const torn = '{"timestamp":"2026-01-01T00:0';
  test("a torn end after a crash is cut, and told", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first, 3);
    first.flush();
    house.disk.put(logPath, house.disk.text(logPath) + torn);
    const second = house.open();
    add(second);
    second.close();
    expect(own(house)).toMatchObject([
      { seq: 4, result: "repaired", details: { cut_bytes: torn.length } },
    ]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("a torn end that can't be cut stays, and the next record tells of it", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first, 3);
    first.flush();
    house.disk.put(logPath, house.disk.text(logPath) + torn);
    house.disk.mayCut = false;
    const second = house.open();
    add(second);
    second.close();
    expect(house.disk.text(logPath)).toContain(`${torn}\n`);
    const report = verifyDisk(house.disk);
    expect(report.findings).toEqual([]);
    expect(report.notes[0]).toContain(`torn_bytes ${torn.length}`);
  });

  test("records that a checkpoint has seen and no file holds raise an alarm", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first, 5);
    first.close();
    const lines = house.disk.text(logPath).split("\n");
    house.disk.put(logPath, `${lines.slice(0, 3).join("\n")}\n`);
    const second = house.open();
    const alarms: unknown[] = [];
    second.onAlarm = (...alarm) => void alarms.push(alarm);
    second.flush(false, true);
    second.close();
    expect(alarms).toEqual([["missing", { records: 2 }]]);
    expect(linesOf(house).map(({ seq }) => seq)).toEqual([1, 2, 3, 6]);
    expect(verifyDisk(house.disk).findings).toMatchObject([{ kind: "missing", line: 4 }]);
  });

  test("a last line that is not ours raises an alarm", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first, 2);
    first.close();
    house.disk.put(logPath, `${house.disk.text(logPath)}not ours\n`);
    const second = house.open();
    add(second);
    second.close();
    expect(own(house)).toMatchObject([{ seq: 3, result: "foreign_line" }]);
    expect(verifyDisk(house.disk).findings).toMatchObject([{ kind: "changed", line: 3 }]);
  });
});

describe("what others do to the file", () => {
  test("moved: the chain goes on in a new file", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, 2);
    writer.flush();
    house.disk.rename(logPath, `${logPath}.1`);
    add(writer, 2);
    writer.flush();
    expect(filesOf(house.disk).map(({ path, lines }) => [path, lines.length])).toEqual([
      [`${logPath}.1`, 2],
      [logPath, 2],
    ]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("moved while it was down: the chain goes on", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first, 2);
    first.close();
    house.disk.rename(logPath, `${logPath}-20260101`);
    house.disk.remove(`${logPath}.checkpoints`);
    const second = house.open();
    add(second);
    second.close();
    expect(linesOf(house).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("deleted: a new file, and what was in the old one is missed", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, 2);
    writer.flush();
    house.disk.remove(logPath);
    add(writer);
    writer.flush();
    expect(linesOf(house).map(({ seq }) => seq)).toEqual([3]);
    expect(verifyDisk(house.disk).findings).toMatchObject([{ kind: "missing" }]);
  });

  test("looked for without a record to write, as on SIGHUP", () => {
    const house = createLogHouse();
    const writer = house.open();
    house.disk.rename(logPath, `${logPath}.1`);
    writer.flush(false, true);
    expect(house.disk.files.has(logPath)).toBe(true);
  });

  test("cut to nothing: told once, and the chain goes on", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, 2);
    writer.flush();
    const file = house.disk.files.get(logPath);
    if (file !== undefined) file.bytes = Buffer.alloc(0);
    add(writer);
    writer.flush();
    expect(own(house)).toMatchObject([{ result: "truncated" }]);
    expect(linesOf(house).map(({ seq }) => seq)).toEqual([3, 4]);
  });

  test("written to: told once a minute, and our record begins a line of its own", () => {
    const house = createLogHouse();
    const writer = house.open();
    const file = house.disk.files.get(logPath);
    const scribble = (): void => {
      if (file !== undefined) file.bytes = Buffer.concat([file.bytes, Buffer.from("scribble")]);
    };
    for (const advance of [0, 1000, 60_000]) {
      house.clock.advance(advance);
      scribble();
      add(writer);
      writer.flush();
    }
    const lines = house.disk.text(logPath).split("\n");
    expect(lines.filter((line) => line === "scribble")).toHaveLength(3);
    expect(lines.filter((line) => line.includes("foreign_write"))).toHaveLength(2);
    const { findings } = verifyDisk(house.disk);
    expect(findings.map(({ kind }) => kind)).toEqual(["changed", "changed", "changed"]);
  });
});

describe("a full disk", () => {
  test("fails at the first write, recovers, and tells of the gap", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, 2);
    writer.flush();
    house.disk.free = 100;
    add(writer, 3);
    expect(writer.flush()).toBe(false);
    expect([writer.isFailing, writer.queued, linesOf(house).length]).toEqual([true, 3, 2]);
    house.disk.free = all;
    house.clock.advance(1000);
    expect(house.ring()).toBe(retryMs);
    expect([writer.isFailing, writer.queued]).toEqual([false, 0]);
    expect(own(house)).toMatchObject([
      { seq: 6, result: "gap", details: { lost: 0, reason: "ENOSPC" } },
    ]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
    expect(house.log.lines.map(({ level }) => level)).toEqual(["error", "warn"]);
  });

  test("the queue is bounded, and what does not fit is counted", () => {
    const house = createLogHouse();
    const writer = house.open();
    house.disk.free = 0;
    add(writer);
    writer.flush();
    add(writer, mostQueued - 1);
    expect([writer.queued, writer.counts.lost]).toEqual([mostQueued, 0]);
    add(writer);
    expect([writer.queued, writer.counts.lost]).toEqual([mostQueued, 1]);
    add(writer, 4);
    house.disk.free = all;
    house.ring();
    expect(own(house)).toMatchObject([{ seq: mostQueued + 1, details: { lost: 5 } }]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("the directory is gone: the same", () => {
    const house = createLogHouse();
    const writer = house.open();
    house.disk.remove(logPath);
    house.disk.mayOpen = false;
    add(writer);
    expect(writer.flush()).toBe(false);
    house.disk.mayOpen = true;
    house.ring();
    expect(linesOf(house).map(({ result }) => result)).toEqual(["invalid_token", "gap"]);
  });

  test("a partial write that can't be taken back is told of", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, 2);
    writer.flush();
    Object.assign(house.disk, { free: 100, mayCut: false });
    add(writer);
    writer.flush();
    house.disk.free = all;
    house.ring();
    expect(own(house).map(({ result }) => result)).toEqual(["repaired", "gap"]);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("closing says what is lost", () => {
    const house = createLogHouse();
    const writer = house.open();
    house.disk.free = 0;
    add(writer, 3);
    writer.close();
    expect(house.log.lines.map(({ fields }) => fields)).toContainEqual({ records: 3 });
  });
});

describe("rotation", () => {
  const rotated = (house: House): string[] =>
    filesOf(house.disk).flatMap(({ path }) => (path === logPath ? [] : [path]));

  test("by size, never within a batch, and the chain goes on", () => {
    const house = createLogHouse();
    const writer = house.open();
    writer.rotation = { maxBytes: 2000, daily: false, keep: undefined };
    for (let i = 0; i < 12; i++) {
      add(writer, 2);
      writer.flush();
    }
    expect(rotated(house).length).toBeGreaterThan(3);
    for (const path of rotated(house)) {
      expect(house.disk.files.get(path)?.bytes.byteLength).toBeLessThanOrEqual(2000);
    }
    expect(linesOf(house).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 24 }, (_, i) => i + 1),
    );
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("a batch larger than the limit gets a file of its own", () => {
    const house = createLogHouse();
    const writer = house.open();
    writer.rotation = { maxBytes: 100, daily: false, keep: undefined };
    for (let i = 0; i < 3; i++) {
      add(writer, 5);
      writer.flush();
    }
    expect(filesOf(house.disk).map(({ lines }) => lines.length)).toEqual([5, 5, 5]);
  });

  test("by day in UTC, once, and not when the clock steps back", () => {
    const house = createLogHouse();
    house.clock.setNow(Date.UTC(2026, 1, 28, 23, 59));
    const writer = house.open();
    writer.rotation = { maxBytes: all, daily: true, keep: undefined };
    const write = (now: number): void => {
      house.clock.setNow(now);
      add(writer);
      writer.flush();
    };
    write(Date.UTC(2026, 1, 28, 23, 59, 59));
    expect(rotated(house)).toEqual([]);
    write(Date.UTC(2026, 2, 1));
    expect(rotated(house)).toEqual([`${logPath}.20260301T000000Z.1`]);
    write(Date.UTC(2026, 1, 28, 12));
    write(Date.UTC(2026, 2, 1, 12));
    expect(rotated(house)).toHaveLength(1);
    write(Date.UTC(2026, 2, 2));
    expect(rotated(house)).toHaveLength(2);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("of yesterday's file after a restart", () => {
    const house = createLogHouse();
    const first = house.open();
    add(first);
    first.close();
    const second = house.open();
    second.rotation = { maxBytes: all, daily: true, keep: undefined };
    house.clock.advance(86_400_000);
    add(second);
    second.flush();
    expect(rotated(house)).toHaveLength(1);
  });

  test("keeps so many, tells of those it removes, and touches no other file", () => {
    const house = createLogHouse();
    const writer = house.open();
    const foreign = `${logPath}.mine`;
    house.disk.put(foreign, "");
    writer.rotation = { maxBytes: 100, daily: false, keep: 2 };
    for (let i = 0; i < 6; i++) {
      add(writer);
      writer.flush();
    }
    expect(rotated(house).filter((path) => path !== foreign)).toHaveLength(2);
    expect(house.disk.files.has(foreign)).toBe(true);
    const report = verifyDisk(house.disk);
    expect(report.findings).toEqual([]);
    expect(report.notes.some((note) => note.includes("pruned"))).toBe(true);
  });

  test("that fails loses nothing, and is tried again a minute later", () => {
    const house = createLogHouse();
    const writer = house.open();
    writer.rotation = { maxBytes: 100, daily: false, keep: undefined };
    house.disk.mayRename = false;
    for (let i = 0; i < 3; i++) {
      add(writer);
      expect(writer.flush()).toBe(true);
    }
    expect([
      linesOf(house).length,
      house.log.lines.filter((l) => l.level === "error").length,
    ]).toEqual([3, 1]);
    house.disk.mayRename = true;
    house.clock.advance(60_000);
    add(writer);
    writer.flush();
    expect(rotated(house)).toHaveLength(1);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });
});

describe("checkpoints", () => {
  const count = (house: House): number =>
    house.disk.text(`${logPath}.checkpoints`).split("\n").length - 1;

  test("after so many records, after a minute, and at the end", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer, checkpointRecords - 1);
    writer.flush();
    expect(count(house)).toBe(0);
    add(writer);
    writer.flush();
    expect(count(house)).toBe(1);
    add(writer);
    writer.flush();
    expect(count(house)).toBe(1);
    house.clock.advance(60_000);
    add(writer);
    writer.flush();
    expect(count(house)).toBe(2);
    add(writer);
    writer.close();
    expect(count(house)).toBe(3);
    expect(verifyDisk(house.disk).findings).toEqual([]);
  });

  test("are in the operational log too, so that they get elsewhere", () => {
    const house = createLogHouse();
    const writer = house.open();
    add(writer);
    writer.close();
    const told = JSON.stringify(house.log.lines);
    house.disk.put(logPath, "");
    expect(verifyDisk(house.disk, told).findings).toMatchObject([{ kind: "truncated" }]);
  });
});

describe("whatever happens, the chain verifies and every record is written once or counted", () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant("add" as const), count: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ what: fc.constant("full" as const), free: fc.integer({ min: 0, max: 5000 }) }),
    fc.record({ what: fc.constantFrom("ring", "free", "move", "restart", "crash", "append-only") }),
    fc.record({ what: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 200_000_000 }) }),
  );

  test.each([false, true])("daily rotation: %p", (daily) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const crashes = steps.some(({ what }) => what === "crash");
        const house = createLogHouse();
        const rotation = { maxBytes: 20_000, daily, keep: undefined };
        let moves = 0;
        let added = 0;
        let lost = 0;
        const open = (): AuditWriter => Object.assign(house.open(), { rotation });
        let writer = open();
        const end = (): void => {
          house.disk.free = all;
          writer.close();
          lost += writer.counts.lost;
        };
        for (const one of steps) {
          if (one.what === "add") {
            add(writer, (one as { count: number }).count);
            added += (one as { count: number }).count;
          } else if (one.what === "full") house.disk.free = (one as { free: number }).free;
          else if (one.what === "free") house.disk.free = all;
          else if (one.what === "wait") house.clock.advance((one as { ms: number }).ms);
          else if (one.what === "append-only") {
            // A crash right after a torn write that can't be cut is what an edit looks like.
            house.disk.mayCut = crashes || !house.disk.mayCut;
          } else if (one.what === "move") {
            moves += 1;
            // A file without a single record has no place in the order of the chain.
            const hasRecord = house.disk.text(logPath).includes("\n");
            if (hasRecord) house.disk.rename(logPath, `${logPath}-${moves}`);
          } else if (one.what === "restart") {
            end();
            writer = open();
          } else if (one.what === "crash") {
            // The timer of the dead process never rings, and its last write may be cut off.
            house.stop();
            house.disk.free = all;
            const file = house.disk.files.get(logPath);
            if (file !== undefined) file.bytes = Buffer.concat([file.bytes, Buffer.from("{")]);
            writer = open();
          } else house.ring();
        }
        end();
        const report = verifyDisk(house.disk);
        expect(report.findings).toEqual([]);
        const records = linesOf(house).filter((line) => line.event_type !== "audit_log");
        expect(records.length).toBeLessThanOrEqual(added);
        if (!crashes) expect(records.length + lost).toBe(added);
      }),
      { numRuns: 60 },
    );
  });
});
