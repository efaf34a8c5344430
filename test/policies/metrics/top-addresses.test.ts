import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  mostCandidates,
  mostSeries,
  TopAddresses,
} from "../../../policies/metrics/top-addresses.ts";

function ip(i: number): string {
  return `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
}

describe("addresses", () => {
  test("few have exact series of their own", () => {
    const top = new TopAddresses();
    for (let i = 0; i < 10; i++) top.add("192.168.1.100");
    top.add("2001:db8:1:2::1");
    top.add("2001:db8:1:2:3::4");
    expect(top.samples()).toEqual([
      ["192.168.1.100", 10],
      ["2001:db8:1:2::/64", 2],
      ["other", 0],
    ]);
  });

  test("at the limit, and one above", () => {
    const top = new TopAddresses();
    for (let i = 0; i < mostSeries; i++) top.add(ip(i));
    expect(top.samples()).toHaveLength(mostSeries + 1);
    top.add(ip(mostSeries));
    expect(top.samples()).toHaveLength(mostSeries + 1);
    expect(top.samples().at(-1)).toEqual(["other", 1]);
  });

  test("5,000 made-up ones don't hide the one that is busy", () => {
    const top = new TopAddresses();
    for (let i = 0; i < 5000; i++) top.add(ip(i));
    for (let i = 0; i < 50; i++) top.add("192.0.2.66");
    const samples = top.samples();
    expect(samples).toHaveLength(mostSeries + 1);
    const busy = samples.find(([label]) => label === "192.0.2.66");
    expect(busy?.[1]).toBeGreaterThan(45);
    expect(samples.reduce((sum, [, value]) => sum + value, 0)).toBe(5050);
  });

  test("candidates are bounded", () => {
    const top = new TopAddresses();
    for (let i = 0; i < mostSeries + mostCandidates; i++) top.add(ip(i));
    expect(top.candidates).toBe(mostCandidates);
    top.add(ip(mostSeries + mostCandidates));
    expect(top.candidates).toBe(mostCandidates);
  });

  test("the sum is exact, and no shown series falls", () => {
    const source = fc.array(fc.nat({ max: 400 }), { maxLength: 3000 });
    fc.assert(
      fc.property(source, (hits) => {
        const top = new TopAddresses();
        let before = new Map<string, number>();
        for (const [i, hit] of hits.entries()) {
          top.add(ip(hit % 2 === 0 ? hit % 7 : hit));
          if (i % 10 !== 0) continue;
          const now = new Map(top.samples());
          const sum = [...now.values()].reduce((a, b) => a + b);
          expect(sum).toBe(i + 1);
          for (const [label, value] of now) {
            // One that was shown, was replaced and came back counts anew.
            if (label === "other") expect(value).toBeGreaterThanOrEqual(before.get(label) ?? 0);
          }
          before = now;
        }
      }),
      { numRuns: 50 },
    );
  });
});
