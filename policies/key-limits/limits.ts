import * as v from "valibot";
import type { Bucket, Store } from "../../src/contract/store.ts";
import { BucketFields, perMinute, perMinuteSchema } from "../../src/kit/bucket-spec.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { type QuotaSpec, quotaEntries, toQuota } from "../../src/kit/quota-spec.ts";
import { rateEntries } from "../../src/kit/rate-schema.ts";
import { doc } from "../../src/kit/schema.ts";

const rate = rateEntries("with this key");
const quota = quotaEntries("with this key");

/** One record by key id for each leaf below `auth.api_keys`. */
export const schema = v.strictObject({
  requestsPerSecond: v.optional(v.record(v.string(), rate.requestsPerSecond.wrapped), {}),
  burst: v.optional(v.record(v.string(), rate.burst.wrapped), {}),
  requestsPerMinute: v.optional(
    v.record(
      v.string(),
      v.pipe(perMinuteSchema(), doc("Requests a minute with this key.", { example: 60 })),
    ),
    {},
  ),
  tokensPerMinute: v.optional(
    v.record(
      v.string(),
      v.pipe(
        perMinuteSchema(),
        doc("Tokens a minute, input and output, with this key.", { example: 100_000 }),
      ),
    ),
    {},
  ),
  quotaLimit: quota.limit,
  quotaReset: quota.reset,
});
type Config = v.InferOutput<typeof schema>;

const root = "auth.api_keys.*";
export const keys = {
  requestsPerSecond: `${root}.rate_limit.requests_per_second`,
  burst: `${root}.rate_limit.burst`,
  requestsPerMinute: `${root}.rate_limit.requests_per_minute`,
  tokensPerMinute: `${root}.rate_limit.tokens_per_minute`,
  quotaLimit: `${root}.quota.limit`,
  quotaReset: `${root}.quota.reset`,
} as const;

/** The limits of one key; what it has none of is absent. */
export interface Limits {
  /** Of requests; each request takes one of each. */
  readonly rates: readonly Bucket[];
  readonly one: readonly number[];
  readonly tokens: Bucket | undefined;
  /** What its responses tell of. */
  readonly all: readonly Bucket[];
  readonly none: readonly number[];
  readonly fields: BucketFields;
  readonly quota: QuotaSpec | undefined;
  readonly countsTokens: boolean;
}

/**
 * The limits by key id.
 * @throws a fault of the configuration where one is half given, or could not be kept
 */
export function toLimits(
  config: Config,
  durability: Store["durability"],
): ReadonlyMap<string, Limits> {
  const ids = new Set(Object.values(config).flatMap((byId) => Object.keys(byId)));
  return new Map([...ids].map((id) => [id, limitsOf(id, config, durability)]));
}

function limitsOf(id: string, config: Config, durability: Store["durability"]): Limits {
  const path = `auth.api_keys.${id}`;
  const rates: Bucket[] = [];
  const perSecond = config.requestsPerSecond[id];
  const burst = config.burst[id];
  if (perSecond !== undefined) {
    const capacity = burst ?? Math.ceil(perSecond);
    rates.push({ key: `${id}/requests-per-second`, capacity, perSecond });
  } else if (burst !== undefined) {
    const message = "does nothing without requests_per_second";
    throw configFault(`${path}.rate_limit.burst`, message, "add `requests_per_second: 10`");
  }
  const requests = config.requestsPerMinute[id];
  if (requests !== undefined) rates.push(perMinute(`${id}/requests`, requests));
  const tokenLimit = config.tokensPerMinute[id];
  const tokens = tokenLimit === undefined ? undefined : perMinute(`${id}/tokens`, tokenLimit);
  const all = tokens === undefined ? rates : [...rates, tokens];
  const [limit, reset] = [config.quotaLimit[id], config.quotaReset[id]];
  const own = toQuota(`${path}.quota`, id, limit, reset, durability);
  return {
    ...{ rates, tokens, all, quota: own },
    one: rates.map(() => 1),
    none: all.map(() => 0),
    fields: new BucketFields("key", all),
    countsTokens: tokens !== undefined || own !== undefined,
  };
}
