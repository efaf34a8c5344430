/**
 * Leaves alone who asked for it, or failed: a credential that was refused, a credential and model
 * whose limit is used up, and what fails again and again. Other candidates of the model are tried;
 * where there are none, the request is refused with the time to wait. When the time is over, one
 * attempt finds out whether it is: nothing sleeps for ever. It can't know of limits that others use
 * up with the same account. A fault refuses the request.
 */
import * as v from "valibot";
import { type AttemptVerdict, definePolicy, type PolicyHost } from "../../src/contract/policy.ts";
import type { Store } from "../../src/contract/store.ts";
import { PerObject } from "../../src/kit/per-object.ts";
import { doc, duration } from "../../src/kit/schema.ts";
import { formatTime } from "../../src/kit/timestamp.ts";
import type { Cooling, Reason } from "./board.ts";
import { handlersOf, type Parts } from "./handlers.ts";
import { Keeper } from "./keeper.ts";
import { operations } from "./operations.ts";
import { ProviderStats } from "./stats.ts";

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(v.boolean(), doc("Leave alone for a while what a provider refuses or fails at.")),
    true,
  ),
  longest: v.optional(
    v.pipe(
      duration({ min: "1s", max: "24h" }),
      doc("Longest time that anything is left alone, whatever the provider asks for."),
    ),
    "30m",
  ),
  byProvider: v.optional(
    v.record(
      v.string(),
      v.pipe(v.boolean(), doc("false: this provider is always asked.", { example: false })),
    ),
    {},
  ),
});

export const policy = definePolicy({
  name: "cooldown",
  summary:
    "Credentials and models that a provider refuses, or fails at, are left alone for a while.",
  stage: "admit",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: {
      enabled: "routing.cooldown.enabled",
      longest: "routing.cooldown.max",
      byProvider: "providers.*.cooldown",
    },
  },
  admin: operations,
  async create({ enabled, longest, byProvider }, host) {
    if (!enabled) return undefined;
    const { clock, log, store } = host;
    // By store: what shadow mode leaves alone must not be left alone in earnest.
    const parts = host.keep("parts", () => new PerObject((of) => partsOf(of as Store))).of(store);
    if (host.facts.serving) await parts.keeper.load();
    const { board } = parts.keeper;
    offerGauge(parts.keeper, host);
    /** A credential that was refused may be another one by now. */
    const trustAgain = (): void => {
      for (const provider of host.facts.providers) {
        const recovered = parts.keeper.recover({ provider }, (e) => e.reason === "credential");
        recovered.catch((error: unknown) => log.warn("state can't be written", { error }));
      }
    };
    return {
      attempt(_x, attempt): AttemptVerdict {
        if (board.isClear || byProvider[attempt.provider] === false) return "pass";
        const held = board.judge(attempt, clock.now(), longest);
        return held === undefined ? "pass" : refusal(held.entry, held.waitMs);
      },
      attemptEnd(_x, attempt, result) {
        parts.stats.note(attempt, result);
        if (result.kind === "ok" && board.isClear) return;
        if (byProvider[attempt.provider] === false) return;
        const cooling = parts.keeper.note(attempt, result, clock.now(), longest);
        if (cooling !== undefined) tell(cooling, host);
      },
      adopted: trustAgain,
      credentialsRead: trustAgain,
      admin: handlersOf({ ...parts, host }),
    };
  },
});

function partsOf(store: Store): Omit<Parts, "host"> {
  return { keeper: new Keeper(store), stats: new ProviderStats() };
}

const sentences: Readonly<Record<Reason, string>> = {
  credential:
    "The provider of that model refused the proxy's credential, and is asked again later.",
  limit: "The provider's limit for that model is used up.",
  failures: "The provider of that model has failed several times, and is left alone for a while.",
  unreachable: "The provider of that model can't be reached, and is left alone for a while.",
  operator: "The provider of that model is left alone for a while, by its operator's wish.",
};

function refusal({ reason }: Cooling, waitMs: number): AttemptVerdict {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  const message = `${sentences[reason]} Try again in ${retryAfterSeconds} s.`;
  return { skip: { deny: "model_cooldown", message, retryAfterSeconds } };
}

function tell({ reason, untilMs, ...scope }: Cooling, host: PolicyHost): void {
  host.log.warn("left alone", { ...scope, reason, until: formatTime(untilMs) });
}

function offerGauge({ board }: Keeper, { gauge, clock, facts }: PolicyHost): void {
  const help = "What is left alone now: credentials, their models, or whole providers.";
  gauge("cliproxy_cooldowns", help, ["provider"], (set) => {
    const nowMs = clock.now();
    const now = board.list().filter(({ untilMs }) => untilMs > nowMs);
    for (const name of facts.providers) {
      set(now.filter(({ provider }) => provider === name).length, name);
    }
  });
}
