/**
 * Tokens for each provider in a calendar period of UTC. A provider without enough left for an
 * attempt is passed over, and only where nobody else serves the model is the request refused. It
 * can't stop a reply that turns out longer than was reserved; the period that is running then ends
 * above its limit. A fault refuses the request.
 */
import * as v from "valibot";
import { type Attempt, type AttemptVerdict, definePolicy } from "../src/contract/policy.ts";
import type { Reservation, Store } from "../src/contract/store.ts";
import type { MaybePromise } from "../src/contract/types.ts";
import { andThen } from "../src/kit/maybe-promise.ts";
import { type QuotaSpec, quotaEntries, quotaWaitSeconds, toQuota } from "../src/kit/quota-spec.ts";
import { tokensSpent, tokensToReserve } from "../src/kit/token-cost.ts";

const schema = v.strictObject(quotaEntries("to this provider"));

export const policy = definePolicy({
  name: "quota",
  summary: "Each provider gets so many tokens an hour, day, week or month; more go to another one.",
  stage: "spend",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: { limit: "providers.*.quota.limit", reset: "providers.*.quota.reset" },
  },
  create(config, { store, clock, gauge }) {
    const quotas = toQuotas(config, store.durability);
    if (quotas.size === 0) return undefined;
    const reserved = new WeakMap<Attempt, Reservation>();
    gauge("cliproxy_provider_quota_tokens", help, ["provider", "state"], (set) => {
      for (const [name, quota] of quotas) {
        const level = store.look(quota, quota.period(clock.now()));
        // A store that is asked over a network has figures of its own.
        if (level instanceof Promise) continue;
        set(quota.limit, name, "limit");
        set(level.spent, name, "spent");
        set(level.held, name, "held");
      }
    });
    return {
      attempt(x, attempt): MaybePromise<AttemptVerdict> {
        const quota = quotas.get(attempt.provider);
        if (quota === undefined) return "pass";
        const nowMs = clock.now();
        const amount = tokensToReserve(x);
        return andThen(store.reserve(quota, quota.period(nowMs), amount), (made) => {
          if (made.reservation === undefined) {
            const retryAfterSeconds = quotaWaitSeconds(quota.limit, amount, made, nowMs);
            return { skip: { deny: "quota_exceeded", message, retryAfterSeconds } };
          }
          reserved.set(attempt, made.reservation);
          return "pass";
        });
      },
      attemptEnd(x, attempt, result) {
        const reservation = reserved.get(attempt);
        if (reservation === undefined) return;
        reserved.delete(attempt);
        return store.settle(reservation, tokensSpent(x, result));
      },
    };
  },
});

const help = "Tokens of a provider's quota in the period that runs.";

const message =
  "The provider of that model has too little of its quota of tokens left for this request. " +
  "Ask for fewer output tokens, or wait until the quota begins anew.";

function toQuotas(
  { limit, reset }: v.InferOutput<typeof schema>,
  durability: Store["durability"],
): ReadonlyMap<string, QuotaSpec> {
  const quotas = new Map<string, QuotaSpec>();
  for (const name of Object.keys({ ...limit, ...reset })) {
    const path = `providers.${name}.quota`;
    const quota = toQuota(path, name, limit[name], reset[name], durability);
    if (quota !== undefined) quotas.set(name, quota);
  }
  return quotas;
}
