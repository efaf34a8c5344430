import { safeParse } from "valibot";
import type { Policy, Stage } from "./contract/policy.ts";
import { type Surface, surfaces } from "./contract/types.ts";
import { inLine } from "./pipeline.ts";
import type { ActiveProvider } from "./providers.ts";
import type { RuntimeGap } from "./runtime/runtime.ts";

/** What is enforced, in order. */
export interface Plan {
  readonly policies: readonly PlannedPolicy[];
  readonly providers: readonly PlannedProvider[];
  /** What the runtime leaves undone. */
  readonly gaps: readonly RuntimeGap[];
  /** Where counters and lists are; the path is empty where there is no file. */
  readonly state: { readonly store: string; readonly path: string };
}
export interface PlannedPolicy {
  readonly name: string;
  readonly stage: string;
  readonly mode: "enforce" | "shadow" | "off" | "not configured";
  readonly onFault: string;
  readonly surfaces: readonly string[];
  readonly summary: string;
  /** Where it comes from, and the digest over its files; absent: it is built in. */
  readonly file?: string;
  readonly sha256?: string;
}
export interface PlannedProvider {
  readonly name: string;
  readonly protocol: string;
  readonly base: string;
  readonly dialects: readonly string[];
  readonly credentials: number;
  readonly models: readonly string[] | "its own list";
}

/** The surfaces that a policy can see. */
export function coveredBy({ covers }: Pick<Policy, "covers">): readonly Surface[] {
  return covers.surfaces === "all" ? surfaces : covers.surfaces;
}

/** What a policy can't see, in words; empty for most. */
export function gapsOf(policy: Pick<Policy, "covers">): readonly string[] {
  const covered = coveredBy(policy);
  // Of the management API alone: it guards nothing else, so nothing is left open.
  if (covered.length === 0 && policy.covers.admin) return [];
  const gaps: string[] = surfaces.filter((surface) => !covered.includes(surface));
  if (!policy.covers.streams) gaps.push("streamed replies");
  return gaps;
}

/** The policies with the stage that each has in a configuration, by its name. */
export function staged<P extends Policy>(
  policies: readonly P[],
  configOf: (policy: P) => unknown,
): { readonly name: string; readonly stage: Stage; readonly policy: P }[] {
  return policies.map((policy) => {
    const { name, stage } = policy;
    return { name, stage: typeof stage === "string" ? stage : stage(configOf(policy)), policy };
  });
}

/** The policies in line, each where its defaults place it. */
export function usualLine<P extends Policy>(policies: readonly P[]) {
  return inLine(staged(policies, ({ config }) => safeParse(config.schema, {}).output));
}

export function toPlannedPolicy(
  policy: Policy,
  stage: Stage,
  mode: PlannedPolicy["mode"],
): PlannedPolicy {
  const { name, onFault, summary } = policy;
  const seen = [...coveredBy(policy), ...(policy.covers.admin ? ["admin"] : [])];
  return { name, stage, mode, onFault, surfaces: seen, summary };
}

const ownList = "its own list" as const;

export function toPlannedProvider(provider: ActiveProvider): PlannedProvider {
  const { name, kind, base, models } = provider;
  return {
    name,
    protocol: kind.protocol,
    base: base === "" ? "in process" : base,
    dialects: provider.dialects,
    // Asked when it is told: files of credentials come and go.
    get credentials() {
      return provider.credentials.length;
    },
    models: models?.map((m) => m.name) ?? (kind.answer ? kind.readModels(undefined) : ownList),
  };
}
