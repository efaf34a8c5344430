import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bucket, Pace } from "../../src/kit/bucket.ts";
import { type BucketKey, BucketTable } from "../../src/kit/bucket-table.ts";
import { RateFields, retryAfterSeconds } from "../../src/kit/rate-fields.ts";

const plenty = 1000;

function key(low: number): BucketKey {
  return { high: 7, low };
}

function admittedOf(times: number, take: () => { admitted: boolean }): number {
  let count = 0;
  for (let i = 0; i < times; i++) if (take().admitted) count += 1;
  return count;
}

describe("Bucket", () => {
  const rates: readonly (readonly [perSecond: number, burst: number])[] = [
    [10, 20],
    [10, 1],
    [3, 7],
    [1 / 3, 5],
    [0.001, 2],
    [333_333, 1_000_000],
    [100, 200],
  ];
  /** When the process starts, after a day, after three years. */
  const starts = [1, 86_400_000.123, 94_608_000_000.777];
  const cases = rates.flatMap((rate) => starts.map((start) => [...rate, start] as const));

  test.each(cases)("%d/s, burst %d, at %d ms: exactly the burst, then the rate", (...one) => {
    const [perSecond, burst, start] = one;
    const pace = new Pace({ perSecond, burst });
    const bucket = new Bucket();
    expect(admittedOf(burst + 50, () => bucket.take(pace, start))).toBe(burst);
    const step = 1000 / perSecond;
    for (let i = 1; i <= 20; i++) {
      expect(bucket.take(pace, start + (i - 0.5) * step).admitted).toBe(false);
      expect(bucket.take(pace, start + i * step).admitted).toBe(true);
    }
  });

  test("103: 20 at once, then 10 in each second that follows", () => {
    const pace = new Pace({ perSecond: 10, burst: 20 });
    const bucket = new Bucket();
    expect(admittedOf(100, () => bucket.take(pace, 1000))).toBe(20);
    for (let second = 1; second <= 5; second++) {
      let count = 0;
      for (let ms = 5; ms <= 1000; ms += 5) {
        if (bucket.take(pace, 1000 + (second - 1) * 1000 + ms).admitted) count += 1;
      }
      expect(count).toBe(10);
    }
  });

  test("for any interleaving, never more than the burst and what the rate adds", () => {
    const waits = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 400, noNaN: true })));
    const rate = fc.record({
      perSecond: fc.double({ min: 0.1, max: 1000, noNaN: true }),
      burst: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(rate, waits, (one, gaps) => {
        const pace = new Pace(one);
        const bucket = new Bucket();
        const admitted: number[] = [];
        let nowMs = 1000;
        for (const gap of gaps) {
          nowMs += gap;
          if (bucket.take(pace, nowMs).admitted) admitted.push(nowMs);
        }
        for (const [i, from] of admitted.entries()) {
          for (const [more, to] of admitted.slice(i).entries()) {
            const most = one.burst + ((to - from) * one.perSecond) / 1000;
            expect(more + 1).toBeLessThanOrEqual(most + 0.01);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test("106: who waits as long as Retry-After says is admitted, and not a millisecond before", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 50, noNaN: true }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 1, max: 1e9, noNaN: true }),
        (perSecond, burst, start) => {
          const pace = new Pace({ perSecond, burst });
          const bucket = new Bucket();
          admittedOf(burst, () => bucket.take(pace, start));
          const refused = bucket.take(pace, start);
          expect(refused.admitted).toBe(false);
          const seconds = retryAfterSeconds(refused);
          expect(seconds).toBeGreaterThanOrEqual(1);
          const early = start + refused.waitMs - Math.max(1, 20 / perSecond);
          if (early > start) expect(bucket.look(pace, early).admitted).toBe(false);
          expect(bucket.take(pace, start + seconds * 1000).admitted).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("a refusal costs nothing", () => {
    const pace = new Pace({ perSecond: 1, burst: 1 });
    const bucket = new Bucket();
    expect(bucket.take(pace, 1000).admitted).toBe(true);
    expect(admittedOf(1000, () => bucket.take(pace, 1500))).toBe(0);
    expect(bucket.take(pace, 2000).admitted).toBe(true);
  });

  test("a new rate takes over what is in use, and the old one never gets it back", () => {
    const slow = new Pace({ perSecond: 1, burst: 4 });
    const wide = new Pace({ perSecond: 1, burst: 10 });
    const narrow = new Pace({ perSecond: 2, burst: 2 });
    const bucket = new Bucket();
    expect(admittedOf(9, () => bucket.take(slow, 1000))).toBe(4);
    expect(admittedOf(99, () => bucket.take(wide, 1000))).toBe(6);
    expect(bucket.take(narrow, 1000).admitted).toBe(false);
    // A request that the old configuration still had under way.
    expect(bucket.take(wide, 1000).admitted).toBe(false);
    expect(bucket.look(slow, 1000).waitMs).toBe(500);
    expect(bucket.take(narrow, 1500).admitted).toBe(true);
    expect(bucket.take(narrow, 1500).admitted).toBe(false);
  });
});

describe("BucketTable", () => {
  test("keys are apart", () => {
    const pace = new Pace({ perSecond: 1, burst: 3 });
    const table = new BucketTable(1);
    for (const low of [1, 2, 0, 0xffff_ffff]) {
      expect(admittedOf(9, () => table.take(key(low), pace, 1000, plenty))).toBe(3);
    }
    expect(table.take({ high: 8, low: 1 }, pace, 1000, plenty).admitted).toBe(true);
    expect(table.size).toBe(5);
  });

  test("says what a bucket for each key says, whatever it drops and wherever it moves", () => {
    const event = fc.record({ low: fc.nat(40), gapMs: fc.constantFrom(0, 1, 50, 400, 3000) });
    fc.assert(
      fc.property(fc.integer(), fc.array(event, { maxLength: 300 }), (seed, events) => {
        const pace = new Pace({ perSecond: 2, burst: 3 });
        const table = new BucketTable(seed);
        const buckets = new Map<number, Bucket>();
        let nowMs = 1000;
        for (const { low, gapMs } of events) {
          nowMs += gapMs;
          const bucket = buckets.get(low) ?? new Bucket();
          buckets.set(low, bucket);
          expect(table.look(key(low), pace, nowMs)).toEqual(bucket.look(pace, nowMs));
          expect(table.take(key(low), pace, nowMs, plenty)).toEqual(bucket.take(pace, nowMs));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("thousands of keys, grown through several sizes, are all still known", () => {
    const pace = new Pace({ perSecond: 0.001, burst: 1 });
    const table = new BucketTable(99);
    for (let low = 0; low < 20_000; low++) table.take(key(low), pace, 1000, 100_000);
    for (let low = 0; low < 20_000; low++) {
      expect(table.take(key(low), pace, 1001, 100_000).admitted).toBe(false);
    }
    expect(table.size).toBe(20_000);
  });

  test("at the limit each has its own bucket; one above, what is left is shared", () => {
    const pace = new Pace({ perSecond: 1, burst: 2 });
    const table = new BucketTable(5);
    const most = 10;
    for (let low = 0; low < most; low++) {
      expect(admittedOf(5, () => table.take(key(low), pace, 1000, most))).toBe(2);
    }
    expect(admittedOf(50, () => table.take(key(100 + Math.random() * 1e6), pace, 1000, most))).toBe(
      2,
    );
    expect(table.size).toBe(most);
  });

  test("a million addresses forgive no earlier offender, and take no room", () => {
    const pace = new Pace({ perSecond: 0.1, burst: 2 });
    const table = new BucketTable(3);
    const most = 500;
    expect(admittedOf(9, () => table.take(key(0), pace, 1000, most))).toBe(2);
    for (let low = 1; low <= 1_000_000; low++) table.take(key(low), pace, 1000 + low / 1000, most);
    expect(table.size).toBe(most);
    expect(table.take(key(0), pace, 2001, most).admitted).toBe(false);
    expect(table.take(key(0), pace, 11_000, most).admitted).toBe(true);
  });

  test("what left the shared bucket for its own has not gained by it", () => {
    const pace = new Pace({ perSecond: 1, burst: 3 });
    const table = new BucketTable(8);
    table.take(key(1), pace, 1000, 1);
    expect(admittedOf(9, () => table.take(key(2), pace, 1001, 1))).toBe(3);
    // The place has become free; nothing but the rate has been gained since.
    const later = 2010;
    expect(admittedOf(9, () => table.take(key(2), pace, later, 1))).toBe(1);
    expect(table.size).toBe(1);
  });

  test("buckets that are full again make room", () => {
    const pace = new Pace({ perSecond: 100, burst: 5 });
    const table = new BucketTable(4);
    for (let low = 0; low < 100_000; low++) table.take(key(low), pace, 1000 + low, 2000);
    expect(table.size).toBeLessThan(600);
    const fresh = table.take(key(1e6), pace, 200_000, 2000);
    expect([fresh.admitted, fresh.left]).toEqual([true, 4]);
  });

  test("a new rate takes over what is in use of every key", () => {
    const slow = new Pace({ perSecond: 1, burst: 2 });
    const table = new BucketTable(6);
    for (const low of [1, 2, 3]) admittedOf(9, () => table.take(key(low), slow, 1000, plenty));
    const wide = new Pace({ perSecond: 1, burst: 5 });
    for (const low of [1, 2, 3]) {
      expect(admittedOf(9, () => table.take(key(low), wide, 1000, plenty))).toBe(3);
      expect(table.take(key(low), slow, 1000, plenty).admitted).toBe(false);
    }
    expect(admittedOf(9, () => table.take(key(4), wide, 1000, plenty))).toBe(5);
  });
});

describe("RateFields", () => {
  const policies: readonly (readonly [perSecond: number, burst: number, policy: string])[] = [
    [10, 20, '"client";q=20;w=2'],
    [100, 50, '"client";q=50;w=1'],
    [0.1, 1, '"client";q=1;w=10'],
    [3, 10, '"client";q=10;w=4'],
  ];
  test.each(policies)("%d/s, burst %d: %s", (perSecond, burst, policy) => {
    const rate = { perSecond, burst };
    const pace = new Pace(rate);
    const fields = new RateFields("client", rate).of(pace.tell(0, pace.at(1000)), {});
    expect(fields["ratelimit-policy"]).toBe(policy);
    expect(fields.ratelimit).toBe(`"client";r=${burst};t=0`);
  });

  test("tell what is left, and behind a refusal the same second as Retry-After", () => {
    const rate = { perSecond: 0.5, burst: 3 };
    const [pace, bucket, fields] = [new Pace(rate), new Bucket(), new RateFields("client", rate)];
    const seen: (string | undefined)[] = [];
    for (let i = 0; i < 4; i++) seen.push(fields.of(bucket.take(pace, 1000), {}).ratelimit);
    expect(seen).toEqual([
      '"client";r=2;t=2',
      '"client";r=1;t=4',
      '"client";r=0;t=2',
      '"client";r=0;t=2',
    ]);
    expect(retryAfterSeconds(bucket.take(pace, 1000))).toBe(2);
  });

  test("stand behind those of another policy", () => {
    const rate = { perSecond: 1, burst: 1 };
    const pace = new Pace(rate);
    const one = new RateFields("one", rate).of(pace.tell(0, 1), {});
    const both = new RateFields("two", rate).of(pace.tell(0, 1), one);
    expect(both).toEqual({
      "ratelimit-policy": '"one";q=1;w=1, "two";q=1;w=1',
      ratelimit: '"one";r=1;t=0, "two";r=1;t=0',
    });
  });
});
