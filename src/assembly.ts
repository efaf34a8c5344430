import type { Claimant } from "./config/claims.ts";
import { type LoadedConfig, loadConfig } from "./config/load.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Dialect, Provider } from "./contract/plugin.ts";
import type { HostFacts } from "./contract/policy.ts";
import { readCredentials } from "./credentials.ts";
import { enforce } from "./enforcement.ts";
import { createGeneration, type Generation } from "./generation.ts";
import type { House } from "./host.ts";
import { maskedWarnings } from "./kit/ip-schema.ts";
import { gapsOf, toPlannedProvider } from "./plan.ts";
import { resolveProviders } from "./provider-settings.ts";
import { dialects, policies, providers as providerKinds, stores } from "./registry.gen.ts";
import type { Runtime } from "./runtime/runtime.ts";
import {
  authDirClaims,
  type LoggingSettings,
  loggingClaims,
  type ProviderSettings,
  providerClaims,
  rolloutClaims,
  type ServerSettings,
  type StateSettings,
  serverClaims,
  stateClaims,
} from "./settings.ts";
import { type HeldState, openState, planState } from "./state.ts";

/** All that claim a part of the configuration. */
export const claimants: readonly Claimant[] = [
  serverClaims,
  authDirClaims,
  providerClaims,
  loggingClaims,
  stateClaims(stores.map(({ name }) => name)),
  ...policies.map(({ name, config }) => ({ name, keys: config.keys, schema: config.schema })),
  ...policies.map((policy) => rolloutClaims(policy.name, gapsOf(policy).length > 0)),
];

/** Where the configuration comes from; without a file the safe defaults stand. */
export interface ConfigSource {
  readonly file: string | undefined;
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--host` and `--port`. */
  readonly overrides: { readonly host?: string; readonly port?: number };
}

export type Assembled =
  | { readonly ok: true; readonly generation: Generation }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

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
  if (server.bodyBytes > server.bodyBytesInFlight) {
    const message = "is more than server.limits.body_bytes_in_flight: such a body would never fit";
    const problem = config.problemAt("server.limits.body_bytes", message, "raise the other one");
    return { ok: false, problems: [problem] };
  }
  const { dir: authDir } = config.values.get("auth-dir") as { dir: string };
  const settings = config.values.get("providers") as ProviderSettings;
  const { streamIdle } = server;
  const resolved = resolveProviders(settings, streamIdle, config, providerKinds, runtime, (names) =>
    readCredentials(authDir, names),
  );
  const { providers } = resolved;
  const closePools = (): void => {
    for (const { pool } of providers) pool?.close();
  };
  if (resolved.problems.length > 0) {
    closePools();
    return { ok: false, problems: resolved.problems };
  }
  const state = await holdState(config, house, runtime, authDir, serving);
  if ("message" in state) {
    closePools();
    return { ok: false, problems: [state] };
  }
  const facts: HostFacts = {
    authDir,
    serving,
    listenHost: server.host,
    listenPort: server.port,
    tls: (config.values.get("tls") as { enabled: boolean }).enabled,
    choosesSuites: runtime.choosesSuites,
    providers: providers.map(({ name }) => name),
    homes: homesOf(dialects, providerKinds),
  };
  const enforcement = await enforce(policies, config, house, facts);
  if (!enforcement.ok) {
    closePools();
    return enforcement;
  }
  const generation = createGeneration({
    house,
    server,
    authDir,
    dialects,
    enforcement,
    providers,
    logging: config.values.get("logging") as LoggingSettings,
    runtime,
    problemAt: config.problemAt,
    plan: {
      policies: enforcement.planned,
      providers: providers.map(toPlannedProvider),
      gaps: runtime.gaps,
      state: { store: state.plan.kind.name, path: state.plan.path },
    },
    warnings: [
      ...config.warnings.map((w) => `${w.path}: ${w.message}`),
      ...maskedWarnings(server.trustedProxies).map((w) => `server.trusted_proxies: ${w}`),
      ...resolved.warnings,
      ...runtime.gaps.map(({ key, what }) => `${key} ${what}`),
      ...state.plan.warnings,
    ],
  });
  return { ok: true, generation };
}

/** By dialect, the vendor whose API it is: a kind with an address of its own that speaks it. */
function homesOf(
  spoken: readonly Dialect[],
  kinds: readonly Provider[],
): Readonly<Record<string, string>> {
  const vendors = kinds.filter(({ baseUrl }) => baseUrl !== undefined);
  const home = ({ name }: Dialect): string =>
    vendors.find((kind) => kind.dialects.includes(name))?.protocol ?? "none";
  return Object.fromEntries(spoken.map((dialect) => [dialect.name, home(dialect)]));
}

/** Opens the state at first; later it stays what it is, since counters can't change their place. */
async function holdState(
  config: LoadedConfig & { readonly ok: true },
  house: House,
  runtime: Runtime,
  authDir: string,
  serving: boolean,
): Promise<HeldState | ConfigProblem> {
  const settings = config.values.get("state") as StateSettings;
  if (house.state !== undefined) {
    const { store, path } = house.state.settings;
    if (settings.store === store && settings.path === path) return house.state;
    const key = settings.store === store ? "state.path" : "state.store";
    return config.problemAt(key, "can't change while it is in use", "restart the proxy");
  }
  const { openDatabase } = runtime;
  const plan = planState(settings, authDir, stores, openDatabase);
  if ("message" in plan) return config.problemAt(plan.path, plan.message, plan.mend);
  const options = { clock: house.clock, log: house.log.child("state"), openDatabase };
  try {
    house.state = await openState(plan, settings, stores, options, serving);
    return house.state;
  } catch (error) {
    const { message, mend } = error as { message?: string; mend?: string };
    return config.problemAt("state.path", message ?? String(error), mend ?? "");
  }
}
