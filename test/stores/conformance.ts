import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Bucket, OpenStore, Period, Quota, Store } from "../../src/contract/store.ts";
import { createFakeClock, type FakeClock } from "../harness/fake-clock.ts";

/** How a kind of store is made for one test; each call starts with nothing. */
export type MakeStore = (clock: FakeClock) => OpenStore | Promise<OpenStore>;

const hour: Period = { startMs: Date.UTC(2026, 0, 1), endMs: Date.UTC(2026, 0, 1, 1) };
const nextHour: Period = { startMs: hour.endMs, endMs: hour.endMs + 3_600_000 };
const tenASecond: Bucket = { key: "b", capacity: 20, perSecond: 10 };
const quota: Quota = { key: "q", limit: 100 };

/** What every store must do, whatever it is made of; operations may answer late. */
export function conforms(name: string, make: MakeStore): void {
  const open = async (): Promise<{ clock: FakeClock; all: OpenStore; store: Store }> => {
    const clock = createFakeClock(hour.startMs);
    const all = await make(clock);
    return { clock, all, store: all.namespace("one") };
  };
  describe(`${name}: buckets`, () => testBuckets(open));
  describe(`${name}: quotas`, () => testQuotas(open));
  describe(`${name}: rows of counters`, () => testRows(open));
  describe(`${name}: values`, () => testValues(open));
  describe(`${name}: namespaces`, () => testNamespaces(open));
}

type Open = () => Promise<{ clock: FakeClock; all: OpenStore; store: Store }>;

/** Whether one bucket lets an amount through. */
async function takes(store: Store, bucket: Bucket, amount: number): Promise<boolean> {
  return (await store.take([bucket], [amount])).admitted;
}

