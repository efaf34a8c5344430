import * as v from "valibot";
import openapi from "../../docs/openapi.json" with { type: "json" };
import type { AdminHandler, AdminOperation } from "../contract/admin.ts";
import type { House } from "../host.ts";
import type { Plan } from "../plan.ts";
import { version } from "../version.ts";

const status = v.strictObject({
  version: v.string(),
  runtime: v.string(),
  generation: v.pipe(v.number(), v.integer()),
  /** Requests that run now. */
  running: v.pipe(v.number(), v.integer()),
  draining: v.boolean(),
  reload: v.picklist(["ok", "rejected"]),
});

const plan = v.strictObject({
  policies: v.array(
    v.strictObject({
      name: v.string(),
      stage: v.string(),
      mode: v.picklist(["enforce", "shadow", "off", "not configured"]),
      onFault: v.string(),
      surfaces: v.array(v.string()),
      summary: v.string(),
      file: v.optional(v.string()),
      sha256: v.optional(v.string()),
    }),
  ),
  providers: v.array(
    v.strictObject({
      name: v.string(),
      protocol: v.string(),
      base: v.string(),
      dialects: v.array(v.string()),
      credentials: v.pipe(v.number(), v.integer()),
      models: v.union([v.array(v.string()), v.literal("its own list")]),
    }),
  ),
  /** What this runtime can't do. */
  gaps: v.array(v.strictObject({ key: v.string(), what: v.string() })),
});

/** What every house answers, whatever its policies are. */
export const coreOperations: readonly AdminOperation[] = [
  {
    id: "getStatus",
    method: "GET",
    path: "/status",
    summary: "Tells version, generation and load.",
    status: 200,
    reply: status,
    refusals: [],
  },
  {
    id: "getPlan",
    method: "GET",
    path: "/plan",
    summary: "Tells what is enforced, in order, and which providers there are.",
    status: 200,
    reply: plan,
    refusals: [],
  },
  {
    id: "getOpenapi",
    method: "GET",
    path: "/openapi.json",
    summary: "The document that describes this API.",
    status: 200,
    reply: v.looseObject({}),
    refusals: [],
  },
];

/** What the core tells of its generation. */
export interface CoreFacts {
  readonly house: House;
  readonly runtime: string;
  readonly plan: Plan;
  readonly number: number;
}

export function coreHandlers(facts: CoreFacts): Readonly<Record<string, AdminHandler>> {
  const { house } = facts;
  return {
    getStatus: () => ({
      body: {
        version,
        runtime: facts.runtime,
        generation: facts.number,
        running: house.live.size,
        draining: house.draining,
        reload: house.reloadRejected ? "rejected" : "ok",
      } satisfies v.InferOutput<typeof status>,
    }),
    getPlan: () => ({ body: facts.plan }),
    getOpenapi: () => ({ body: openapi }),
  };
}
