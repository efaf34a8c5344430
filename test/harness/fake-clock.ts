import type { Clock } from "../../src/contract/types.ts";

/** A clock that stands still until a test turns it. */
export interface FakeClock extends Clock {
  /** Moves both readings on. */
  advance(ms: number): void;
  /** Sets the wall clock, as NTP or an operator does; the monotonic one goes on. */
  setNow(ms: number): void;
}

export function createFakeClock(nowMs = Date.UTC(2026, 0, 1)): FakeClock {
  let wall = nowMs;
  let mono = 1000;
  return {
    now: () => wall,
    mono: () => mono,
    advance(ms) {
      wall += ms;
      mono += ms;
    },
    setNow(ms) {
      wall = ms;
    },
  };
}
