import { describe, expect, test } from "bun:test";
import type { Exchange } from "../src/contract/policy.ts";
import type { Refusal } from "../src/errors.ts";
import { Live, type Stoppable } from "../src/live.ts";
import { createFakeClock } from "./harness/fake-clock.ts";

interface Runner extends Stoppable {
  readonly stops: Refusal[];
}

function runner(live: Live, id: string, deadlineMs = Number.POSITIVE_INFINITY): Runner {
  const stops: Refusal[] = [];
  const self: Runner = {
    view: { id } as Exchange,
    stops,
    beat(nowMs) {
      if (deadlineMs <= nowMs) self.stop({ code: "upstream_timeout" });
    },
    stop(refusal) {
      stops.push(refusal);
      live.remove(self);
    },
  };
  live.add(self);
  return self;
}

describe("deadlines", () => {
  const cases: readonly (readonly [
    name: string,
    deadlineMs: number,
    afterMs: number,
    stops: number,
  ])[] = [
    ["one before", 100, 99, 0],
    ["at it", 100, 100, 1],
    ["one after", 100, 101, 1],
    ["none", Number.POSITIVE_INFINITY, 1e9, 0],
  ];
  test.each(cases)("%s", (_name, deadlineMs, afterMs, stops) => {
    const clock = createFakeClock();
    const live = new Live(clock);
    const one = runner(live, "a", clock.mono() + deadlineMs);
    clock.advance(afterMs);
    live.tick();
    live.tick();
    expect(one.stops).toHaveLength(stops);
    expect(live.size).toBe(1 - stops);
    live.remove(one);
    live.tick();
  });

  test("the wall clock has no part in them", () => {
    const clock = createFakeClock();
    const live = new Live(clock);
    const one = runner(live, "a", clock.mono() + 100);
    clock.setNow(0);
    live.tick();
    clock.setNow(Number.MAX_SAFE_INTEGER);
    live.tick();
    expect(one.stops).toEqual([]);
    live.remove(one);
    live.tick();
  });

  test("the coarse clock is fresh with the first exchange and at each tick", () => {
    const clock = createFakeClock();
    const live = new Live(clock);
    clock.advance(5000);
    const one = runner(live, "a");
    expect(live.coarseMs).toBe(clock.mono());
    clock.advance(70);
    expect(live.coarseMs).toBe(clock.mono() - 70);
    live.tick();
    expect(live.coarseMs).toBe(clock.mono());
    live.remove(one);
    live.tick();
  });
});

describe("abort", () => {
  test("stops those that match, says how many, leaves the others", () => {
    const live = new Live(createFakeClock());
    const all = ["a", "b", "c"].map((id) => runner(live, id));
    expect(live.abort((x) => x.id !== "b", "revoked")).toBe(2);
    expect(all.map((r) => r.stops.map((s) => s.code))).toEqual([["revoked"], [], ["revoked"]]);
    expect(live.size).toBe(1);
    expect(live.abort((x) => x.id !== "b", "revoked")).toBe(0);
    live.abort(() => true, "revoked");
    live.tick();
  });
});

describe("settled", () => {
  test("at once when nothing runs", async () => {
    expect(await new Live(createFakeClock()).settled(1000)).toBe(true);
  });

  test("when the last one ends, for all who wait", async () => {
    const live = new Live(createFakeClock());
    const [a, b] = [runner(live, "a"), runner(live, "b")];
    const waiting = Promise.all([live.settled(1000), live.settled(1000)]);
    live.remove(a);
    live.remove(b);
    expect(await waiting).toEqual([true, true]);
    live.tick();
  });

  test("false when it takes too long", async () => {
    const live = new Live(createFakeClock());
    const one = runner(live, "a");
    expect(await live.settled(1)).toBe(false);
    live.remove(one);
    live.tick();
  });
});
