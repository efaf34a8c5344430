import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { store as sqlite } from "../../plugins/stores/sqlite/index.ts";
import { partRows } from "../../plugins/stores/sqlite/journal.ts";
import type { OpenDatabase, OpenStore } from "../../src/contract/store.ts";
import { bunRuntime } from "../../src/runtime/bun.ts";
import { nodeDatabase } from "../../src/runtime/node-database.ts";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { createFakeClock, type FakeClock } from "../harness/fake-clock.ts";
import { createLogLines, type LogLines } from "../harness/stubs.ts";
import { until } from "../harness/wait.ts";
import { conforms } from "./conformance.ts";

afterEach(cleanUp);

function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-state-"));
  onCleanup(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface Opened {
  readonly all: OpenStore;
  readonly log: LogLines;
}

const openDatabase = bunRuntime.openDatabase as OpenDatabase;

function open(path: string, clock: FakeClock = createFakeClock(), opener = openDatabase): Opened {
  const log = createLogLines();
  const options = { clock, log, path, openDatabase: opener, durability: "durable" as const };
  const all = sqlite.open(options) as OpenStore;
  onCleanup(() => all.close());
  return { all, log };
}

conforms("sqlite", (clock) => open(join(makeDir(), "state/c.db"), clock).all);

/** A store as a process that was killed has left it: what was on its way to disk is gone. */
function killed(path: string): string {
  const copy = join(makeDir(), "c.db");
  for (const suffix of ["", "-wal", ".id"]) {
    if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix);
  }
  return copy;
}

const day = { startMs: Date.UTC(2026, 0, 1), endMs: Date.UTC(2026, 0, 2) };
const nextDay = { startMs: day.endMs, endMs: Date.UTC(2026, 0, 3) };
const quota = { key: "daily/p", limit: 1000 };

describe("a restart", () => {
  test("brings back all of more rows than are read at a time, whatever their keys hold", async () => {
    const path = join(makeDir(), "c.db");
    const first = open(path).all;
    const keys = Array.from({ length: partRows * 2 + 3 }, (_, i) => `k${i} é"'%_\u{1f98a}`);
    for (const space of ["one", "two"]) {
      const store = first.namespace(space);
      for (const key of keys) await store.put(key, `${space} ${key}`);
      for (const key of keys) await store.add(`c ${key}`, { n: 1 });
    }
    await first.close();
    const again = open(path).all;
    for (const space of ["one", "two"]) {
      const store = again.namespace(space);
      expect((await store.list("k")).length).toBe(keys.length);
      expect((await store.read("c ")).length).toBe(keys.length);
      for (const key of [keys[0], keys[partRows], keys.at(-1)]) {
        expect(await store.get(key ?? "")).toBe(`${space} ${key}`);
      }
    }
  });

  test("brings back quotas, rows and values, and forgets buckets", async () => {
    const path = join(makeDir(), "c.db");
    const bucket = { key: "b", capacity: 1, perSecond: 0.001 };
    const clock = createFakeClock();
    const first = open(path, clock).all;
    const one = first.namespace("one");
    const { reservation } = await one.reserve(quota, day, 400);
    if (reservation !== undefined) await one.settle(reservation, 250);
    await one.add("r", { n: 1 }, clock.now() + 5000);
    await one.add("r", { n: 2 }, clock.now() + 5000);
    await one.put("v", "1");
    await one.put("short", "1", clock.now() + 1000);
    await one.put("gone", "1");
    await one.remove("gone");
    await one.take([bucket], [1]);
    await first.namespace("two").put("v", "2");
    await first.close();
    clock.advance(1000);

    const { all, log } = open(path, clock);
    const again = all.namespace("one");
    expect(await again.look(quota, day)).toEqual({ spent: 250, held: 0, endMs: day.endMs });
    expect(await again.read("")).toEqual([{ key: "r", counts: { n: 3 } }]);
    expect((await again.list("")).map(({ key }) => key)).toEqual(["v"]);
    expect(await all.namespace("two").get("v")).toBe("2");
    expect((await again.take([bucket], [1])).admitted).toBe(true);
    expect(all.loss).toBeUndefined();
    expect(log.lines).toEqual([]);
  });

  test("opens no period again that a clock which stepped back would", async () => {
    const path = join(makeDir(), "c.db");
    const first = open(path).all;
    const { reservation } = await first.namespace("one").reserve(quota, nextDay, 1000);
    if (reservation !== undefined) await first.namespace("one").settle(reservation, 1000);
    await first.close();
    const again = open(path).all.namespace("one");
    expect((await again.reserve(quota, day, 1)).reservation).toBeUndefined();
  });

  test("after which nothing more is written to the old one", async () => {
    const path = join(makeDir(), "c.db");
    const first = open(path).all;
    await first.close();
    await first.namespace("one").put("late", "1");
    await first.close();
    expect(await open(path).all.namespace("one").get("late")).toBeUndefined();
  });
});

