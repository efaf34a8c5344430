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
  deadline: v.optional(duration({ min: "5ms", max: "4s" })),
  isolate: v.optional(v.picklist(["worker", "none"]), "worker"),
  memory: v.optional(v.pipe(v.number(), v.integer(), v.minValue(16), v.maxValue(4096))),
  grant: v.optional(v.array(v.picklist(grants)), []),
  settings: v.optional(v.looseObject({}), {}),
});
const rolloutWithGaps = v.strictObject({
  ...rollout.entries,
  acceptUncovered: v.optional(v.boolean(), false),
});

/** How a policy from disk is run; its own settings are judged by its own schema. */
export interface ScriptRollout {
  readonly mode: "enforce" | "shadow" | "off";
  /** Absent where there is nothing to accept. */
  readonly acceptUncovered?: boolean;
  /** Longest that a hook may take, in milliseconds; only in a thread. */
  readonly deadline?: number | undefined;
  readonly isolate: "worker" | "none";
  /** Most that its thread may hold, in MiB. */
  readonly memory?: number | undefined;
  readonly grant: readonly Grant[];
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * What stands below `policies.<name>` of a policy from disk.
 * @param hasGaps only then is there something to accept: else the key would do nothing
 */
export function scriptClaims(name: string, hasGaps: boolean): Claimant {
  const below = `policies.${name}`;
  return {
    name: rolloutName(name),
    schema: hasGaps ? rolloutWithGaps : rollout,
    keys: {
      mode: `${below}.mode`,
      ...(hasGaps && { acceptUncovered: `${below}.accept_uncovered` }),
      deadline: `${below}.deadline`,
      isolate: `${below}.isolate`,
      memory: `${below}.memory_mib`,
      grant: `${below}.grant`,
      settings: below,
    },
  };
}
