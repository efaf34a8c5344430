import { Buffer } from "node:buffer";
import type { GenericSchema } from "valibot";
import * as v from "valibot";
import type { ScriptHooks, ScriptHost, ScriptPolicy } from "../contract/script.ts";
import { hostModule, hostSymbol } from "./host-module.ts";
import type { Described, SettingsIssue } from "./messages.ts";

/** Code of a policy, brought to life; in a thread of its own or, if it is trusted, in the house. */
export interface LoadedScript {
  readonly described: Described;
  /** Builds the hooks, or says what is wrong with the settings. */
  create(settings: unknown, host: ScriptHost): Promise<ScriptHooks | readonly SettingsIssue[]>;
}

/**
 * Runs the code of a bundle.
 * @throws what the code throws, or an Error that says what it lacks
 */
export async function runScript(code: string): Promise<LoadedScript> {
  const globals = globalThis as unknown as Record<symbol, unknown>;
  globals[Symbol.for(hostSymbol)] = hostModule;
  const url = `data:text/javascript;base64,${Buffer.from(code).toString("base64")}`;
  const module = (await import(url)) as { policy?: unknown; default?: unknown };
  const policy = module.policy ?? module.default;
  if (!isPolicy(policy)) {
    throw new Error("exports no `policy`: write `export const policy = definePolicy({ … })`");
  }
  return {
    described: {
      summary: String(policy.summary),
      stage: String(policy.stage),
      onFault: String(policy.onFault ?? "closed"),
      surfaces: policy.covers?.surfaces ?? "all",
      streams: policy.covers?.streams ?? true,
      admin: policy.covers?.admin ?? false,
      texts: policy.texts === true,
      hasConfig: policy.config !== undefined,
    },
    async create(settings, host) {
      const judged = judge(policy.config, settings);
      if ("issues" in judged) return judged.issues;
      const hooks = (await policy.create(judged.config, host)) as ScriptHooks | undefined;
      if (typeof hooks !== "object" || hooks === null) {
        throw new Error(
          "create returned no hooks: return an object, such as `{ request(x) { … } }`",
        );
      }
      return hooks;
    },
  };
}

function isPolicy(value: unknown): value is ScriptPolicy {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Partial<ScriptPolicy>).create === "function"
  );
}

function judge(
  schema: GenericSchema | undefined,
  settings: unknown,
): { readonly config: unknown } | { readonly issues: readonly SettingsIssue[] } {
  const parsed = v.safeParse(schema ?? v.strictObject({}), settings);
  if (parsed.success) return { config: parsed.output };
  const issues = parsed.issues.map((issue) => ({
    path: (issue.path ?? []).map((item) => String(item.key)),
    message: issue.message,
  }));
  return { issues };
}
