import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Ip, parseIp } from "../../src/kit/ip.ts";
import { createIpIndex } from "../../src/kit/ip-index.ts";
import { type IpRange, isInRange, readRange, toRange } from "../../src/kit/ip-range.ts";
import { createIpSet } from "../../src/kit/ip-set.ts";

function ip(text: string): Ip {
  const found = parseIp(text);
  if (found === undefined) throw new Error(text);
  return found;
}

function range(text: string): IpRange {
  const read = readRange(text);
  if ("problem" in read) throw new Error(read.problem);
  return read.range;
}

/** Addresses and ranges close to each other, so that they often meet. */
const near = fc
  .tuple(fc.constantFrom("10.0.", "::ffff:10.0.", "2001:db8::0.0."), fc.nat(3), fc.nat(255))
  .map(([head, c, d]) => ip(`${head}${c}.${d}`));
const nearRange = fc
  .tuple(near, fc.integer({ min: 0, max: 12 }))
  .map(([address, wild]) => toRange(address, (address.v4 ? 32 : 128) - wild));

describe("createIpSet", () => {
  const cases: readonly (readonly [entries: readonly string[], size: number])[] = [
    [[], 0],
    [["10.0.0.0/8"], 1],
    [["10.0.0.0/8", "10.1.2.3", "10.0.0.0/9"], 1],
    [["10.0.0.0/9", "10.128.0.0/9"], 1],
    [["10.0.0.1", "10.0.0.2", "10.0.0.4"], 2],
    [["0.0.0.0/0", "::/0"], 2],
    [["2001:db8::/33", "2001:db8:8000::/33"], 2],
    [["::fffe", "::ffff", "::1:0"], 1],
    [["255.255.255.255", "0.0.0.0"], 2],
  ];
  test.each(cases)("%j merges to %d", (entries, size) => {
    expect(createIpSet(entries.map(range)).size).toBe(size);
  });

  test("its edges are in, their neighbours are not", () => {
    const set = createIpSet(["10.0.0.0/24", "10.0.2.0/24", "2001:db8::/32"].map(range));
    for (const inside of ["10.0.0.0", "10.0.0.255", "10.0.2.0", "::ffff:10.0.2.255"]) {
      expect([inside, set.has(ip(inside))]).toEqual([inside, true]);
    }
    for (const outside of ["9.255.255.255", "10.0.1.0", "10.0.1.255", "10.0.3.0", "2001:db9::"]) {
      expect([outside, set.has(ip(outside))]).toEqual([outside, false]);
    }
    expect(set.has(ip("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))).toBe(true);
  });

  test("::/0 is all of IPv6 and nothing of IPv4", () => {
    const set = createIpSet([range("::/0")]);
    expect([set.has(ip("::1")), set.has(ip("1.2.3.4"))]).toEqual([true, false]);
  });

  test("says what a scan of all ranges says", () => {
    fc.assert(
      fc.property(fc.array(nearRange, { maxLength: 30 }), fc.array(near), (ranges, asked) => {
        const set = createIpSet(ranges);
        for (const address of asked) {
          expect(set.has(address)).toBe(ranges.some((one) => isInRange(address, one)));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("createIpIndex", () => {
  test("says what a scan says, whatever comes, goes and expires", () => {
    const change = fc.record({
      range: nearRange,
      untilMs: fc.constantFrom(1, 5, 10, Number.POSITIVE_INFINITY),
      add: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change), fc.array(near), fc.nat(12), (changes, asked, nowMs) => {
        const index = createIpIndex();
        const kept = new Map<string, { range: IpRange; untilMs: number }>();
        for (const one of changes) {
          const key = JSON.stringify(one.range);
          if (one.add) index.add(one.range, one.untilMs);
          else expect(index.delete(one.range)).toBe(kept.has(key));
          if (one.add) kept.set(key, one);
          else kept.delete(key);
          expect(index.size).toBe(kept.size);
        }
        for (const address of asked) {
          const scan = [...kept.values()].some(
            (one) => isInRange(address, one.range) && nowMs < one.untilMs,
          );
          expect(index.has(address, nowMs)).toBe(scan);
        }
        index.dropExpired(nowMs);
        const open = [...kept.values()].filter(({ untilMs }) => nowMs < untilMs);
        expect(index.size).toBe(open.length);
        for (const one of kept.values()) expect(index.holds(one.range)).toBe(open.includes(one));
      }),
      { numRuns: 1000 },
    );
  });

  test("thousands come and go, and those that are left are all known", () => {
    const index = createIpIndex();
    const nth = (family: string, i: number): IpRange =>
      range(family === "4" ? `10.0.${i >> 8}.${i & 255}` : `2001:db8::${i.toString(16)}`);
    for (const family of ["4", "6"]) {
      for (let i = 0; i < 5000; i++) index.add(nth(family, i), Number.POSITIVE_INFINITY);
      for (let i = 0; i < 5000; i++) if (i % 7 !== 0) index.delete(nth(family, i));
      for (let i = 0; i < 5000; i++) {
        expect([i, index.has(nth(family, i).first, 0)]).toEqual([i, i % 7 === 0]);
      }
    }
    expect(index.size).toBe(2 * 715);
  });

  test("the whole of a family is a range, too", () => {
    const index = createIpIndex();
    index.add(range("0.0.0.0/0"), Number.POSITIVE_INFINITY);
    expect([index.has(ip("203.0.113.1"), 0), index.has(ip("::1"), 0)]).toEqual([true, false]);
    index.add(range("::/0"), Number.POSITIVE_INFINITY);
    expect(index.has(ip("2001:db8::1"), 0)).toBe(true);
  });
});
