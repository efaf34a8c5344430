import { type AppParts, createApp, type Fetch } from "./app.ts";
import { createCatalog } from "./catalog.ts";
import type { Claimant } from "./config/claims.ts";
import { type LoadedConfig, loadConfig } from "./config/load.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { HostFacts, Policy, SecurityEvent } from "./contract/policy.ts";
import { type Surface, surfaces } from "./contract/types.ts";
import { readCredentials } from "./credentials.ts";
import { type House, lend } from "./host.ts";
import { type ActivePolicy, compilePipeline, inLine, type Pipeline } from "./pipeline.ts";
import { resolveProviders } from "./provider-settings.ts";
import type { ActiveProvider } from "./providers.ts";
import { dialects, policies, providers as providerKinds } from "./registry.gen.ts";
import { createRouter } from "./router.ts";
import type { Runtime } from "./runtime/runtime.ts";
import {
  authDirClaims,
  type LoggingSettings,
  loggingClaims,
  type ProviderSettings,
  providerClaims,
  type RolloutSettings,
  rolloutClaims,
  rolloutName,
  type ServerSettings,
  serverClaims,
} from "./settings.ts";

/** All that claim a part of the configuration. */
export const claimants: readonly Claimant[] = [
  serverClaims,
  authDirClaims,
  providerClaims,
  loggingClaims,
  ...policies.map(({ name, config }) => ({ name, keys: config.keys, schema: config.schema })),
  ...policies.map(({ name }) => rolloutClaims(name)),
];

/** Where the configuration comes from; without a file the safe defaults stand. */
export interface ConfigSource {
  readonly file: string | undefined;
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--host` and `--port`. */
  readonly overrides: { readonly host?: string; readonly port?: number };
}

/** A configuration that was built whole: it serves until the next one takes over. */
export interface Generation {
  readonly number: number;
  readonly fetch: Fetch;
  readonly server: ServerSettings;
  readonly logging: LoggingSettings;
  readonly authDir: string;
  readonly plan: Plan;
  readonly warnings: readonly string[];
  emit(event: SecurityEvent): void;
  /** Lets no further request in; what it holds is disposed when its last exchange has ended. */
  retire(): void;
  /** Exchanges that still run. */
  readonly running: number;
}

/** What is enforced, in order. */
export interface Plan {
  readonly policies: readonly PlannedPolicy[];
  readonly providers: readonly PlannedProvider[];
}
export interface PlannedPolicy {
  readonly name: string;
  readonly stage: string;
  readonly mode: "enforce" | "shadow" | "off" | "not configured";
  readonly onFault: string;
  readonly surfaces: readonly string[];
  readonly summary: string;
}
export interface PlannedProvider {
  readonly name: string;
  readonly protocol: string;
  readonly base: string;
  readonly dialects: readonly string[];
  readonly credentials: number;
  readonly models: readonly string[] | "its own list";
}

export type Assembled =
  | { readonly ok: true; readonly generation: Generation }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

let generations = 0;

/**
 * Builds a generation beside the running one; `check`, start and reload all come through here.
 * @param serving false: nothing is created on disk
 */
export async function assemble(
  source: ConfigSource,
  house: House,
  runtime: Runtime,
  serving: boolean,
): Promise<Assembled> {
  const config = loadConfig(
    { text: source.text, file: source.file ?? "(defaults)" },
    source.env,
    claimants,
  );
  if (!config.ok) return config;
  const server = { ...(config.values.get("server") as ServerSettings), ...source.overrides };
  const { dir: authDir } = config.values.get("auth-dir") as { dir: string };
  const settings = config.values.get("providers") as ProviderSettings;
  const resolved = resolveProviders(settings, config, providerKinds, runtime, (names) =>
    readCredentials(authDir, names),
  );
  if (resolved.problems.length > 0) return { ok: false, problems: resolved.problems };

  const facts: HostFacts = { authDir, listenHost: server.host, listenPort: server.port, serving };
  const built = await buildPolicies(config, house, facts);
  if (!built.ok) return built;
  const { active, planned, pipelines, emit } = built;
  const generation = createGeneration({
    house,
    server,
    authDir,
    logging: config.values.get("logging") as LoggingSettings,
    pipelines,
    providers: resolved.providers,
    active,
    emit,
    openStream: runtime.openStream,
    plan: { policies: planned, providers: resolved.providers.map(toPlannedProvider) },
    warnings: [...config.warnings.map((w) => `${w.path}: ${w.message}`), ...resolved.warnings],
  });
  return { ok: true, generation };
}

interface BuiltPolicies {
  readonly ok: true;
  readonly active: readonly ActivePolicy[];
  readonly planned: readonly PlannedPolicy[];
  readonly pipelines: Readonly<Record<Surface, Pipeline>>;
  emit(event: SecurityEvent): void;
}

/** Longest that an asynchronous gate hook may take, in milliseconds. */
const hookDeadlineMs = 5000;

async function buildPolicies(
  config: LoadedConfig & { ok: true },
  house: House,
  facts: HostFacts,
): Promise<BuiltPolicies | { ok: false; problems: readonly ConfigProblem[] }> {
  const active: ActivePolicy[] = [];
  const covered = new Map<string, readonly Surface[]>();
  const planned: PlannedPolicy[] = [];
  const problems: ConfigProblem[] = [];
  let hear: (event: SecurityEvent) => void = () => {};
  const emit = (event: SecurityEvent): void => hear(event);
  for (const policy of inLine(policies)) {
    const rollout = config.values.get(rolloutName(policy.name)) as RolloutSettings;
    const wrong = rolloutProblem(policy, rollout);
    if (wrong !== undefined) problems.push(config.problemAt(...wrong));
    let mode: PlannedPolicy["mode"] = rollout.mode;
    if (rollout.mode !== "off" && wrong === undefined) {
      const hooks = await create(policy, config, lend(house, policy.name, facts, emit), problems);
      if (hooks === undefined) mode = "not configured";
      else {
        const { name, stage, onFault } = policy;
        active.push({ name, stage, onFault, mode: rollout.mode, hooks });
        covered.set(name, coveredBy(policy));
      }
    }
    planned.push(toPlannedPolicy(policy, mode));
  }
  if (problems.length > 0) return { ok: false, problems };
  const deps = {
    log: house.log.child("pipeline"),
    hookDeadlineMs,
    onShadow: (policy: string, hook: string, code: string) =>
      house.log.debug("shadow verdict", { policy, hook, verdict: code }),
  };
  const compile = (surface: Surface): Pipeline =>
    compilePipeline(
      active.filter(({ name }) => surface === "other" || covered.get(name)?.includes(surface)),
      deps,
    );
  const pipelines = Object.fromEntries(
    [...surfaces, "other" as const].map((surface) => [surface, compile(surface)]),
  ) as Record<Surface, Pipeline>;
  hear = (event) => pipelines.other.event(event);
  return { ok: true, active, planned, pipelines, emit };
}

async function create(
  policy: Policy,
  config: LoadedConfig & { ok: true },
  host: ReturnType<typeof lend>,
  problems: ConfigProblem[],
) {
  try {
    return await policy.create(config.values.get(policy.name), host);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    problems.push(
      config.problemAt(String(Object.values(policy.config.keys)[0] ?? "policies"), reason, ""),
    );
    return undefined;
  }
}

function coveredBy({ covers }: Policy): readonly Surface[] {
  return covers.surfaces === "all" ? surfaces : covers.surfaces;
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
  const gaps = surfaces.filter((surface) => !coveredBy(policy).includes(surface));
  if (rollout.mode !== "off" && gaps.length > 0 && !rollout.acceptUncovered) {
    return [
      `${path}.accept_uncovered`,
      `policy ${policy.name} can't see ${gaps.join(", ")}`,
      "set it to true to accept that, or turn the policy off",
    ];
  }
  return undefined;
}