describe("a process that is killed", () => {
  test("has written what is older than half a second, without being asked", async () => {
    const path = join(makeDir(), "c.db");
    const { all } = open(path);
    await all.namespace("one").put("k", "v");
    const isThere = async (): Promise<boolean> =>
      (await open(killed(path)).all.namespace("one").get("k")) === "v";
    expect(await isThere()).toBe(false);
    // Twice the promise, for a machine under load.
    await until("the value is on disk", isThere, 1000);
  });

  test("has spent what it held, once, and only in the period it was held in", async () => {
    const path = join(makeDir(), "c.db");
    const one = open(path).all.namespace("one");
    const settled = await one.reserve(quota, day, 100);
    const open_ = await one.reserve(quota, day, 300);
    await one.reserve({ ...quota, key: "other" }, day, 7);
    if (settled.reservation !== undefined) await one.settle(settled.reservation, 40);
    await one.flush();
    expect(open_.reservation).toBeDefined();

    const copy = killed(path);
    const { all, log } = open(copy);
    expect(await all.namespace("one").look(quota, day)).toMatchObject({ spent: 340, held: 0 });
    expect(log.lines).toMatchObject([{ level: "warn", fields: { count: 2, amount: 307 } }]);
    // Charged for good: another kill charges nothing more.
    const again = open(killed(copy));
    expect(await again.all.namespace("one").look(quota, day)).toMatchObject({ spent: 340 });
    expect(again.log.lines).toEqual([]);
    expect(await again.all.namespace("one").look(quota, nextDay)).toMatchObject({ spent: 0 });
  });

  test("whose stream began in the last period owes nothing in the new one", async () => {
    const path = join(makeDir(), "c.db");
    const one = open(path).all.namespace("one");
    await one.reserve(quota, day, 300);
    await one.flush();
    await one.reserve(quota, nextDay, 5);
    await one.flush();
    const again = open(killed(path)).all.namespace("one");
    expect(await again.look(quota, nextDay)).toMatchObject({ spent: 5, held: 0 });
  });

  test("does not pay twice for what was settled before it was written", async () => {
    const path = join(makeDir(), "c.db");
    const one = open(path).all.namespace("one");
    const { reservation } = await one.reserve(quota, day, 300);
    await one.flush();
    if (reservation !== undefined) await one.settle(reservation, 10);
    await one.flush();
    const again = open(killed(path)).all.namespace("one");
    expect(await again.look(quota, day)).toMatchObject({ spent: 10, held: 0 });
  });
});