function testBuckets(open: Open): void {
  test("exactly the capacity at once, then what flows back", async () => {
    const { store, clock } = await open();
    const passed = await Promise.all(Array.from({ length: 50 }, () => takes(store, tenASecond, 1)));
    expect(passed.filter(Boolean)).toHaveLength(20);
    clock.advance(99);
    expect(await takes(store, tenASecond, 1)).toBe(false);
    clock.advance(1);
    expect(await takes(store, tenASecond, 1)).toBe(true);
    expect(await takes(store, tenASecond, 1)).toBe(false);
    clock.advance(3_600_000);
    expect((await store.take([tenASecond], [0])).levels).toEqual([{ left: 20, waitMs: 0 }]);
  });

  test("the wait that it tells is the shortest that helps", async () => {
    const { store, clock } = await open();
    await store.take([tenASecond], [20]);
    const refused = await store.take([tenASecond], [5]);
    expect(refused).toEqual({ admitted: false, levels: [{ left: 0, waitMs: 500 }] });
    clock.advance(499);
    expect(await takes(store, tenASecond, 5)).toBe(false);
    clock.advance(1);
    expect(await takes(store, tenASecond, 5)).toBe(true);
  });

  test("a denial costs nothing, in no bucket", async () => {
    const { store } = await open();
    const small = { key: "small", capacity: 1, perSecond: 1 };
    expect((await store.take([tenASecond, small], [5, 1])).admitted).toBe(true);
    const refused = await store.take([tenASecond, small], [5, 1]);
    expect(refused.levels.map(({ left }) => left)).toEqual([15, 0]);
    expect(refused.levels.map(({ waitMs }) => waitMs)).toEqual([0, 1000]);
    expect(await takes(store, tenASecond, 15)).toBe(true);
  });

  test("a full bucket admits more than it holds; all of it is taken", async () => {
    const { store } = await open();
    expect(await takes(store, tenASecond, 1_000_000)).toBe(true);
    expect(await takes(store, tenASecond, 1)).toBe(false);
  });

  test("what was too little becomes debt, what was too much flows back, never beyond", async () => {
    const { store, clock } = await open();
    await store.take([tenASecond], [10]);
    await store.charge(tenASecond, 30);
    clock.advance(2000);
    expect((await store.take([tenASecond], [1])).levels).toEqual([{ left: 0, waitMs: 100 }]);
    await store.charge(tenASecond, -1000);
    expect((await store.take([tenASecond], [0])).levels).toEqual([{ left: 20, waitMs: 0 }]);
    expect(await takes(store, tenASecond, 21)).toBe(true);
  });

  test("a reload changes its limits and keeps what is used", async () => {
    const { store } = await open();
    await store.take([tenASecond], [15]);
    const wider = { ...tenASecond, capacity: 30 };
    expect((await store.take([wider], [0])).levels[0]?.left).toBe(15);
    const narrower = { ...tenASecond, capacity: 10 };
    expect((await store.take([narrower], [1])).admitted).toBe(false);
  });

  test("whatever is taken when, no span admits more than its capacity and its refill", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(3000), fc.integer({ min: 1, max: 12 })), { maxLength: 60 }),
        async (steps) => {
          const { store, clock } = await open();
          const admitted: { atMs: number; amount: number }[] = [];
          let atMs = 0;
          for (const [waitMs, amount] of steps) {
            clock.advance(waitMs);
            atMs += waitMs;
            if (await takes(store, tenASecond, amount)) admitted.push({ atMs, amount });
          }
          for (const [i, first] of admitted.entries()) {
            let sum = 0;
            for (const one of admitted.slice(i)) {
              sum += one.amount;
              expect(sum).toBeLessThanOrEqual(20.001 + (one.atMs - first.atMs) / 100);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("taking and giving back leaves no drift", async () => {
    const { store, clock } = await open();
    for (let i = 0; i < 2000; i++) {
      const amount = (i * 7) % 19;
      if (await takes(store, tenASecond, amount)) await store.charge(tenASecond, -amount);
      clock.advance(i % 3);
    }
    expect((await store.take([tenASecond], [0])).levels).toEqual([{ left: 20, waitMs: 0 }]);
  });
}

function testQuotas(open: Open): void {
  const level = async (store: Store, period = hour): Promise<[spent: number, held: number]> => {
    const { spent, held } = await store.look(quota, period);
    return [spent, held];
  };

  test("holds up to the limit, and settles to what was spent", async () => {
    const { store } = await open();
    const first = await store.reserve(quota, hour, 60);
    expect(first).toMatchObject({ spent: 0, held: 60, endMs: hour.endMs });
    expect((await store.reserve(quota, hour, 41)).reservation).toBeUndefined();
    const second = await store.reserve(quota, hour, 40);
    expect(await level(store)).toEqual([0, 100]);
    if (first.reservation === undefined || second.reservation === undefined) throw new Error();
    await store.settle(first.reservation, 10);
    expect(await level(store)).toEqual([10, 40]);
    await store.settle(second.reservation, 200);
    expect(await level(store)).toEqual([210, 0]);
    expect((await store.reserve(quota, hour, 1)).reservation).toBeUndefined();
  });

  test("settling twice counts once", async () => {
    const { store } = await open();
    const { reservation } = await store.reserve(quota, hour, 60);
    if (reservation === undefined) throw new Error("refused");
    await store.settle(reservation, 5);
    await store.settle(reservation, 5);
    await store.settle({ ...reservation, id: "of-nobody" }, 5);
    expect(await level(store)).toEqual([5, 0]);
  });

  test("of an amount above the limit all of it is held, if nothing is spent yet", async () => {
    const { store } = await open();
    const { reservation, held } = await store.reserve(quota, hour, 1e15);
    expect(held).toBe(100);
    if (reservation === undefined) throw new Error("refused");
    await store.settle(reservation, 1);
    expect((await store.reserve(quota, hour, 1e15)).reservation).toBeUndefined();
  });

  test("begins anew with the next period, once", async () => {
    const { store } = await open();
    const { reservation } = await store.reserve(quota, hour, 100);
    expect((await store.reserve(quota, nextHour, 70)).reservation).toBeDefined();
    expect(await level(store, nextHour)).toEqual([0, 70]);
    // What was held in the old period is settled there, and nowhere else.
    if (reservation !== undefined) await store.settle(reservation, 100);
    expect(await level(store, nextHour)).toEqual([0, 70]);
    expect((await store.reserve(quota, nextHour, 31)).reservation).toBeUndefined();
  });

  test("a clock that steps back opens no period again", async () => {
    const { store } = await open();
    await store.reserve(quota, nextHour, 100);
    const back = await store.reserve(quota, hour, 1);
    expect(back).toMatchObject({ reservation: undefined, endMs: nextHour.endMs, held: 100 });
    expect((await store.reserve(quota, nextHour, 1)).reservation).toBeUndefined();
  });

  test("looking changes nothing, also for a period that has not begun", async () => {
    const { store } = await open();
    await store.reserve(quota, hour, 30);
    expect(await level(store, nextHour)).toEqual([0, 0]);
    expect(await level(store)).toEqual([0, 30]);
    expect(await store.look({ key: "new", limit: 1 }, hour)).toMatchObject({ spent: 0, held: 0 });
  });

  test("a race of many admits as many as fit", async () => {
    const { store } = await open();
    const all = await Promise.all(
      Array.from({ length: 64 }, async () => store.reserve(quota, hour, 7)),
    );
    expect(all.filter(({ reservation }) => reservation !== undefined)).toHaveLength(14);
    expect(await level(store)).toEqual([0, 98]);
  });

  test("whatever is interleaved, what is admitted stays within the limit", async () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("reserve" as const), amount: fc.integer({ min: 0, max: 60 }) }),
      fc.record({
        op: fc.constant("settle" as const),
        which: fc.nat(20),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ op: fc.constant("next" as const), by: fc.integer({ min: -1, max: 1 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const { store } = await open();
        const periods = [hour, nextHour];
        let [at, latest] = [0, 0];
        let model = { spent: 0, held: 0 };
        const made: { reservation: { key: string; id: string }; amount: number; in: number }[] = [];
        for (const one of steps) {
          if (one.op === "next") at = Math.min(1, Math.max(0, at + one.by));
          if (one.op === "reserve") {
            if (at > latest) model = { spent: 0, held: 0 };
            latest = Math.max(latest, at);
            const got = await store.reserve(quota, periods[at] as Period, one.amount);
            const fits = model.spent + model.held + one.amount <= quota.limit;
            expect(got.reservation !== undefined).toBe(fits);
            if (got.reservation === undefined) continue;
            model.held += one.amount;
            made.push({ reservation: got.reservation, amount: one.amount, in: latest });
          }
          if (one.op === "settle") {
            const open = made[one.which];
            if (open === undefined) continue;
            const spent = Math.floor(open.amount * one.share);
            await store.settle(open.reservation, spent);
            if (open.in === latest && open.amount >= 0) {
              model = { spent: model.spent + spent, held: model.held - open.amount };
            }
            made[one.which] = { ...open, amount: -1, in: -1 };
          }
          expect(model.spent + model.held).toBeLessThanOrEqual(quota.limit);
          const { spent, held } = await store.look(quota, periods[latest] as Period);
          expect({ spent, held }).toEqual(model);
        }
      }),
      { numRuns: 100 },
    );
  });
}

