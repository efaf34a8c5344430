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

/** What a bucket counts: the last part of its key. */
export function bucketKind({ key }: BucketSpec): string {
  return key.slice(key.lastIndexOf("/") + 1);
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

/** The fields that tell a client of its limits (draft-ietf-httpapi-ratelimit-headers). */
export class BucketFields {
  readonly #buckets: readonly BucketSpec[];
  readonly #names: readonly string[];
  readonly #policies: string;

  /** @param prefix before the last part of each bucket's key: letters, digits and dashes */
  constructor(prefix: string, buckets: readonly BucketSpec[]) {
    this.#buckets = buckets;
    this.#names = buckets.map((bucket) => `"${prefix}-${bucketKind(bucket)}"`);
    this.#policies = buckets
      .map(({ capacity, perSecond }, i) => {
        const windowSeconds = Math.max(1, Math.round(capacity / perSecond));
        return `${this.#names[i]};q=${capacity};w=${windowSeconds}`;
      })
      .join(", ");
  }

  /**
   * @param levels of the buckets, in their order
   * @param present fields that are there already: several limits stand in one list (RFC 9651, 3.1)
   */
  of(
    levels: readonly BucketLevel[],
    present: Readonly<Record<string, string>> = {},
  ): Record<string, string> {
    let limits = present.ratelimit ?? "";
    for (const [i, { left, waitMs }] of levels.entries()) {
      const { capacity, perSecond } = this.#buckets[i] as BucketSpec;
      const untilMs = waitMs > 0 ? waitMs : ((capacity - left) * 1000) / perSecond;
      if (limits !== "") limits += ", ";
      limits += `${this.#names[i]};r=${left};t=${Math.ceil(untilMs / 1000)}`;
    }
    const before = present["ratelimit-policy"];
    const policies = before === undefined ? this.#policies : `${before}, ${this.#policies}`;
    return { "ratelimit-policy": policies, ratelimit: limits };
  }
}
