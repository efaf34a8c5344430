/**
 * Counts requests and tokens by day, client key, provider and model, for `GET /usage`. It refuses
 * nothing, so a fault loses a count and no request. A process that is killed loses the last second.
 */
import * as v from "valibot";
import { definePolicy } from "../../src/contract/policy.ts";
import { doc } from "../../src/kit/schema.ts";
import { dayOf, UsageCounter } from "./counter.ts";
import { operations, readUsage } from "./report.ts";

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(v.boolean(), doc("Count requests and tokens by key, provider, model and day.")),
    true,
  ),
});

export const policy = definePolicy({
  name: "usage",
  summary: "Requests and tokens are counted by day, key, provider and model.",
  stage: "observe",
  onFault: "open",
  covers: { surfaces: "all", streams: true },
  config: { schema, keys: { enabled: "usage.enabled" } },
  admin: operations,
  async create({ enabled }, host) {
    if (!enabled) return undefined;
    const { store, clock } = host;
    const counter = host.keep("counter", () => new UsageCounter());
    const today = dayOf(clock.now());
    counter.resume(
      today,
      (await store.read(today)).map(({ key }) => key),
    );
    return {
      attemptEnd(x, attempt, result) {
        return counter.attempt(x, attempt, result, store, clock.now());
      },
      finish(x, { kind, provider }) {
        if (provider !== undefined || (kind !== "denied" && kind !== "fault")) return;
        return counter.refused(x, store, clock.now());
      },
      admin: { readUsage: (call) => readUsage(call, host) },
    };
  },
});
