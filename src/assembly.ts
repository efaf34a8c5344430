import type { Claimant } from "./config/claims.ts";
import { type LoadedConfig, loadConfig } from "./config/load.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Dialect, Provider } from "./contract/plugin.ts";
import type { HostFacts } from "./contract/policy.ts";
import { openCredentialFiles } from "./credential-files.ts";
import { enforce } from "./enforcement.ts";
import { createGeneration, type Generation } from "./generation.ts";
import type { House } from "./host.ts";
import { maskedWarnings } from "./kit/ip-schema.ts";
import { readClients } from "./oauth/clients.ts";
import { oauthClaims } from "./oauth/settings.ts";
import { gapsOf, toPlannedProvider } from "./plan.ts";
import { type ProviderSettings, providerClaims } from "./provider-claims.ts";
import { resolveProviders } from "./provider-settings.ts";
import type { ActiveProvider } from "./providers.ts";
import { dialects, policies, providers as providerKinds, stores } from "./registry.gen.ts";
import { type RoutingSettings, routingClaims } from "./routing/settings.ts";
import { ModelTable } from "./routing/table.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { planScripts } from "./scripts/digests.ts";
import { loadScripts, type ScriptProblem, type Scripts } from "./scripts/load.ts";
import { type ScriptRollout, scriptFolderClaims } from "./scripts/settings.ts";
import {
  authDirClaims,
  type LoggingSettings,
  loggingClaims,
  rolloutClaims,
  rolloutName,
  type ServerSettings,
  type StateSettings,
  serverClaims,
  stateClaims,
} from "./settings.ts";
import { type HeldState, openState, planState } from "./state.ts";
import { type AuthPlace, openVault } from "./vault.ts";

/** All that claim a part of the configuration, but for the policies from disk. */
export const claimants: readonly Claimant[] = [
  serverClaims,
  authDirClaims,
  providerClaims,
  routingClaims,
  oauthClaims,
  loggingClaims,
  stateClaims(stores.map(({ name }) => name)),
  scriptFolderClaims,
  ...policies.map(({ name, config }) => ({ name, keys: config.keys, schema: config.schema })),
  ...policies.map((policy) => rolloutClaims(policy.name, gapsOf(policy).length > 0)),
];

/** What policies may find of themselves, for `doctor`. */
export const policyKinds = policies.map(({ findingKinds }) => findingKinds ?? {});

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
  const file = source.file ?? "(defaults)";
  const scripts = await loadScripts(source, house, runtime, builtInNames);
  const assembled = await assembleWith(scripts, { ...source, file }, house, runtime, serving);
  if (!assembled.ok) await scripts.dispose();
  return assembled;
}

async function assembleWith(
  scripts: Scripts,
  source: ConfigSource & { readonly file: string },
  house: House,
  runtime: Runtime,
  serving: boolean,
): Promise<Assembled> {
  const { text, file, env } = source;
  const config = loadConfig({ text, file }, env, [...claimants, ...scripts.claims]);
  const wrongScripts = scripts.problems.map((problem) => toConfigProblem(problem, config, file));
  if (!config.ok) return { ok: false, problems: [...config.problems, ...wrongScripts] };
  if (wrongScripts.length > 0) return { ok: false, problems: wrongScripts };
  const server = { ...(config.values.get("server") as ServerSettings), ...source.overrides };
  if (server.bodyBytes > server.bodyBytesInFlight) {
    const message = "is more than server.limits.body_bytes_in_flight: such a body would never fit";
    const problem = config.problemAt("server.limits.body_bytes", message, "raise the other one");
    return { ok: false, problems: [problem] };
  }
  const opened = placeOf(config);
  if ("message" in opened) return { ok: false, problems: [opened] };
  const { dir: authDir } = opened;
  const { clientOf, problems: ofClients } = readClients(config);
  if (ofClients.length > 0) return { ok: false, problems: ofClients };
  const isDerived = config.childrenOf("providers").length === 0;
  const files = openCredentialFiles({
    ...{ house, runtime, place: opened, repair: serving, isDerived, clientOf },
  });
  const settings = config.values.get("providers") as ProviderSettings;
  const { streamIdle } = server;
  const { read } = files;
  const routing = config.values.get("routing") as RoutingSettings;
  const resolved = resolveProviders(
    ...([settings, streamIdle, config, providerKinds, runtime, routing.strategy, read] as const),
  );
  const { providers, shelves } = resolved;
  const closePools = (): void => {
    for (const { pool } of providers) pool?.close();
  };
  const unserved =
    resolved.problems.length > 0 ? [] : unservedFallbacks(routing, providers, config);
  if (resolved.problems.length + unserved.length > 0) {
    closePools();
    return { ok: false, problems: [...resolved.problems, ...unserved] };
  }
  const state = await holdState(config, house, runtime, authDir, serving);
  if ("message" in state) {
    closePools();
    return { ok: false, problems: [state] };
  }
  const tls = config.values.get("tls") as { enabled?: boolean; clientCaFile?: string };
  const facts: HostFacts = {
    authDir,
    serving,
    listenHost: server.host,
    listenPort: server.port,
    tls: tls.enabled === true,
    clientCertificates:
      tls.enabled !== true || tls.clientCaFile === undefined
        ? "none"
        : runtime.tellsCertificates
          ? "told"
          : "untold",
    mixesKeyKinds: runtime.mixesKeyKinds,
    speaksHttp2: runtime.speaksHttp2,
    choosesSuites: runtime.choosesSuites,
    providers: providers.map(({ name }) => name),
    credentialOwners: opened.providers,
    homes: homesOf(dialects, providerKinds),
  };
  const own = scripts.toPolicies((name) => config.values.get(rolloutName(name)) as ScriptRollout);
  const enforcement = await enforce([...policies, ...own], config, house, facts);
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
    routing,
    scripts: { folders: scripts.folders, parts: scripts.parts },
    credentials: { files, shelves },
    logging: config.values.get("logging") as LoggingSettings,
    runtime,
    problemAt: config.problemAt,
    plan: {
      policies: planScripts(enforcement.planned, scripts.parts),
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

/** A model that nobody serves can't stand in for another. */
function unservedFallbacks(
  { fallbacks }: RoutingSettings,
  providers: readonly ActiveProvider[],
  config: LoadedConfig & { readonly ok: true },
): ConfigProblem[] {
  const table = new ModelTable(providers);
  return Object.entries(fallbacks).flatMap(([model, chain]) =>
    chain
      .filter((instead) => table.find(instead).length === 0)
      .map((instead) => {
        const mend = "name a model of one of the providers";
        return config.problemAt(`routing.fallbacks.${model}`, `nobody serves ${instead}`, mend);
      }),
  );
}

/** Names that a policy from disk can't have. */
export const builtInNames: ReadonlySet<string> = new Set(policies.map(({ name }) => name));

/** A problem of a policy from disk stands in its source, if it has a place there. */
function toConfigProblem(
  { path, message, mend, at }: ScriptProblem,
  config: LoadedConfig,
  file: string,
): ConfigProblem {
  if (at !== undefined) return { ...at, path, message, mend };
  return config.ok
    ? config.problemAt(path, message, mend)
    : { file, line: 1, column: 1, path, message, mend };
}

/** The vault of a configuration, for the proxy and for the commands. */
export function placeOf(config: LoadedConfig & { readonly ok: true }): AuthPlace | ConfigProblem {
  return openVault(config, providerKinds);
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
