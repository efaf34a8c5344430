/**
 * Rates and quotas of single client keys. Tokens are reserved before a call is sent and settled
 * when it ends, so a reply that is longer than was reserved is carried as debt, not cut off. It
 * can't tell apart two programs with one key. A fault refuses the request.
 */
import { type Deny, definePolicy, type Exchange, type Verdict } from "../../src/contract/policy.ts";
import type { Reservation, Store, Taken } from "../../src/contract/store.ts";
import type { Clock, MaybePromise } from "../../src/contract/types.ts";
import { bucketWaitSeconds } from "../../src/kit/bucket-spec.ts";
import { andThen } from "../../src/kit/maybe-promise.ts";
import { quotaWaitSeconds } from "../../src/kit/quota-spec.ts";
import { tokensSpent, tokensToReserve } from "../../src/kit/token-cost.ts";
import { keys, type Limits, schema, toLimits } from "./limits.ts";

/** What a running call holds of its key's limits. */
interface Held {
  readonly reservation: Reservation | undefined;
  readonly tokens: number;
  spent: number;
}

export const policy = definePolicy({
  name: "key-limits",
  summary: "A client key may have limits of requests and tokens, and a quota, of its own.",
  stage: "spend",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: { schema, keys },
  create(config, { store, clock, gauge }) {
    const limits = toLimits(config, store.durability);
    if (limits.size === 0) return undefined;
    const running = new WeakMap<Exchange, Held>();
    const help = "Tokens of a client key's quota in the period that runs.";
    gauge("cliproxy_key_quota_tokens", help, ["key", "state"], (set) => {
      for (const [id, { quota }] of limits) {
        const level = quota && store.look(quota, quota.period(clock.now()));
        // A store that is asked over a network has figures of its own.
        if (quota === undefined || level === undefined || level instanceof Promise) continue;
        set(quota.limit, id, "limit");
        set(level.spent, id, "spent");
        set(level.held, id, "held");
      }
    });
    const limitsOf = (x: Exchange): Limits | undefined =>
      x.principal === undefined ? undefined : limits.get(x.principal.keyId);
    return {
      request(x): MaybePromise<Verdict> {
        const limit = limitsOf(x);
        if (limit === undefined || limit.rates.length === 0) return "pass";
        return andThen(store.take(limit.rates, limit.one), (taken) =>
          taken.admitted ? "pass" : overRate("requests", taken),
        );
      },
      call(x): MaybePromise<Verdict> {
        const limit = limitsOf(x);
        if (limit === undefined || !limit.countsTokens) return "pass";
        return andThen(hold(x, limit, store, clock), (held) => {
          if (!("deny" in held)) {
            running.set(x, held);
            return "pass";
          }
          return andThen(giveBack(limit, store), () => held);
        });
      },
      attemptEnd(x, _attempt, result) {
        const held = running.get(x);
        if (held !== undefined) held.spent += tokensSpent(x, result);
      },
      response(x, { headers }): MaybePromise<Verdict> {
        const limit = limitsOf(x);
        if (limit === undefined || limit.all.length === 0) return "pass";
        return andThen(store.take(limit.all, limit.none), ({ levels }) => ({
          edit: { headers: limit.fields.of(levels, headers) },
        }));
      },
      finish(x) {
        const limit = limitsOf(x);
        const held = running.get(x);
        if (limit === undefined || held === undefined) return;
        running.delete(x);
        return settle(limit, held, store);
      },
    };
  },
});

/** Holds what a call may spend, of the quota and of the minute; all of it or nothing. */
function hold(x: Exchange, limit: Limits, store: Store, clock: Clock): MaybePromise<Held | Deny> {
  const { quota, tokens } = limit;
  const amount = tokensToReserve(x);
  const fromMinute = (reservation: Reservation | undefined): MaybePromise<Held | Deny> => {
    if (tokens === undefined) return { reservation, tokens: 0, spent: 0 };
    return andThen(store.take([tokens], [amount]), (taken): MaybePromise<Held | Deny> => {
      if (taken.admitted) {
        return { reservation, tokens: Math.min(amount, tokens.capacity), spent: 0 };
      }
      const back = reservation === undefined ? undefined : store.settle(reservation, 0);
      return andThen(back, () => overRate("tokens", taken));
    });
  };
  if (quota === undefined) return fromMinute(undefined);
  const nowMs = clock.now();
  return andThen(store.reserve(quota, quota.period(nowMs), amount), (made) => {
    if (made.reservation !== undefined) return fromMinute(made.reservation);
    const retryAfterSeconds = quotaWaitSeconds(quota.limit, amount, made, nowMs);
    return { deny: "quota_exceeded", message: overQuota, retryAfterSeconds };
  });
}

const overQuota =
  "This client key has too little of its quota of tokens left for this request. " +
  "Ask for fewer output tokens, or wait until the quota begins anew.";

function overRate(what: "requests" | "tokens", taken: Taken): Deny {
  return {
    deny: "rate_limited",
    message: `This client key is at its limit of ${what}. Wait, then try again.`,
    retryAfterSeconds: bucketWaitSeconds(taken.levels),
  };
}

/** A call that was refused for its tokens has cost no request. */
function giveBack({ rates }: Limits, store: Store): MaybePromise<void> {
  return rates.reduce<MaybePromise<void>>(
    (done, rate) => andThen(done, () => store.charge(rate, -1)),
    undefined,
  );
}

function settle({ tokens }: Limits, held: Held, store: Store): MaybePromise<void> {
  const { reservation, spent } = held;
  const settled = reservation === undefined ? undefined : store.settle(reservation, spent);
  if (tokens === undefined) return settled;
  return andThen(settled, () => store.charge(tokens, spent - held.tokens));
}
