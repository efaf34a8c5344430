import * as v from "valibot";
import type { Claimant } from "../config/claims.ts";
import { doc, duration } from "../kit/schema.ts";
import { rolloutName } from "../settings.ts";
import { type Grant, grants } from "./grants.ts";

const folder = v.strictObject({
  dir: v.optional(
    v.pipe(
      v.string(),
      v.nonEmpty(),
      doc("Directory of policies of your own; none are loaded when it is not set.", {
        example: "./policies",
      }),
    ),
  ),
  requireLock: v.optional(
    v.pipe(v.boolean(), doc("Load only what policies.lock in that directory pins.")),
    false,
  ),
});

/** Where policies of the user are. */
export const scriptFolderClaims = {
  name: "script-folder",
  schema: folder,
  keys: { dir: "policies.dir", requireLock: "policies.require_lock" },
} as const;

const rollout = v.strictObject({
  mode: v.optional(v.picklist(["enforce", "shadow", "off"]), "enforce"),
  acceptUncovered: v.optional(v.boolean(), false),
  deadline: v.optional(duration({ min: "5ms", max: "4s" }), "250ms"),
  isolate: v.optional(v.picklist(["worker", "none"]), "worker"),
  memory: v.optional(v.pipe(v.number(), v.integer(), v.minValue(16), v.maxValue(4096)), 128),
  grant: v.optional(v.array(v.picklist(grants)), []),
  settings: v.optional(v.looseObject({}), {}),
});

/** How a policy from disk is run; its own settings are judged by its own schema. */
export interface ScriptRollout {
  readonly mode: "enforce" | "shadow" | "off";
  readonly acceptUncovered: boolean;
  /** Longest that a hook may take, in milliseconds. */
  readonly deadline: number;
  readonly isolate: "worker" | "none";
  /** Most that its worker may hold, in MiB. */
  readonly memory: number;
  readonly grant: readonly Grant[];
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What stands below `policies.<name>` of a policy from disk. */
export function scriptClaims(name: string): Claimant {
  const below = `policies.${name}`;
  return {
    name: rolloutName(name),
    schema: rollout,
    keys: {
      mode: `${below}.mode`,
      acceptUncovered: `${below}.accept_uncovered`,
      deadline: `${below}.deadline`,
      isolate: `${below}.isolate`,
      memory: `${below}.memory_mib`,
      grant: `${below}.grant`,
      settings: below,
    },
  };
}
