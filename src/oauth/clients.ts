import type { ConfigProblem } from "../config/problems.ts";
import { type ConfiguredClient, configuredClient, type OAuthSettings } from "./settings.ts";
import type { ProviderClient } from "./token-desk.ts";

/** What a configuration can tell of its providers. */
interface Places {
  readonly values: ReadonlyMap<string, unknown>;
  childrenOf(path: string): readonly string[];
  problemAt(path: string, message: string, mend: string): ConfigProblem;
}

/** The OAuth clients that a configuration names, by provider. */
export interface OAuthClients {
  readonly problems: readonly ConfigProblem[];
  configured(provider: string): ConfiguredClient | undefined;
  clientOf(provider: string): ProviderClient;
}

/** Reads the OAuth client of each provider, or says what is wrong with it. */
export function readClients(config: Places): OAuthClients {
  const settings = config.values.get("oauth") as OAuthSettings;
  const { allowInsecure } = config.values.get("providers") as {
    readonly allowInsecure: Readonly<Record<string, boolean | undefined>>;
  };
  const problems: ConfigProblem[] = [];
  const clients = new Map<string, ConfiguredClient>();
  for (const name of config.childrenOf("providers")) {
    const client = configuredClient(name, settings, allowInsecure[name] ?? false);
    if (client === undefined) continue;
    if ("key" in client) {
      const { key, message, mend } = client;
      problems.push(config.problemAt(`providers.${name}.oauth.${key}`, message, mend));
    } else {
      clients.set(name, client);
    }
  }
  return {
    problems,
    configured: (provider) => clients.get(provider),
    clientOf: (provider) => ({
      client: clients.get(provider),
      allowInsecure: allowInsecure[provider] ?? false,
    }),
  };
}
