import * as v from "valibot";
import type { AdminOperation } from "../../src/contract/admin.ts";
import { duration } from "../../src/kit/schema.ts";

const seconds = v.pipe(
  v.number(),
  v.integer(),
  v.minValue(1),
  v.maxValue(30 * 86_400),
  v.transform((value) => value * 1000),
);

const name = v.pipe(v.string(), v.maxLength(256));

/** What of a provider is meant; absent: all of it. */
const scope = {
  credential: v.optional(name),
  /** Of that credential, which must be named, too. */
  model: v.optional(name),
};

export const wantedCooldown = v.strictObject({
  ...scope,
  /** Seconds, or a time with a unit. */
  for: v.union([seconds, duration({ min: "1s", max: "30d" })]),
});

export const wantedRecovery = v.strictObject(scope);

const cooling = v.strictObject({
  credential: v.nullable(v.string()),
  model: v.nullable(v.string()),
  reason: v.picklist(["credential", "limit", "failures", "unreachable", "operator"]),
  until: v.nullable(v.string()),
  retry_after: v.pipe(v.number(), v.integer()),
});

const count = v.pipe(v.number(), v.integer());

const provider = v.strictObject({
  name: v.string(),
  /** `cooling`: all of it is left alone; `degraded`: some of its credentials or models are. */
  state: v.picklist(["ok", "degraded", "cooling"]),
  cooldowns: v.array(cooling),
  credentials: v.array(
    v.strictObject({
      id: v.string(),
      ok: count,
      failed: count,
      last_status: count,
      latency_ms: v.nullable(v.number()),
    }),
  ),
  /** Of the limits and quotas that are configured for it: `left of tokens`, `quota spent`. */
  limits: v.array(v.strictObject({ what: v.string(), amount: v.number() })),
});

/** The health of providers in the management API. */
export const operations: readonly AdminOperation[] = [
  {
    id: "listProviders",
    method: "GET",
    path: "/providers",
    summary: "Tells how each provider does: what is left alone, how it answers, what is left.",
    status: 200,
    reply: v.strictObject({ providers: v.array(provider) }),
    refusals: [],
  },
  {
    id: "coolProvider",
    method: "POST",
    path: "/providers/{provider}/cooldown",
    summary: "Leaves a provider, one of its credentials, or that for one model alone for a time.",
    body: wantedCooldown,
    status: 200,
    reply: cooling,
    refusals: ["not_found", "unprocessable"],
  },
  {
    id: "recoverProvider",
    method: "POST",
    path: "/providers/{provider}/recover",
    summary: "Ends what is left alone of a provider, at once.",
    body: wantedRecovery,
    status: 200,
    reply: v.strictObject({ ended: v.array(cooling) }),
    refusals: ["not_found", "unprocessable"],
  },
];
