import { describe, expect, test } from "bun:test";
import { DynamicList } from "../../policies/ip-denylist/dynamic-list.ts";
import type { Entry } from "../../src/contract/store.ts";
import { parseIp } from "../../src/kit/ip.ts";
import { type IpRange, readRange } from "../../src/kit/ip-range.ts";
import { IpTable } from "../../src/kit/ip-table.ts";
import { Shelf } from "../../src/kit/shelf.ts";

function range(text: string): IpRange {
  const read = readRange(text);
  if (!("range" in read)) throw new Error(`${text} is no range`);
  return read.range;
}

describe("a sweep looks at all entries, so it comes seldom", () => {
  test("at most one a second, and what has ended denies nobody meanwhile", () => {
    const list = new DynamicList();
    list.add(range("192.0.2.1"), 1000);
    list.add(range("192.0.2.2"), 1001);
    list.add(range("192.0.2.3"), 9000);
    const sizeAt = (nowMs: number): number => {
      list.dropExpired(nowMs);
      return list.size;
    };
    expect([999, 1000, 1001, 1999, 2000].map(sizeAt)).toEqual([3, 2, 2, 2, 1]);
    list.add(range("192.0.2.4"), 2001);
    expect([sizeAt(2002), list.denies("192.0.2.4", 2002)]).toEqual([2, false]);
    // A clock that was set back must not stop the sweeps.
    expect(sizeAt(9000 - 86_400_000)).toBe(2);
    expect(sizeAt(9000)).toBe(0);
  });

  test("a table knows when the first of its addresses ends", () => {
    const table = new IpTable(1, 7);
    const ip = parseIp("192.0.2.1");
    const other = parseIp("192.0.2.2");
    if (ip === undefined || other === undefined) throw new Error("no addresses");
    expect(table.soonestMs).toBe(Number.POSITIVE_INFINITY);
    table.set(ip, 50);
    table.set(other, 70);
    expect([table.soonestMs, table.dropExpired(49), table.dropExpired(50)]).toEqual([50, 0, 1]);
    expect([table.soonestMs, table.size]).toEqual([70, 1]);
  });

  test("a full shelf on which nothing is over refuses without a look at all", () => {
    let asked = 0;
    const now = (): number => {
      asked += 1;
      return 0;
    };
    const shelf = new Shelf<string>({ most: 1000, what: "values", now }, undefined);
    for (let i = 0; i < 1000; i++) shelf.put(`k${i}`, "v", 10);
    asked = 0;
    expect(() => shelf.put("one more", "v", undefined)).toThrow("holds 1000 values");
    expect(asked).toBe(1);
  });
});

test("a start reads what was kept by parts", async () => {
  const entry = (key: string): Entry => ({ key, value: "{}", expiresAtMs: undefined });
  async function* scan(): AsyncGenerator<readonly Entry[]> {
    yield [entry("192.0.2.1/32"), entry("no address")];
    yield [entry("192.0.2.2/32")];
  }
  const none = (): never => {
    throw new Error("asked for more than the parts");
  };
  const list = new DynamicList();
  await list.load({ scan, put: none, get: none, remove: none, page: none, flush: none });
  expect([list.size, list.denies("192.0.2.2", 0)]).toEqual([2, true]);
});
