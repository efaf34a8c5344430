/**
 * Bounds how many requests run at a provider, and with each of its credentials, at the same time.
 * One that finds a credential busy goes to another; one that finds the provider busy waits in a
 * bounded queue for a moment, then goes to another provider, and is refused where there is none. It
 * counts what this process runs alone. A fault refuses the request.
 */
import * as v from "valibot";
import { type AttemptVerdict, definePolicy, type PolicyHost } from "../../src/contract/policy.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { PerObject } from "../../src/kit/per-object.ts";
import { doc, duration } from "../../src/kit/schema.ts";
import { Slots } from "./slots.ts";

const most = (what: string, example: number) =>
  v.optional(
    v.record(
      v.string(),
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000), doc(what, { example })),
    ),
    {},
  );

const schema = v.strictObject({
  total: most("Requests that run at this provider at the same time.", 50),
  each: most("The same for each of its credentials.", 10),
  queue: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(0),
        v.maxValue(10_000),
        doc("Requests that may wait while all slots are taken; none: 64.", { example: 64 }),
      ),
    ),
    {},
  ),
  wait: v.optional(
    v.record(
      v.string(),
      v.pipe(
        // A policy has 5 s to answer.
        duration({ min: "1ms", max: "4s" }),
        doc("How long one waits at most; none: 2s.", { example: "2s" }),
      ),
    ),
    {},
  ),
});
type Config = v.InferOutput<typeof schema>;

const usual = { queue: 64, waitMs: 2000 };

/** What is told where nobody else serves the model, in seconds. */
const retryAfterSeconds = 1;

export const policy = definePolicy({
  name: "concurrency",
  summary: "Each provider and credential runs so many requests at a time; more wait a moment.",
  stage: "admit",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: {
      total: "providers.*.concurrency.max",
      each: "providers.*.concurrency.per_credential",
      queue: "providers.*.concurrency.queue",
      wait: "providers.*.concurrency.wait",
    },
  },
  create(config, host) {
    refuseIdle(config);
    if (Object.keys({ ...config.total, ...config.each }).length === 0) return undefined;
    // Through reloads: what runs goes on running. By store: shadow mode has counts of its own.
    const byProvider = host
      .keep("slots", () => new PerObject(() => new Map<string, Slots>()))
      .of(host.store);
    for (const name of Object.keys({ ...config.total, ...config.each })) {
      if (!byProvider.has(name)) byProvider.set(name, new Slots());
    }
    offerGauge(byProvider, host);
    return {
      attempt(_x, attempt): AttemptVerdict | Promise<AttemptVerdict> {
        const { provider, credentialId } = attempt;
        const slots = byProvider.get(provider);
        const { [provider]: total = Number.POSITIVE_INFINITY } = config.total;
        const { [provider]: each = Number.POSITIVE_INFINITY } = config.each;
        if (slots === undefined) return "pass";
        // Another credential may be free; none is waited for.
        if (slots.runningWith(credentialId) >= each) return busy("credential");
        if (slots.running < total) {
          slots.take(attempt);
          return "pass";
        }
        if (slots.waiting >= (config.queue[provider] ?? usual.queue)) return busy("provider");
        return slots
          .wait(attempt, config.wait[provider] ?? usual.waitMs)
          .then((got) => (got ? "pass" : busy("provider")));
      },
      attemptEnd(_x, attempt) {
        byProvider.get(attempt.provider)?.release(attempt);
      },
    };
  },
});

function busy(what: "provider" | "credential"): AttemptVerdict {
  const whose = what === "provider" ? "The provider of that model" : "Every credential for it";
  const message = `${whose} is busy with as many requests as are allowed. Try again in 1 s.`;
  return { skip: { deny: "provider_limited", message, retryAfterSeconds } };
}

/** A queue in front of nothing would do nothing. */
function refuseIdle({ total, queue, wait }: Config): void {
  for (const [key, given] of Object.entries({ queue, wait })) {
    const idle = Object.keys(given).find((name) => total[name] === undefined);
    if (idle === undefined) continue;
    const at = `providers.${idle}.concurrency.${key}`;
    const mend = `set providers.${idle}.concurrency.max, or remove it`;
    throw configFault(at, "does nothing: nobody waits where there is no limit", mend);
  }
}

function offerGauge(slots: ReadonlyMap<string, Slots>, { gauge }: PolicyHost): void {
  const help =
    "Requests at a provider whose number is limited: those that run, and those that wait.";
  gauge("cliproxy_provider_concurrency", help, ["provider", "state"], (set) => {
    for (const [name, { running, waiting }] of slots) {
      set(running, name, "running");
      set(waiting, name, "waiting");
    }
  });
}
