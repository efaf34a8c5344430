import { describe, expect, test } from "bun:test";
import {
  mostAddresses,
  mostSummaries,
  perAddress,
  perMinute,
  Sampler,
  windowMs,
} from "../../../policies/audit/sampler.ts";

function admit(sampler: Sampler, count: number, ip: string, type = "auth_failure"): number {
  let admitted = 0;
  for (let i = 0; i < count; i++) if (sampler.admit(type, ip)) admitted += 1;
  return admitted;
}

describe("sampler", () => {
  test("records so many of an address in a minute, and counts the rest", () => {
    const sampler = new Sampler(0);
    expect(admit(sampler, perAddress, "192.0.2.1")).toBe(perAddress);
    expect(admit(sampler, 3, "192.0.2.1")).toBe(0);
    expect(admit(sampler, 1, "192.0.2.2")).toBe(1);
    expect(admit(sampler, 1, "192.0.2.1", "security_violation")).toBe(1);
    expect(sampler.turn(windowMs - 1)).toEqual([]);
    expect(sampler.turn(windowMs)).toEqual([
      { type: "auth_failure", address: "192.0.2.1", count: 3 },
    ]);
    expect(admit(sampler, 1, "192.0.2.1")).toBe(1);
  });

  test("an IPv6 client is its /64", () => {
    const sampler = new Sampler(0);
    admit(sampler, perAddress, "2001:db8:1:2::1");
    expect(admit(sampler, 1, "2001:db8:1:2:ffff::9")).toBe(0);
    expect(admit(sampler, 1, "2001:db8:1:3::1")).toBe(1);
  });

  test("records so many in all, and tells apart so many addresses", () => {
    const sampler = new Sampler(0);
    let admitted = 0;
    for (let i = 0; i < mostAddresses + 500; i++) {
      admitted += admit(sampler, 1, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    }
    expect(admitted).toBe(perMinute);
    const left = sampler.end(1);
    const total = left.reduce((sum, { count }) => sum + count, 0);
    expect(total).toBe(mostAddresses + 500 - perMinute);
    expect(left.length).toBe(mostSummaries + 1);
    expect(left.at(-1)?.address).toBe("");
  });
});