describe("the file", () => {
  test("is for its owner alone, as is the directory that it makes", () => {
    const path = join(makeDir(), "deep/er/c.db");
    open(path);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    for (const file of readdirSync(dirname(path))) {
      expect([file, statSync(join(dirname(path), file)).mode & 0o777]).toEqual([file, 0o600]);
    }
  });

  test("that others may read is closed to them; a directory they may write is told", async () => {
    const path = join(makeDir(), "c.db");
    await open(path).all.close();
    chmodSync(path, 0o644);
    chmodSync(dirname(path), 0o777);
    const { log } = open(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(log.lines).toMatchObject([
      { level: "warn", message: expect.stringContaining("chmod 700") },
    ]);
  });

  test("that was never there is no loss, one that is gone is", async () => {
    const path = join(makeDir(), "c.db");
    const first = open(path).all;
    expect(first.loss).toBeUndefined();
    await first.close();
    rmSync(path);
    const second = open(path).all;
    expect(second.loss).toMatchObject({ kind: "missing" });
    await second.close();
    // It has been told: from now on the new one is the one.
    expect(open(path).all.loss).toBeUndefined();
  });

  test("that another one took the place of is told", async () => {
    const [path, other] = [join(makeDir(), "c.db"), join(makeDir(), "c.db")];
    await open(path).all.close();
    await open(other).all.close();
    copyFileSync(other, path);
    expect(open(path).all.loss).toMatchObject({ kind: "replaced" });
  });

  const garbage = Buffer.alloc(5000, 7);
  test.each<[string, (path: string) => void]>([
    ["garbage", (path) => writeFileSync(path, garbage)],
    [
      "a torn page",
      (path) => {
        const bytes = readFileSync(path);
        garbage.copy(bytes, 4096, 0, 4096);
        writeFileSync(path, bytes);
      },
    ],
    ["cut off", (path) => writeFileSync(path, readFileSync(path).subarray(0, 6000))],
  ])("that is corrupt (%s) is set aside, untouched, and a new one serves", async (_case, spoil) => {
    const path = join(makeDir(), "c.db");
    const first = open(path).all;
    for (let i = 0; i < 200; i++) await first.namespace("one").put(`k${i}`, "v".repeat(100));
    await first.close();
    spoil(path);
    const spoilt = readFileSync(path);
    const second = open(path).all;
    expect(second.loss).toMatchObject({ kind: "corrupt" });
    const aside = `${path}.corrupt-2026-01-01T00-00-00Z`;
    expect(second.loss?.message).toContain(aside);
    expect(readFileSync(aside).equals(spoilt)).toBe(true);
    await second.namespace("one").put("k", "v");
    await second.close();
    // A second one in the same second overwrites nothing either.
    spoil(path);
    expect(open(path).all.loss).toMatchObject({ kind: "corrupt" });
    expect(readFileSync(aside).equals(spoilt)).toBe(true);
    expect(existsSync(`${aside}-2`)).toBe(true);
  });

  test("that is empty is as good as new", () => {
    const path = join(makeDir(), "c.db");
    writeFileSync(path, "");
    expect(open(path).all.loss).toBeUndefined();
  });

  test("whose write-ahead log outlived it is not filled from that", async () => {
    const path = join(makeDir(), "c.db");
    const { all } = open(path);
    await all.namespace("one").put("k", "v");
    await all.namespace("one").flush();
    const copy = killed(path);
    rmSync(copy);
    const again = open(copy).all;
    expect(again.loss).toMatchObject({ kind: "missing" });
    expect(await again.namespace("one").get("k")).toBeUndefined();
  });

  test.each<[string, (path: string) => void, message: RegExp]>([
    [
      "of another program",
      (path) => {
        const db = new Database(path);
        db.run("CREATE TABLE t (x)");
        db.close();
      },
      /another program/,
    ],
    [
      "of a newer version",
      (path) => {
        open(path).all.close();
        const db = new Database(path);
        db.run("PRAGMA user_version = 99");
        db.close();
      },
      /newer version/,
    ],
    ["that is a directory", (path) => mkdirSync(path), /can't be opened/],
    [
      "whose directory is a file",
      (path) => {
        rmSync(dirname(path), { recursive: true });
        writeFileSync(dirname(path), "");
      },
      /can't be opened/,
    ],
  ])("%s stops the start and is left alone", (_case, make, message) => {
    const dir = makeDir();
    const path = join(dir, "s", "c.db");
    mkdirSync(dirname(path), { mode: 0o700 });
    make(path);
    const before = readdirSync(dir, { recursive: true }).sort();
    let failed: unknown;
    try {
      open(path);
    } catch (error) {
      failed = error;
    }
    expect(failed).toMatchObject({ message: expect.stringMatching(message) });
    expect(failed).toHaveProperty("mend");
    expect(readdirSync(dir, { recursive: true }).sort()).toEqual(before);
  });
});

describe("the write-ahead log", () => {
  test("stays small however much is written, and nothing is lost by that", async () => {
    const path = join(makeDir(), "c.db");
    const one = open(path).all.namespace("one");
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 1000; i++) await one.put(`k${i}`, `${round}`.padEnd(100));
      await one.flush();
    }
    // 100 rounds would be 16 MB.
    expect(statSync(`${path}-wal`).size).toBeLessThan(2 * 1024 * 1024);
    const kept = await open(killed(path)).all.namespace("one").list("");
    expect(kept).toHaveLength(1000);
    expect(kept.every(({ value }) => value === "99".padEnd(100))).toBe(true);
  });
});

