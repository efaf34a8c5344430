import * as v from "valibot";

/** A bucket that refills evenly. */
interface BucketSpec {
  readonly key: string;
  readonly capacity: number;
  readonly perSecond: number;
}

interface BucketLevel {
  readonly left: number;
  readonly waitMs: number;
}

/** Most that a limit of a minute can be set to. */
const most = 1_000_000_000;

/** A limit of a minute: a whole number from 1. */
export function perMinuteSchema(): v.GenericSchema<number, number> {
  return v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(most));
}

/** A whole minute's worth may come at once; it flows back evenly. */
export function perMinute(key: string, limit: number): BucketSpec {
  return { key, capacity: limit, perSecond: limit / 60 };
}

/** Whole seconds until all buckets have what was asked of them. */
export function bucketWaitSeconds(levels: readonly BucketLevel[]): number {
  const waitMs = levels.reduce((most, level) => Math.max(most, level.waitMs), 0);
  return Math.max(1, Math.ceil(waitMs / 1000));
}

/**
 * The fields that tell a client of its limits (draft-ietf-httpapi-ratelimit-headers).
 * @param prefix before the last part of each bucket's key: letters, digits and dashes
 * @param present fields that are there already: several limits stand in one list (RFC 9651, 3.1)
 */
export function bucketFields(
  prefix: string,
  buckets: readonly BucketSpec[],
  levels: readonly BucketLevel[],
  present: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const policies: string[] = [];
  const limits: string[] = [];
  for (const [i, { key, capacity, perSecond }] of buckets.entries()) {
    const { left = 0, waitMs = 0 } = levels[i] ?? {};
    const name = `"${prefix}-${key.slice(key.lastIndexOf("/") + 1)}"`;
    const untilMs = waitMs > 0 ? waitMs : ((capacity - left) * 1000) / perSecond;
    policies.push(`${name};q=${capacity};w=${Math.max(1, Math.round(capacity / perSecond))}`);
    limits.push(`${name};r=${left};t=${Math.ceil(untilMs / 1000)}`);
  }
  return {
    "ratelimit-policy": listed(present["ratelimit-policy"], policies),
    ratelimit: listed(present.ratelimit, limits),
  };
}

function listed(before: string | undefined, own: readonly string[]): string {
  return [...(before === undefined ? [] : [before]), ...own].join(", ");
}
