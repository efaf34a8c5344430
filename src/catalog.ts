import type { Dialect, ModelEntry } from "./contract/plugin.ts";
import type { Clock, Logger } from "./contract/types.ts";
import { readText } from "./kit/read-text.ts";
import type { ActiveProvider } from "./providers.ts";
import { createMatcher } from "./routing/patterns.ts";
import { foreignOf } from "./routing/router.ts";

/** How long a provider's own list is believed, in milliseconds. */
const freshMs = 10 * 60_000;
/** How long a provider may take to give its list, in milliseconds. */
const deadlineMs = 10_000;
/** Largest list that is read, in bytes. */
const listBytes = 8 * 1024 * 1024;

/** The models that clients may name, configured or listed by the providers themselves. */
export interface Catalog {
  /** @param isListed whether whoever asks may use that model of that provider */
  list(dialect: string, isListed: (model: ModelEntry) => boolean): Promise<readonly ModelEntry[]>;
}

interface Listed {
  readonly atMs: number;
  readonly ids: Promise<readonly string[]>;
}

/** Asks providers without a configured list for their own, on demand, once in ten minutes. */
export function createCatalog(
  providers: readonly ActiveProvider[],
  clock: Clock,
  log: Logger,
  dialects: readonly Dialect[] = [],
): Catalog {
  const listed = new Map<string, Listed>();

  const ownList = (provider: ActiveProvider): Promise<readonly string[]> => {
    const known = listed.get(provider.name);
    if (known !== undefined && clock.mono() - known.atMs < freshMs) return known.ids;
    const ids = fetchList(provider).catch((error: unknown) => {
      listed.delete(provider.name);
      log.warn("provider gave no model list", { provider: provider.name, error });
      return [];
    });
    listed.set(provider.name, { atMs: clock.mono(), ids });
    return ids;
  };

  return {
    async list(dialect, isListed) {
      const isTranslated = dialects.some((d) => d.name === dialect && d.translation !== undefined);
      const speaking = providers.filter(
        (p) =>
          p.dialects.includes(dialect) || (isTranslated && foreignOf(p, dialects) !== undefined),
      );
      const lists = await Promise.all(
        speaking.map(async (provider) => {
          const ids = await namesOf(provider, ownList);
          return ids.map((id) => ({ id, provider: provider.name, created: 0 }));
        }),
      );
      const byId = new Map<string, ModelEntry>();
      for (const entry of lists.flat()) {
        if (!byId.has(entry.id) && isListed(entry)) byId.set(entry.id, entry);
      }
      return [...byId.values()];
    },
  };
}

/** Names of the configuration, and what of the provider's own list they stand for. */
async function namesOf(
  provider: ActiveProvider,
  ownList: (provider: ActiveProvider) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const models = provider.models ?? [{ name: "*", upstream: "*" }];
  const plain = models.flatMap(({ name }) => (name.includes("*") ? [] : [name]));
  if (plain.length === models.length) return plain.filter((name) => !provider.excludes(name));
  // What an alias with a star makes of a name can't be turned back.
  const isMeant = createMatcher(models.flatMap((m) => (m.name === m.upstream ? [m.name] : [])));
  const own = (await ownList(provider)).filter(isMeant);
  return [...new Set([...plain, ...own])].filter((name) => !provider.excludes(name));
}

async function fetchList(provider: ActiveProvider): Promise<readonly string[]> {
  const { kind, pool, base, credentials } = provider;
  if (pool === undefined) return kind.readModels(undefined);
  const headers: Record<string, string> = { ...kind.defaultHeaders, "accept-encoding": "identity" };
  const [credential] = credentials;
  const secret = credential?.secret ?? (await credential?.tokens?.acquire());
  if (secret === undefined && kind.credential === "required") return [];
  if (credential !== undefined && secret !== undefined) {
    kind.authorize(headers, secret.expose(), credential.kind);
  }
  const url = base + kind.path("models", "");
  const signal = AbortSignal.timeout(deadlineMs);
  const response = await pool.fetch(url, { method: "GET", headers, body: undefined, signal });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  const text = await readText(response, listBytes);
  if (text === undefined) throw new Error("list too long, or in an unknown coding");
  return kind.readModels(JSON.parse(text));
}
