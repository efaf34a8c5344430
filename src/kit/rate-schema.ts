import * as v from "valibot";
import type { Rate } from "./bucket.ts";
import { configFault } from "./config-fault.ts";
import { doc } from "./schema.ts";

/** Most requests per second, and most in a burst, that a limit can be set to. */
const most = 1_000_000;

/**
 * The two keys of a rate, for a strict object.
 * @param whose of whom the requests are, for the reference
 */
export function rateEntries(whose: string) {
  return {
    requestsPerSecond: v.optional(
      v.pipe(
        v.number(),
        v.finite(),
        v.gtValue(0),
        v.maxValue(most),
        doc(`Requests a second ${whose}, in the long run.`, { example: 10 }),
      ),
    ),
    burst: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(most),
        doc(`Requests ${whose} at once; absent: those of one second.`, { example: 20 }),
      ),
    ),
  };
}

/** What a configuration says of a rate, by local names. */
interface RateConfig {
  readonly enabled?: boolean | undefined;
  readonly requestsPerSecond?: number | undefined;
  readonly burst?: number | undefined;
}

/**
 * The rate of a limit; it is on where any of its keys is set, unless `enabled` says otherwise.
 * @param root path of its block
 * @throws a fault of the configuration when it is on and has no rate
 */
export function toRate(config: RateConfig, root: string): Rate | undefined {
  const { requestsPerSecond, burst } = config;
  const isSet = requestsPerSecond !== undefined || burst !== undefined;
  if (!(config.enabled ?? isSet)) return undefined;
  if (requestsPerSecond === undefined) {
    throw configFault(
      root,
      "`requests_per_second` is missing: without it nothing would be limited",
      "add `requests_per_second: 10`, or set `enabled: false`",
    );
  }
  return { perSecond: requestsPerSecond, burst: burst ?? Math.ceil(requestsPerSecond) };
}
