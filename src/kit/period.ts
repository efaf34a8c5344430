/** How often a quota begins anew, in UTC. */
export const resets = ["hourly", "daily", "weekly", "monthly"] as const;
export type Reset = (typeof resets)[number];

/** From and until, in milliseconds since the epoch. */
export interface CalendarPeriod {
  readonly startMs: number;
  readonly endMs: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const weekMs = 7 * dayMs;
/** The epoch began on a Thursday; ISO 8601 begins its weeks on a Monday. */
const mondayMs = 3 * dayMs;

/** The period that a moment lies in; its end is the start of the next one. */
export function periodAt(reset: Reset, nowMs: number): CalendarPeriod {
  if (reset === "hourly") return even(nowMs, hourMs, 0);
  if (reset === "daily") return even(nowMs, dayMs, 0);
  if (reset === "weekly") return even(nowMs, weekMs, mondayMs);
  const now = new Date(nowMs);
  const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
  return { startMs: Date.UTC(year, month, 1), endMs: Date.UTC(year, month + 1, 1) };
}

/** Calls for the same period again and again get the same object. */
export function createCalendar(reset: Reset): (nowMs: number) => CalendarPeriod {
  let current = periodAt(reset, 0);
  return (nowMs) => {
    if (nowMs < current.startMs || nowMs >= current.endMs) current = periodAt(reset, nowMs);
    return current;
  };
}

function even(nowMs: number, lengthMs: number, offsetMs: number): CalendarPeriod {
  const startMs = Math.floor((nowMs + offsetMs) / lengthMs) * lengthMs - offsetMs;
  return { startMs, endMs: startMs + lengthMs };
}