function testRows(open: Open): void {
  test("add up by name, and are read by the begin of their keys, in order", async () => {
    const { store } = await open();
    await store.add("2026-01-02 b", { requests: 1, tokens: 5 });
    await store.add("2026-01-01 a", { requests: 1 });
    await store.add("2026-01-02 b", { requests: 2, errors: 1 });
    expect(await store.read("")).toEqual([
      { key: "2026-01-01 a", counts: { requests: 1 } },
      { key: "2026-01-02 b", counts: { requests: 3, tokens: 5, errors: 1 } },
    ]);
    expect(await store.read("2026-01-02")).toHaveLength(1);
    expect(await store.read("2027")).toEqual([]);
  });

  test("what was read does not change any more", async () => {
    const { store } = await open();
    await store.add("k", { n: 1 });
    const before = await store.read("k");
    await store.add("k", { n: 1 });
    expect(before[0]?.counts).toEqual({ n: 1 });
  });

  test("are gone when they expire, and begin anew", async () => {
    const { store, clock } = await open();
    await store.add("k", { n: 5 }, clock.now() + 1000);
    clock.advance(1000);
    expect(await store.read("")).toEqual([]);
    await store.add("k", { n: 1 }, clock.now() + 1000);
    expect(await store.read("")).toEqual([{ key: "k", counts: { n: 1 } }]);
    expect(await store.remove("k")).toBe(true);
    expect(await store.read("")).toEqual([]);
  });

  test("a race adds up", async () => {
    const { store } = await open();
    await Promise.all(Array.from({ length: 100 }, async () => store.add("k", { n: 1 })));
    expect(await store.read("k")).toEqual([{ key: "k", counts: { n: 100 } }]);
  });
}

