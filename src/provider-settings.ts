import type { ConfigPlaces } from "./config/places.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Provider } from "./contract/plugin.ts";
import { CredentialShelf } from "./credential-shelf.ts";
import type { FoundCredentials } from "./credentials.ts";
import type { ProviderSettings } from "./provider-claims.ts";
import { wireOf } from "./provider-wire.ts";
import { type ActiveProvider, isLoopbackHost, toBase } from "./providers.ts";
import { createMatcher } from "./routing/patterns.ts";
import type { RoutingSettings } from "./routing/settings.ts";
import type { Runtime } from "./runtime/runtime.ts";

export interface ResolvedProviders {
  readonly providers: readonly ActiveProvider[];
  /** The credentials of each, by its name. */
  readonly shelves: ReadonlyMap<string, CredentialShelf>;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

const defaults = { firstByteMs: 300_000, totalMs: 3_600_000 };
/** Seconds that an unused connection to a provider is kept: below what providers keep theirs. */
const idleSeconds = 50;

/** In a configuration without any: the built-in one, which needs no account. */
const fallback = "sandbox";

/**
 * The providers that a file in `auth.dir` may belong to: those configured, and where there are none
 * the vendors themselves, so that a credential is all that is needed to begin.
 */
export function credentialOwners(
  named: readonly string[],
  kinds: readonly Provider[],
): readonly string[] {
  if (named.length > 0) return named;
  const vendors = kinds.filter(({ baseUrl }) => baseUrl !== undefined);
  return [...vendors.map(({ protocol }) => protocol), fallback];
}

/**
 * Turns settings into providers, or says what is wrong with them.
 * @param streamIdleMs silence allowed where a provider's own settings name none
 */
export function resolveProviders(
  settings: ProviderSettings,
  streamIdleMs: number,
  places: ConfigPlaces,
  kinds: readonly Provider[],
  runtime: Runtime,
  strategy: RoutingSettings["strategy"],
  read: (names: readonly string[]) => FoundCredentials,
): ResolvedProviders {
  const named = places.childrenOf("providers");
  const found = read(credentialOwners(named, kinds));
  const owners = [...found.byProvider.keys()].filter((name) => name !== fallback).sort();
  const names = named.length > 0 ? named : [...owners, fallback];
  const providers: ActiveProvider[] = [];
  const shelves = new Map<string, CredentialShelf>();
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [...found.warnings];
  if (named.length === 0) {
    const who = owners.length === 0 ? "the sandbox answers" : `${names.join(", ")} answer`;
    warnings.push(`no providers are configured: ${who}`);
  }
  for (const name of names) {
    const shelf = shelfOf(name, settings, found);
    shelves.set(name, shelf);
    const made = resolveOne(name, settings, streamIdleMs, places, kinds, runtime, strategy, shelf);
    if ("path" in made) problems.push(made);
    else providers.push(made);
  }
  for (const { name, kind, credentials } of providers) {
    if (kind.credential === "required" && credentials.length === 0) {
      warnings.push(`provider ${name} has no credential: set providers.${name}.api_key`);
    }
  }
  return { providers, shelves, problems, warnings };
}

function shelfOf(name: string, { apiKey }: ProviderSettings, found: FoundCredentials) {
  const secret = apiKey[name];
  const inline = { id: `${name}-inline`, kind: "api_key" as const, secret, priority: 0 };
  const ofFiles = found.byProvider.get(name) ?? [];
  return new CredentialShelf(secret === undefined ? [] : [inline], ofFiles);
}

function resolveOne(
  name: string,
  settings: ProviderSettings,
  streamIdleMs: number,
  places: ConfigPlaces,
  kinds: readonly Provider[],
  runtime: Runtime,
  strategy: RoutingSettings["strategy"],
  shelf: CredentialShelf,
): ActiveProvider | ConfigProblem {
  const at = `providers.${name}`;
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name)) {
    return places.problemAt(at, "is no name for a provider", "use letters, digits and . _ -");
  }
  const protocol = settings.protocol[name] ?? name;
  const kind = kinds.find((k) => k.protocol === protocol);
  if (kind === undefined) {
    const known = kinds.map((k) => k.protocol).join(", ");
    const wrong =
      settings.protocol[name] === undefined
        ? "needs a protocol, since its name is not one"
        : `there is no protocol \`${protocol}\``;
    return places.problemAt(
      settings.protocol[name] === undefined ? at : `${at}.protocol`,
      wrong,
      `set protocol to one of ${known}`,
    );
  }
  const idle = kind.answer && (idleKey(name, settings) ?? oauthKey(at, places));
  if (idle) return places.problemAt(`${at}.${idle}`, "does nothing for this protocol", "remove it");
  const unknown = settings.dialects[name]?.find((dialect) => !kind.dialects.includes(dialect));
  if (unknown !== undefined) {
    const wrong = `\`${unknown}\` is no API of the protocol ${protocol}`;
    return places.problemAt(`${at}.dialects`, wrong, `choose among ${kind.dialects.join(", ")}`);
  }
  const wrongChoice = choiceProblem(name, settings, strategy, places);
  if (wrongChoice !== undefined) return wrongChoice;
  const selection = settings.selection[name] ?? "round_robin";
  const address = baseOf(name, kind, settings, places);
  if ("path" in address) return address;
  const wire = wireOf(name, settings, address.base, places, runtime);
  if ("path" in wire) return wire;
  return {
    name,
    kind,
    dialects: settings.dialects[name] ?? kind.dialects,
    base: address.base,
    get credentials() {
      return shelf.list;
    },
    priority: settings.priority[name] ?? 0,
    weight: settings.weight[name] ?? 1,
    selection,
    isMeasured: measuring.has(selection) || measuring.has(strategy),
    excludes: createMatcher(settings.excludedModels[name] ?? []),
    timeouts: {
      firstByteMs: settings.firstByte[name] ?? defaults.firstByteMs,
      idleMs: settings.idle[name] ?? streamIdleMs,
      totalMs: settings.total[name] ?? defaults.totalMs,
    },
    models: settings.models[name]?.map((m) =>
      typeof m === "string" ? { name: m, upstream: m } : m,
    ),
    pool:
      kind.answer === undefined
        ? runtime.openPool({
            idleSeconds,
            environmentProxy: !isLoopbackHost(new URL(address.base).hostname),
            ...wire,
          })
        : undefined,
  };
}

