import { describe, expect, test } from "bun:test";
import { FailureLedger } from "../../src/kit/failure-ledger.ts";
import { createFakeClock } from "../harness/fake-clock.ts";

const minuteMs = 60_000;

function failTimes(ledger: FailureLedger, address: string, times: number): number {
  let wait = 0;
  for (let i = 0; i < times; i++) wait = ledger.fail(address);
  return wait;
}

describe("FailureLedger", () => {
  const waits: readonly (readonly [failures: number, waitMs: number])[] = [
    [1, 0],
    [10, 0],
    [11, 1000],
    [12, 2000],
    [13, 4000],
    [20, 512_000],
    [21, 15 * minuteMs],
    [1000, 15 * minuteMs],
  ];
  test.each(waits)("failure %d waits %d ms", (failures, waitMs) => {
    expect(failTimes(new FailureLedger(createFakeClock()), "192.0.2.1", failures)).toBe(waitMs);
  });

  const same: readonly (readonly [name: string, a: string, b: string, isSame: boolean])[] = [
    ["IPv4 alone", "192.0.2.1", "192.0.2.2", false],
    ["same /64", "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true],
    ["same /64, other spelling", "2001:db8:0:0::1", "2001:0DB8::5", true],
    ["next /64", "2001:db8:1:2::1", "2001:db8:1:3::1", false],
    ["zone", "fe80::1%eth0", "fe80::2%eth1", true],
    ["loopback and another", "::1", "1::", false],
    ["unknown peer", "", "", true],
  ];
  test.each(same)("one unit: %s", (_name, a, b, isSame) => {
    const ledger = new FailureLedger(createFakeClock());
    failTimes(ledger, a, 10);
    expect(ledger.fail(b)).toBe(isSame ? 1000 : 0);
  });

  const times: readonly (readonly [name: string, afterMs: number, waitMs: number])[] = [
    ["one below 30 minutes it is remembered", 30 * minuteMs - 1, 1000],
    ["at 30 minutes it is forgotten", 30 * minuteMs, 0],
  ];
  test.each(times)("%s", (_name, afterMs, waitMs) => {
    const clock = createFakeClock();
    const ledger = new FailureLedger(clock);
    failTimes(ledger, "192.0.2.1", 10);
    clock.advance(afterMs);
    expect(ledger.fail("192.0.2.1")).toBe(waitMs);
  });

  test("a wall clock that jumps changes nothing", () => {
    const clock = createFakeClock();
    const ledger = new FailureLedger(clock);
    failTimes(ledger, "192.0.2.1", 10);
    clock.setNow(0);
    expect(ledger.fail("192.0.2.1")).toBe(1000);
    clock.setNow(Number.MAX_SAFE_INTEGER);
    expect(ledger.fail("192.0.2.1")).toBe(2000);
  });

  test("a flood of addresses is bounded, and the stalest go first", () => {
    const ledger = new FailureLedger(createFakeClock());
    failTimes(ledger, "192.0.2.1", 10);
    for (let i = 0; i < 9999; i++) ledger.fail(`10.0.${i >> 8}.${i & 255}`);
    expect(ledger.size).toBe(10_000);
    expect(ledger.fail("192.0.2.1")).toBe(1000);
    for (let i = 0; i < 10_001; i++) ledger.fail(`10.1.${i >> 8}.${i & 255}`);
    expect(ledger.size).toBe(10_000);
    expect(ledger.fail("192.0.2.1")).toBe(0);
  });
});