describe("the SQLite of Node", () => {
  const node = nodeDatabase() as OpenDatabase;

  test("keeps the same file", async () => {
    const path = join(makeDir(), "c.db");
    const first = open(path, createFakeClock(), node).all;
    await first.namespace("one").put("k", "v");
    await first.namespace("one").add("r", { n: 2 });
    await first.namespace("one").reserve(quota, day, 300);
    await first.close();
    const second = open(path).all;
    expect(await second.namespace("one").get("k")).toBe("v");
    await second.close();
    const third = open(path, createFakeClock(), node).all.namespace("one");
    expect(await third.read("")).toEqual([{ key: "r", counts: { n: 2 } }]);
    expect(await third.look(quota, day)).toMatchObject({ spent: 300, held: 0 });
  });

  test("tells a corrupt file from one that can't be opened", () => {
    const path = join(makeDir(), "c.db");
    writeFileSync(path, Buffer.alloc(5000, 7));
    expect(open(path, createFakeClock(), node).all.loss).toMatchObject({ kind: "corrupt" });
    expect(() => open(makeDir(), createFakeClock(), node)).toThrow("can't be opened");
  });
});

describe("a full disk", () => {
  test("leaves all in memory, is told once, and once there is room all is written", async () => {
    const path = join(makeDir(), "c.db");
    let db: ReturnType<OpenDatabase> | undefined;
    const opener: OpenDatabase = (file) => {
      db = openDatabase(file);
      return db;
    };
    const { all, log } = open(path, createFakeClock(), opener);
    const one = all.namespace("one");
    db?.exec("PRAGMA max_page_count = 20");
    const many = Array.from({ length: 200 }, (_, i) => `k${i}`);
    for (const key of many) await one.put(key, "v".repeat(1000));
    const flush = async (): Promise<void> => one.flush();
    expect(flush()).rejects.toThrow("full");
    await until("it has tried again", () => log.lines.length > 0);
    expect(flush()).rejects.toThrow("full");
    expect(log.lines.map(({ level }) => level)).toEqual(["error"]);
    const { reservation } = await one.reserve(quota, day, 400);
    expect(reservation).toBeDefined();
    expect(await one.get("k199")).toBe("v".repeat(1000));

    db?.exec("PRAGMA max_page_count = 100000");
    await until("it is written", () => log.lines.length === 2, 5000);
    expect(log.lines[1]).toMatchObject({ level: "info" });
    const again = open(killed(path)).all.namespace("one");
    expect(await again.list("")).toHaveLength(200);
    expect(await again.look(quota, day)).toMatchObject({ spent: 400 });
  });
});