/** What orders by how providers answer. */
const measuring: ReadonlySet<string> = new Set(["least_latency", "quota_aware"]);

/** What is wrong with what a provider says of its choice. */
function choiceProblem(
  name: string,
  settings: ProviderSettings,
  strategy: RoutingSettings["strategy"],
  places: ConfigPlaces,
): ConfigProblem | undefined {
  const at = `providers.${name}`;
  if (settings.weight[name] !== undefined && strategy !== "weighted") {
    const mend = "set routing.strategy to weighted, or remove it";
    return places.problemAt(`${at}.weight`, `does nothing where the strategy is ${strategy}`, mend);
  }
  const starsOf = (text: string): number => text.split("*").length - 1;
  for (const model of settings.models[name] ?? []) {
    if (typeof model === "string" || starsOf(model.upstream) <= starsOf(model.name)) continue;
    const wrong = `\`${model.upstream}\` has more \`*\` than \`${model.name}\``;
    return places.problemAt(`${at}.models`, wrong, "give the name as many");
  }
  return undefined;
}

/** A key that a provider in process has no use for. */
function idleKey(name: string, settings: ProviderSettings): string | undefined {
  const { baseUrl, apiPath, apiKey, allowInsecure, proxyUrl, caFile, certFile, keyFile } = settings;
  const keys = {
    base_url: baseUrl,
    api_path: apiPath,
    api_key: apiKey,
    allow_insecure: allowInsecure,
    proxy_url: proxyUrl,
    "tls.ca_file": caFile,
    "tls.cert_file": certFile,
    "tls.key_file": keyFile,
  };
  return Object.entries(keys).find(([, given]) => given[name] !== undefined)?.[0];
}

/** Claimed elsewhere; below it anything may be written, or nothing. */
function oauthKey(at: string, places: ConfigPlaces): "oauth" | undefined {
  return places.childrenOf(at).includes("oauth") ? "oauth" : undefined;
}

function baseOf(
  name: string,
  kind: Provider,
  settings: ProviderSettings,
  places: ConfigPlaces,
): { readonly base: string } | ConfigProblem {
  if (kind.answer !== undefined) return { base: "" };
  const path = `providers.${name}.base_url`;
  const baseUrl = settings.baseUrl[name] ?? kind.baseUrl;
  if (baseUrl === undefined) {
    return places.problemAt(path, "is missing", "write where the provider is, with https://");
  }
  const insecure = settings.allowInsecure[name] ?? false;
  const made = toBase(baseUrl, kind.version, settings.apiPath[name], insecure);
  return "wrong" in made ? places.problemAt(path, made.wrong, "correct the address") : made;
}
