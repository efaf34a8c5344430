import * as v from "valibot";
import { doc, duration } from "../kit/schema.ts";

/** How the credentials of one provider are chosen. */
export const selections = [
  "round_robin",
  "fill_first",
  "weighted",
  "least_latency",
  "quota_aware",
] as const;
export type Selection = (typeof selections)[number];

/** How the ways of one model are chosen, over all of its providers. */
export const strategies = ["priority", ...selections] as const;

const modelName = v.pipe(v.string(), v.nonEmpty(), v.maxLength(256));

const routing = v.strictObject({
  strategy: v.optional(
    v.pipe(
      v.picklist(strategies),
      doc("priority: provider by provider; else all ways of equal priority are chosen among."),
    ),
    "priority",
  ),
  affinity: v.optional(
    v.pipe(v.boolean(), doc("Keep a session with who served it, so that prompt caches stay warm.")),
    true,
  ),
  affinityTtl: v.optional(
    v.pipe(
      duration({ min: "1s", max: "24h" }),
      doc("How long after its last request a session is kept so."),
    ),
    "1h",
  ),
  fallbacks: v.optional(
    v.record(
      modelName,
      v.pipe(
        v.array(modelName),
        v.minLength(1),
        v.maxLength(16),
        doc("Models to ask, in order, where none of its ways serves a model.", {
          example: ["claude-sonnet-4-5", "gemini-2.5-pro"],
        }),
      ),
    ),
    {},
  ),
  maxAttempts: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(100),
      doc("Most ways that are asked for one request."),
    ),
    8,
  ),
});

/** Who is asked, in which order; `routing.cooldown` is claimed by its policy. */
export const routingClaims = {
  name: "routing",
  schema: routing,
  keys: {
    strategy: "routing.strategy",
    affinity: "routing.affinity.enabled",
    affinityTtl: "routing.affinity.ttl",
    fallbacks: "routing.fallbacks.*",
    maxAttempts: "routing.max_attempts",
  },
} as const;
export type RoutingSettings = v.InferOutput<typeof routing>;
