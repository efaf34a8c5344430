import * as v from "valibot";

/** RFC 3339 with its zone. */
const form = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/;

/** A time with its zone, of a day that there is; becomes milliseconds since the epoch. */
export function timestamp(): v.GenericSchema<string, number> {
  return v.pipe(
    v.string(),
    v.check(isTimestamp, "must be a time like 2030-01-31T00:00:00Z"),
    v.transform((text: string) => Date.parse(text)),
  );
}

/** `Date.parse` takes the 30th of February for the 2nd of March. */
function isTimestamp(text: string): boolean {
  const parts = form.exec(text);
  if (parts === null || Number.isNaN(Date.parse(text))) return false;
  const [, year, month, day] = parts.map(Number);
  return new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day)).getUTCDate() === day;
}

/** RFC 3339 in UTC; null for a time that never comes. */
export function formatTime(ms: number): string | null {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : null;
}
