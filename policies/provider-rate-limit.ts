/**
 * Requests and tokens a minute for each provider, counted for each attempt: one that is over its
 * limit is passed over, and only where nobody else serves the model is the request refused. Tokens
 * are reserved before an attempt is sent and settled to what the provider reports, so it can't stop
 * a reply that turns out longer than was reserved: that is carried as debt. A fault refuses the
 * request.
 */
import * as v from "valibot";
import {
  type Attempt,
  type AttemptResult,
  type AttemptVerdict,
  definePolicy,
  type Exchange,
} from "../src/contract/policy.ts";
import type { Bucket, Store, Taken } from "../src/contract/store.ts";
import type { MaybePromise } from "../src/contract/types.ts";
import {
  BucketFields,
  bucketKind,
  bucketWaitSeconds,
  perMinute,
  perMinuteSchema,
} from "../src/kit/bucket-spec.ts";
import { andThen } from "../src/kit/maybe-promise.ts";
import { doc } from "../src/kit/schema.ts";
import { tokensSpent, tokensToReserve } from "../src/kit/token-cost.ts";

const schema = v.strictObject({
  requests: v.optional(
    v.record(
      v.string(),
      v.pipe(perMinuteSchema(), doc("Requests a minute to this provider.", { example: 100 })),
    ),
    {},
  ),
  tokens: v.optional(
    v.record(
      v.string(),
      v.pipe(
        perMinuteSchema(),
        doc("Tokens a minute, input and output, to this provider.", { example: 100_000 }),
      ),
    ),
    {},
  ),
});

type Config = v.InferOutput<typeof schema>;

/** The limits of one provider; at least one is there. */
interface Limits {
  readonly buckets: readonly Bucket[];
  readonly requests: Bucket | undefined;
  readonly tokens: Bucket | undefined;
  readonly fields: BucketFields;
}

export const policy = definePolicy({
  name: "provider-rate-limit",
  summary: "Each provider gets so many requests and tokens a minute; more go to another one.",
  stage: "spend",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: {
      requests: "providers.*.rate_limit.requests_per_minute",
      tokens: "providers.*.rate_limit.tokens_per_minute",
    },
  },
  create(config, { store, gauge }) {
    const limits = new Map<string, Limits>();
    for (const name of Object.keys({ ...config.requests, ...config.tokens })) {
      limits.set(name, toLimits(name, config));
    }
    if (limits.size === 0) return undefined;
    const reserved = new WeakMap<Attempt, number>();
    const help = "What is left of a provider's limit of a minute.";
    gauge("cliproxy_provider_limit_remaining", help, ["provider", "limit"], (set) => {
      for (const [name, { buckets }] of limits) {
        for (const bucket of buckets) {
          const looked = store.take([bucket], [0]);
          // A store that is asked over a network has figures of its own.
          if (!(looked instanceof Promise)) set(leftOf(looked), name, bucketKind(bucket));
        }
      }
    });
    return {
      attempt(x, attempt): MaybePromise<AttemptVerdict> {
        const limit = limits.get(attempt.provider);
        if (limit === undefined) return "pass";
        const amount = limit.tokens === undefined ? 0 : tokensToReserve(x);
        return andThen(store.take(limit.buckets, amountsOf(limit, amount)), (taken) => {
          if (!taken.admitted) return refusal(limit, taken);
          reserved.set(attempt, Math.min(amount, limit.tokens?.capacity ?? 0));
          return "pass";
        });
      },
      attemptEnd(x, attempt, result) {
        const limit = limits.get(attempt.provider);
        const held = reserved.get(attempt);
        if (limit === undefined || held === undefined) return;
        reserved.delete(attempt);
        return settle(store, limit, held, x, result);
      },
    };
  },
});

function toLimits(name: string, perMinuteOf: Config): Limits {
  const bucketOf = (what: "requests" | "tokens"): Bucket | undefined => {
    const limit = perMinuteOf[what][name];
    return limit === undefined ? undefined : perMinute(`${name}/${what}`, limit);
  };
  const [requests, tokens] = [bucketOf("requests"), bucketOf("tokens")];
  const buckets = [requests, tokens].filter((bucket) => bucket !== undefined);
  return { requests, tokens, buckets, fields: new BucketFields("provider", buckets) };
}

function leftOf({ levels }: Taken): number {
  return levels[0]?.left ?? 0;
}

function amountsOf({ requests, tokens }: Limits, amount: number): readonly number[] {
  if (tokens === undefined) return [1];
  return requests === undefined ? [amount] : [1, amount];
}

function refusal({ fields }: Limits, taken: Taken): AttemptVerdict {
  return {
    skip: {
      deny: "provider_limited",
      retryAfterSeconds: bucketWaitSeconds(taken.levels),
      headers: fields.of(taken.levels),
    },
  };
}

/** What was not sent has cost nothing; what was, one request and the tokens that it took. */
function settle(
  store: Store,
  { requests, tokens }: Limits,
  held: number,
  x: Exchange,
  result: AttemptResult,
): MaybePromise<void> {
  const back =
    requests !== undefined && result.kind === "unsent" ? store.charge(requests, -1) : undefined;
  if (tokens === undefined) return back;
  return andThen(back, () => store.charge(tokens, tokensSpent(x, result) - held));
}
