import type { LoadedConfig } from "./config/load.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type {
  HostFacts,
  LiveRegistry,
  Policy,
  PolicyHost,
  SecurityEvent,
} from "./contract/policy.ts";
import { type Surface, surfaces } from "./contract/types.ts";
import { type House, lend } from "./host.ts";
import { type ActivePolicy, compilePipeline, inLine, type Pipeline } from "./pipeline.ts";
import { coveredBy, gapsOf, type PlannedPolicy, staged, toPlannedPolicy } from "./plan.ts";
import { type RolloutSettings, rolloutName } from "./settings.ts";

/** What an error that a policy throws may say beside its message. */
interface ConfigFault extends Error {
  readonly configPath: string;
  readonly mend: string;
}

type GoodConfig = LoadedConfig & { readonly ok: true };

/** The policies of a configuration, built and in line. */
export interface Enforcement {
  readonly ok: true;
  readonly planned: readonly PlannedPolicy[];
  readonly pipelines: Readonly<Record<Surface, Pipeline>>;
  /** What policies set on every response, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  emit(event: SecurityEvent): void;
  dispose(): void;
}

/** Longest that an asynchronous gate hook may take, in milliseconds. */
const hookDeadlineMs = 5000;

/** What runs, to a policy in shadow mode: it may not end anything. */
const untouchable: LiveRegistry = { size: 0, abort: () => 0 };

/** Builds every policy that the configuration turns on; a failure disposes what was built. */
export async function enforce(
  policies: readonly Policy[],
  config: GoodConfig,
  house: House,
  facts: HostFacts,
): Promise<Enforcement | { ok: false; problems: readonly ConfigProblem[] }> {
  const active: ActivePolicy[] = [];
  const covered = new Map<string, readonly Surface[]>();
  const admin = new Set<string>();
  const planned: PlannedPolicy[] = [];
  const problems: ConfigProblem[] = [];
  let hear: (event: SecurityEvent) => void = () => {};
  const emit = (event: SecurityEvent): void => hear(event);
  const line = inLine(staged(policies, ({ name }) => config.values.get(name)));
  for (const { policy, stage } of line) {
    const rollout = config.values.get(rolloutName(policy.name)) as RolloutSettings;
    const wrong = rolloutProblem(policy, rollout);
    if (wrong !== undefined) problems.push(config.problemAt(...wrong));
    let mode: PlannedPolicy["mode"] = rollout.mode;
    if (rollout.mode !== "off" && wrong === undefined) {
      const lent = lend(house, policy.name, facts, emit, rollout.mode);
      const host = rollout.mode === "shadow" ? { ...lent, live: untouchable } : lent;
      const hooks = await create(policy, config, host, problems);
      if (hooks === undefined) mode = "not configured";
      else {
        const { name, onFault } = policy;
        active.push({ name, stage, onFault, mode: rollout.mode, hooks });
        covered.set(name, coveredBy(policy));
        if (policy.covers.admin) admin.add(name);
      }
    }
    planned.push(toPlannedPolicy(policy, stage, mode));
  }
  const log = house.log.child("pipeline");
  const shadow = new Map<string, number>();
  const dispose = (): void => {
    if (shadow.size > 0) log.info("shadow verdicts", Object.fromEntries(shadow));
    for (const { name, hooks } of active) {
      Promise.resolve(hooks.dispose?.()).catch((error: unknown) =>
        log.error("policy failed to dispose", { policy: name, error }),
      );
    }
  };
  if (problems.length > 0) {
    dispose();
    return { ok: false, problems };
  }
  const onShadow = (policy: string, hook: string, code: string): void => {
    const verdict = `${policy} ${hook} ${code}`;
    shadow.set(verdict, (shadow.get(verdict) ?? 0) + 1);
    log.debug("shadow verdict", { policy, hook, verdict: code });
  };
  const deps = { log, hookDeadlineMs, onShadow };
  const sees = (name: string, surface: Surface): boolean => {
    if (surface === "admin") return admin.has(name);
    return surface === "other" || covered.get(name)?.includes(surface) === true;
  };
  const compile = (surface: Surface): Pipeline =>
    compilePipeline(
      active.filter(({ name }) => sees(name, surface)),
      deps,
    );
  const pipelines = Object.fromEntries(
    [...surfaces, "other" as const, "admin" as const].map((surface) => [surface, compile(surface)]),
  ) as Record<Surface, Pipeline>;
  hear = (event) => pipelines.other.event(event);
  return { ok: true, planned, pipelines, headers: headersOf(active), emit, dispose };
}

function headersOf(active: readonly ActivePolicy[]): Readonly<Record<string, string>> {
  const enforced = active.filter(({ mode }) => mode === "enforce");
  return Object.assign({}, ...enforced.map(({ hooks }) => hooks.headers));
}

async function create(
  policy: Policy,
  config: GoodConfig,
  host: PolicyHost,
  problems: ConfigProblem[],
) {
  try {
    return await policy.create(config.values.get(policy.name), host);
  } catch (error) {
    const { message, configPath, mend } = error as Partial<ConfigFault>;
    const path = configPath ?? String(Object.values(policy.config.keys)[0] ?? "policies");
    problems.push(config.problemAt(path, message ?? String(error), mend ?? ""));
    return undefined;
  }
}

/** A policy that can't see a surface would be a hole that nobody knows of. */
function rolloutProblem(
  policy: Policy,
  rollout: RolloutSettings,
): [path: string, message: string, mend: string] | undefined {
  const path = `policies.${policy.name}`;
  if (policy.required && rollout.mode !== "enforce") {
    return [
      `${path}.mode`,
      `\`${rollout.mode}\` would leave the house open`,
      "remove it: this policy is always enforced",
    ];
  }
  const gaps = gapsOf(policy);
  if (rollout.mode !== "off" && gaps.length > 0 && !rollout.acceptUncovered) {
    return [
      `${path}.accept_uncovered`,
      `policy ${policy.name} can't see ${gaps.join(", ")}`,
      "set it to true to accept that, or turn the policy off",
    ];
  }
  return undefined;
}
