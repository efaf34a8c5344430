import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createCalendar, periodAt, type Reset, resets } from "../../src/kit/period.ts";

const iso = (ms: number): string => new Date(ms).toISOString().replace(":00.000Z", "Z");
const shown = (reset: Reset, at: string): [from: string, until: string] => {
  const { startMs, endMs } = periodAt(reset, Date.parse(at));
  return [iso(startMs), iso(endMs)];
};

describe("periodAt", () => {
  test.each<[reset: Reset, at: string, from: string, until: string]>([
    ["hourly", "2026-02-19T23:59:59.999Z", "2026-02-19T23:00Z", "2026-02-20T00:00Z"],
    ["hourly", "2026-02-20T00:00:00Z", "2026-02-20T00:00Z", "2026-02-20T01:00Z"],
    ["daily", "2026-12-31T12:00:00Z", "2026-12-31T00:00Z", "2027-01-01T00:00Z"],
    ["daily", "2024-02-28T12:00:00Z", "2024-02-28T00:00Z", "2024-02-29T00:00Z"],
    // Europe changes its clocks in that night; UTC does not.
    ["daily", "2026-03-29T01:30:00Z", "2026-03-29T00:00Z", "2026-03-30T00:00Z"],
    ["weekly", "2026-01-01T00:00:00Z", "2025-12-29T00:00Z", "2026-01-05T00:00Z"],
    ["weekly", "2026-01-04T23:59:59.999Z", "2025-12-29T00:00Z", "2026-01-05T00:00Z"],
    ["weekly", "2026-01-05T00:00:00Z", "2026-01-05T00:00Z", "2026-01-12T00:00Z"],
    ["weekly", "1970-01-01T00:00:00Z", "1969-12-29T00:00Z", "1970-01-05T00:00Z"],
    ["monthly", "2024-02-29T23:59:59.999Z", "2024-02-01T00:00Z", "2024-03-01T00:00Z"],
    ["monthly", "2100-02-28T23:59:59.999Z", "2100-02-01T00:00Z", "2100-03-01T00:00Z"],
    ["monthly", "2026-12-31T23:59:59.999Z", "2026-12-01T00:00Z", "2027-01-01T00:00Z"],
    ["monthly", "2027-01-01T00:00:00Z", "2027-01-01T00:00Z", "2027-02-01T00:00Z"],
  ])("%s at %s", (reset, at, from, until) => {
    expect(shown(reset, at)).toEqual([from, until]);
  });

  const moment = fc.integer({ min: 0, max: Date.UTC(2200, 0, 1) });
  test.each(resets.map((reset) => [reset]))("%s periods cover all time, once", (reset) => {
    fc.assert(
      fc.property(moment, (atMs) => {
        const { startMs, endMs } = periodAt(reset, atMs);
        expect(startMs <= atMs && atMs < endMs).toBe(true);
        expect(periodAt(reset, endMs - 1).startMs).toBe(startMs);
        expect(periodAt(reset, endMs).startMs).toBe(endMs);
      }),
    );
  });
});

describe("createCalendar", () => {
  test("tells the same as periodAt, whichever way the clock steps", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...resets),
        fc.array(fc.integer({ min: -5e9, max: 5e9 }), { maxLength: 30 }),
        (reset, steps) => {
          const calendar = createCalendar(reset);
          let nowMs = Date.UTC(2026, 0, 1);
          for (const step of steps) {
            nowMs += step;
            expect(calendar(nowMs)).toEqual(periodAt(reset, nowMs));
          }
        },
      ),
    );
  });

  test("makes nothing new within a period", () => {
    const calendar = createCalendar("hourly");
    expect(calendar(Date.UTC(2026, 0, 1))).toBe(calendar(Date.UTC(2026, 0, 1, 0, 59)));
  });
});