function testValues(open: Open): void {
  test("a scan tells all that is in force, in parts, and others get their turn", async () => {
    const { store, clock } = await open();
    await store.put("k-over", "v", clock.now() + 1);
    for (let i = 0; i < 25_000; i++) await store.put(`k${i}`, "v");
    await store.put("other", "v");
    clock.advance(1);
    let turns = 0;
    const seen: string[] = [];
    for await (const part of store.scan("k")) {
      expect(part.length).toBeLessThanOrEqual(10_000);
      seen.push(...part.map(({ key }) => key));
      setTimeout(() => {
        turns += 1;
      }, 0);
    }
    expect([seen.length, new Set(seen).size, seen.includes("k-over")]).toEqual([
      25_000,
      25_000,
      false,
    ]);
    expect(turns).toBeGreaterThan(0);
  });

  test("are put, got, listed and removed", async () => {
    const { store } = await open();
    await store.put("b", "2");
    await store.put("a", "1");
    await store.put("b", "3");
    expect([await store.get("a"), await store.get("b"), await store.get("c")]).toEqual([
      "1",
      "3",
      undefined,
    ]);
    expect((await store.list("")).map(({ key, value }) => [key, value])).toEqual([
      ["a", "1"],
      ["b", "3"],
    ]);
    expect((await store.list("b")).map(({ key }) => key)).toEqual(["b"]);
    expect(await store.remove("a")).toBe(true);
    expect(await store.remove("a")).toBe(false);
    expect(await store.get("a")).toBeUndefined();
  });

  test("are told by page, in the order of their keys", async () => {
    const { store, clock } = await open();
    const keys = Array.from({ length: 500 }, (_, i) => `k${(i * 7919) % 500}`);
    for (const key of keys) await store.put(key, `of ${key}`);
    await store.put("", "x");
    await store.put("other", "x");
    await store.put("k250-over", "x", clock.now() + 1);
    clock.advance(1);
    for (const most of [1, 3, 499, 500, 501]) {
      const seen: string[] = [];
      let page = await store.page("k", undefined, most);
      while (page.length > 0) {
        expect(page.length).toBeLessThanOrEqual(most);
        seen.push(...page.map(({ key }) => key));
        page = await store.page("k", seen.at(-1), most);
      }
      expect(seen).toEqual([...keys].sort());
    }
    expect(await store.page("k7", "k70", 1)).toEqual([
      { key: "k71", value: "of k71", expiresAtMs: undefined },
    ]);
    expect((await store.page("", undefined, 1)).map(({ key }) => key)).toEqual([""]);
  });

  test("expire to the millisecond; a later put decides how long", async () => {
    const { store, clock } = await open();
    const untilMs = clock.now() + 1000;
    await store.put("a", "1", untilMs);
    await store.put("b", "1", untilMs);
    await store.put("b", "2");
    clock.advance(999);
    expect(await store.list("a")).toEqual([{ key: "a", value: "1", expiresAtMs: untilMs }]);
    clock.advance(1);
    expect(await store.get("a")).toBeUndefined();
    expect(await store.remove("a")).toBe(false);
    expect(await store.list("")).toEqual([{ key: "b", value: "2", expiresAtMs: undefined }]);
  });

  test.each([
    ["an empty key", "", "x"],
    ["a key of an object", "__proto__", "x"],
    ["odd characters", "\u2028 '\"; DROP TABLE items; -- \u{1f98a}", "\u0000\n\u{1f98a}"],
    ["the longest", "k".repeat(1024), "v".repeat(16 * 1024)],
  ])("keep %s", async (_case, key, value) => {
    const { store } = await open();
    await store.put(key, value);
    await store.flush();
    expect(await store.get(key)).toBe(value);
    expect(await store.list(key)).toHaveLength(1);
  });

  test.each([
    ["key", "k".repeat(1025), "v"],
    ["value", "k", "v".repeat(16 * 1024 + 1)],
  ])("refuse a %s that is one longer", async (_case, key, value) => {
    const { store } = await open();
    const put = async (): Promise<void> => store.put(key, value);
    expect(put()).rejects.toThrow("at most");
  });
}

function testNamespaces(open: Open): void {
  test("don't meet, and lead to the same state by the same name", async () => {
    const { store, all } = await open();
    const two = all.namespace("two");
    await store.put("k", "1");
    await store.add("k", { n: 1 });
    await store.take([tenASecond], [20]);
    const { reservation } = await store.reserve(quota, hour, 100);
    expect(await two.get("k")).toBeUndefined();
    expect(await two.read("")).toEqual([]);
    expect(await takes(two, tenASecond, 20)).toBe(true);
    const other = await two.reserve(quota, hour, 100);
    expect(other.reservation).toBeDefined();
    if (reservation === undefined) throw new Error("refused");
    await two.settle(reservation, 0);
    expect(await store.look(quota, hour)).toMatchObject({ spent: 0, held: 100 });
    expect(await all.namespace("one").get("k")).toBe("1");
  });
}
