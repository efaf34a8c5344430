import type { LoadedConfig } from "./config/load.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Finding } from "./contract/finding.ts";
import type { PlannedListener, TlsPlan } from "./contract/listen.ts";
import {
  type EventType,
  eventTypes,
  type HostFacts,
  type LiveRegistry,
  type Policy,
  type PolicyHost,
  type SecurityEvent,
} from "./contract/policy.ts";
import { type Surface, surfaces } from "./contract/types.ts";
import { findingsFault } from "./findings-fault.ts";
import { type Bench, type House, lend } from "./host.ts";
import type { MountedOperation } from "./management/handle.ts";
import { mountOperations } from "./management/mount.ts";
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
  /** What policies add to the management API. */
  readonly operations: readonly MountedOperation[];
  /** What policies listen on, beside the main listener. */
  readonly listeners: readonly PlannedListener[];
  /** How the main listener speaks TLS; undefined: it doesn't. */
  readonly tls: TlsPlan | undefined;
  /** What policies set on every response, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  emit(event: SecurityEvent): void;
  /** Tells the policies that they serve. */
  adopted(): void;
  /** What the policies would have `doctor` know. */
  findings(): readonly Finding[];
  /** Tells the policies that credential files were read again. */
  credentialsRead(): void;
  /** Resolves when every policy has let go. */
  dispose(): Promise<void>;
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
  const operations: MountedOperation[] = [];
  const problems: ConfigProblem[] = [];
  let hear: (event: SecurityEvent) => void = () => {};
  const heard = new Set<EventType>();
  const bench: Bench = {
    facts,
    gauges: [],
    emit: (event) => hear(event),
    hears: (type) => heard.has(type),
  };
  const line = inLine(staged(policies, ({ name }) => config.values.get(name)));
  for (const { policy, stage } of line) {
    const rollout = config.values.get(rolloutName(policy.name)) as RolloutSettings;
    const wrong = rolloutProblem(policy, rollout);
    if (wrong !== undefined) problems.push(config.problemAt(...wrong));
    let mode: PlannedPolicy["mode"] = rollout.mode;
    if (rollout.mode !== "off" && wrong === undefined) {
      const lent = lend(house, policy.name, bench, rollout.mode);
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
    const own = active.find(({ name }) => name === policy.name)?.hooks;
    const handlers = own && (own.admin ?? {});
    operations.push(...mountOperations(policy.name, policy.admin ?? [], handlers));
  }
  const log = house.log.child("pipeline");
  const shadow = new Map<string, number>();
  const dispose = async (): Promise<void> => {
    if (shadow.size > 0) log.info("shadow verdicts", Object.fromEntries(shadow));
    const ends = active.map(async ({ name, hooks }) => {
      try {
        await hooks.dispose?.();
      } catch (error) {
        log.error("policy failed to dispose", { policy: name, error });
      }
    });
    await Promise.all(ends);
  };
  if (problems.length > 0) {
    await dispose();
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
    const seen = covered.get(name) ?? [];
    return surface === "other" ? seen.length > 0 : seen.includes(surface);
  };
  const compile = (surface: Surface): Pipeline =>
    compilePipeline(
      active.filter(({ name }) => sees(name, surface)),
      deps,
    );
  const pipelines = Object.fromEntries(
    [...surfaces, "other" as const, "admin" as const].map((surface) => [surface, compile(surface)]),
  ) as Record<Surface, Pipeline>;
  const all = compilePipeline(active, deps);
  hear = (event) => all.event(event);
  for (const { hooks } of active) {
    if (hooks.event !== undefined) for (const type of hooks.hears ?? eventTypes) heard.add(type);
  }
  const listeners: PlannedListener[] = [];
  let tls: TlsPlan | undefined;
  const plan = {
    add: (one: PlannedListener) => void listeners.push(one),
    secure(one: TlsPlan) {
      tls = one;
    },
  };
  for (const { hooks } of active) hooks.listen?.(plan);
  const tellAll = (hook: "adopted" | "credentialsRead"): void => {
    for (const { name, hooks } of active) {
      try {
        hooks[hook]?.();
      } catch (error) {
        log.error("policy failed", { policy: name, hook, error });
      }
    }
  };
  const adopted = (): void => tellAll("adopted");
  const credentialsRead = (): void => tellAll("credentialsRead");
  const { emit } = bench;
  const headers = headersOf(active);
  const findings = (): readonly Finding[] => findingsOf(active);
  const told = { planned, operations, listeners, tls, headers, findings };
  return { ok: true, ...told, pipelines, emit, adopted, credentialsRead, dispose };
}

/** Of every policy; one that fails is a finding itself, and hides no other. */
function findingsOf(active: readonly ActivePolicy[]): readonly Finding[] {
  return active.flatMap(({ name, hooks }) => {
    try {
      return hooks.findings?.() ?? [];
    } catch (error) {
      return [findingsFault(name, error)];
    }
  });
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
    const faults = error instanceof AggregateError ? error.errors : [error];
    for (const { message, configPath, mend } of faults as Partial<ConfigFault>[]) {
      const first = Object.values(policy.config.keys)[0] ?? `policies.${policy.name}`;
      const path = configPath ?? String(first);
      problems.push(config.problemAt(path, message ?? String(error), mend ?? ""));
    }
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
