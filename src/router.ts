import type { Dialect } from "./contract/plugin.ts";
import type { Surface } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import type { ActiveProvider, Credential } from "./providers.ts";

/** One way to serve a call. */
export interface Candidate {
  readonly provider: ActiveProvider;
  readonly credential: Credential | undefined;
  /** The name the provider knows the model by. */
  readonly model: string;
  /** The dialect to translate into, where the provider does not speak the client's. */
  readonly foreign?: Dialect;
}

export interface Router {
  /**
   * Ways to serve a model in a dialect, best first; or why there is none.
   * @param surface what the call is for, to name an endpoint that would do
   */
  resolve(model: string, dialect: string, surface?: Surface): readonly Candidate[] | Refusal;
}

/** A provider's name for a model, and the ways to reach it that need no choice. */
interface Target {
  readonly provider: ActiveProvider;
  readonly model: string;
  /** What the ways were made of: the provider may have others by now. */
  credentials: readonly Credential[];
  /** In order of priority. */
  ways: readonly Candidate[];
  /** How many of the first ways take turns. */
  equals: number;
}

/**
 * Compiles the model table of a configuration.
 * @param dialects for the endpoints that a refusal names
 */
export function createRouter(
  providers: readonly ActiveProvider[],
  dialects: readonly Dialect[] = [],
): Router {
  const listed = new Map<string, Target[]>();
  const open: ActiveProvider[] = [];
  const add = (name: string, target: Target): void => {
    listed.set(name, [...(listed.get(name) ?? []), target]);
  };
  for (const provider of providers) {
    if (provider.models === undefined) open.push(provider);
    for (const { name, upstream } of provider.models ?? []) {
      const target = toTarget(provider, upstream);
      add(name, target);
      add(`${provider.name}/${name}`, target);
    }
  }

  const guess = (model: string): readonly Target[] => {
    for (const provider of open) {
      const prefix = `${provider.name}/`;
      if (model.startsWith(prefix)) return [toTarget(provider, model.slice(prefix.length))];
    }
    // A provider that is named and has no such model: nobody else is meant.
    if (providers.some(({ name }) => model.startsWith(`${name}/`))) return [];
    return open.map((provider) => toTarget(provider, model));
  };
  // Names that clients make up must not fill the memory.
  const guessed = new Map<string, readonly Target[]>();
  const find = (model: string): readonly Target[] => {
    const known = listed.get(model) ?? guessed.get(model);
    if (known !== undefined) return known;
    if (guessed.size >= mostGuesses) guessed.clear();
    const targets = guess(model);
    guessed.set(model, targets);
    return targets;
  };

  const turns = new Map<ActiveProvider, number>();
  return {
    resolve(model, dialect, surface) {
      const targets = find(model);
      const [first] = targets;
      if (first === undefined) return { code: "model_not_found" };
      for (const target of targets) {
        if (target.credentials !== target.provider.credentials) renew(target);
      }
      const candidates =
        targets.length === 1 && first.equals <= 1 && speaks(first, dialect)
          ? first.ways
          : targets.filter((t) => speaks(t, dialect)).flatMap((t) => inTurn(t, turns));
      if (candidates.length === 0 && !targets.some((t) => speaks(t, dialect))) {
        const translated = translatedWays(targets, dialects, dialect, surface, turns);
        if (translated === undefined) return wrongDialect(first, dialects, surface);
        return translated.length === 0 ? { code: "no_credential" } : translated;
      }
      return candidates.length === 0 ? { code: "no_credential" } : candidates;
    },
  };
}

/** Most names of models without a list whose targets are remembered. */
const mostGuesses = 1024;

function speaks({ provider }: Target, dialect: string): boolean {
  return provider.dialects.includes(dialect);
}

/**
 * Ways through translation: only where nobody speaks the client's dialect.
 * @returns undefined where what is asked can't be translated
 */
function translatedWays(
  targets: readonly Target[],
  dialects: readonly Dialect[],
  client: string,
  surface: Surface | undefined,
  turns: Map<ActiveProvider, number>,
): readonly Candidate[] | undefined {
  const own = dialects.find(({ name }) => name === client)?.translation;
  if (own === undefined || own.surface !== surface) return undefined;
  let isTranslated = false;
  const ways = targets.flatMap((target) => {
    const foreign = foreignOf(target.provider, dialects);
    if (foreign === undefined) return [];
    isTranslated = true;
    return inTurn(target, turns).map((way) => ({ ...way, foreign }));
  });
  return isTranslated ? ways : undefined;
}

/** The dialect that a provider is spoken to in by clients of others. */
export function foreignOf(
  provider: ActiveProvider,
  dialects: readonly Dialect[],
): Dialect | undefined {
  for (const name of provider.dialects) {
    const found = dialects.find((dialect) => dialect.name === name);
    if (found?.translation !== undefined) return found;
  }
  return undefined;
}

function toTarget(provider: ActiveProvider, model: string): Target {
  const target = { provider, model, credentials: [], ways: [], equals: 0 };
  renew(target);
  return target;
}

function renew(target: Target): void {
  const { provider, model } = target;
  const { credentials, kind } = provider;
  const ways: Candidate[] = credentials.map((credential) => ({ provider, credential, model }));
  if (ways.length === 0 && kind.credential !== "required") {
    ways.push({ provider, credential: undefined, model });
  }
  const best = credentials[0]?.priority;
  target.credentials = credentials;
  target.ways = ways;
  target.equals = credentials.filter((c) => c.priority === best).length;
}

/** Credentials of the lowest priority first; equals take turns. */
function inTurn(
  { provider, ways, equals }: Target,
  turns: Map<ActiveProvider, number>,
): readonly Candidate[] {
  if (equals <= 1) return ways;
  const turn = turns.get(provider) ?? 0;
  turns.set(provider, (turn + 1) % Number.MAX_SAFE_INTEGER);
  const start = turn % equals;
  return [...ways.slice(start, equals), ...ways.slice(0, start), ...ways.slice(equals)];
}

function wrongDialect(
  { provider }: Target,
  dialects: readonly Dialect[],
  surface: Surface | undefined,
): Refusal {
  const spoken = provider.dialects.map((name) => {
    const { routes = [] } = dialects.find((dialect) => dialect.name === name) ?? {};
    const route = routes.find((r) => r.surface === surface) ?? routes[0];
    return route === undefined ? name : `${name} (${route.method} ${shown(route.path)})`;
  });
  return {
    code: "wrong_dialect",
    message:
      `The provider \`${provider.name}\` speaks ${spoken.join(", ")}, ` +
      "not the API of this endpoint. Call an endpoint of an API that it speaks.",
  };
}

/** A route's pattern as a person would write it. */
function shown(path: string): string {
  return path.replace(/:target\{\.\+(.*)\}$/, "{model}$1");
}