function toPlannedPolicy(policy: Policy, mode: PlannedPolicy["mode"]): PlannedPolicy {
  const { name, stage, onFault, summary } = policy;
  return { name, stage, mode, onFault, surfaces: coveredBy(policy), summary };
}

const ownList = "its own list" as const;

function toPlannedProvider({ name, kind, base, credentials, models }: ActiveProvider) {
  return {
    name,
    protocol: kind.protocol,
    base: base === "" ? "in process" : base,
    dialects: kind.dialects,
    credentials: credentials.length,
    models: models?.map((m) => m.name) ?? (kind.answer ? kind.readModels(undefined) : ownList),
  };
}

interface GenerationParts extends Omit<Generation, "number" | "fetch" | "retire" | "running"> {
  readonly house: House;
  readonly pipelines: Readonly<Record<Surface, Pipeline>>;
  readonly providers: readonly ActiveProvider[];
  readonly active: readonly ActivePolicy[];
  readonly openStream: Runtime["openStream"];
}

function createGeneration(parts: GenerationParts): Generation {
  const { house, server, pipelines, providers, active } = parts;
  const log = house.log.child("proxy");
  let running = 0;
  let retired = false;
  const dispose = (): void => {
    for (const provider of providers) provider.pool?.close();
    for (const { name, hooks } of active) {
      Promise.resolve(hooks.dispose?.()).catch((error: unknown) =>
        log.error("policy failed to dispose", { policy: name, error }),
      );
    }
  };
  const release = (): void => {
    running -= 1;
    if (retired && running === 0) dispose();
  };
  const fetch = createApp({
    dialects,
    pipelines,
    catalog: createCatalog(providers, house.clock, log),
    router: createRouter(providers),
    house: { live: house.live, mono: house.clock.mono, release },
    limits: {
      bodyBytes: server.bodyBytes,
      bodyBytesInFlight: server.bodyBytesInFlight,
      bodyTimeoutMs: server.bodyTimeout,
      writeStallMs: server.writeStall,
    },
    budget: house.budget,
    openStream: parts.openStream,
    concurrentRequests: server.concurrentRequests,
    log,
    health: (path) => health(house, path),
    enter() {
      running += 1;
      return !house.draining;
    },
  } satisfies AppParts);
  generations += 1;
  const { logging, authDir, plan, warnings, emit } = parts;
  return {
    ...{ number: generations, fetch, server, logging, authDir, plan, warnings, emit },
    retire() {
      if (retired) return;
      retired = true;
      if (running === 0) dispose();
    },
    get running() {
      return running;
    },
  };
}

/** `/readyz` is 503 only while draining; a refused reload shows in its body. */
function health(house: House, path: string): Response {
  const ready = path !== "/readyz" || !house.draining;
  const body = {
    status: ready ? "ok" : "draining",
    ...(path === "/readyz" && { reload: house.reloadRejected ? "rejected" : "ok" }),
  };
  return Response.json(body, {
    status: ready ? 200 : 503,
    headers: { "cache-control": "no-store" },
  });
}
