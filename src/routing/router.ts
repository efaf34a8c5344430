import type { Dialect } from "../contract/plugin.ts";
import type { Clock, Surface } from "../contract/types.ts";
import type { Refusal } from "../errors.ts";
import type { RunningExchange } from "../exchange.ts";
import type { ActiveProvider } from "../providers.ts";
import { Affinity } from "./affinity.ts";
import type { Candidate } from "./candidate.ts";
import { inOrder, Turn } from "./order.ts";
import type { RoutingSettings } from "./settings.ts";
import { ModelTable, type Target } from "./table.ts";

export interface Router {
  /**
   * Ways to serve a model in a dialect, best first; or why there is none.
   * @param surface what the call is for, to name an endpoint that would do
   */
  resolve(model: string, dialect: string, surface?: Surface): readonly Candidate[] | Refusal;
  /** The same for the call of an exchange, with what its session and the fallbacks say. */
  waysOf(x: RunningExchange, model: string): readonly Candidate[] | Refusal;
  /** Tells which of several ways has served. */
  served(x: RunningExchange, way: Candidate): void;
  /** Most ways that are asked for one request. */
  readonly mostAttempts: number;
}

const usual: RoutingSettings = {
  ...{ strategy: "priority", affinity: false, affinityTtl: 0, fallbacks: {} },
  maxAttempts: 100,
};

/** Most models whose turns are remembered. */
const mostTurns = 1024;

/**
 * Compiles the model table of a configuration.
 * @param dialects for translation, and for the endpoints that a refusal names
 */
export function createRouter(
  providers: readonly ActiveProvider[],
  dialects: readonly Dialect[] = [],
  rules: RoutingSettings = usual,
  clock: Pick<Clock, "mono"> = { mono: () => 0 },
): Router {
  const { strategy, fallbacks } = rules;
  const asked = [...providers].sort((a, b) => a.priority - b.priority);
  const table = new ModelTable(asked);
  const turns = new Map<string, Turn>();
  const affinity = rules.affinity ? new Affinity(clock, rules.affinityTtl) : undefined;

  const order = (model: string, targets: readonly Target[]): readonly Candidate[] => {
    if (strategy === "priority" || targets.length === 1) {
      return targets.flatMap(({ provider, ways, equals, turn }) =>
        inOrder(provider.selection, ways, equals, turn),
      );
    }
    const ways = targets.flatMap((target) => target.ways).sort(byRank);
    const equals = ways.filter((way) => byRank(way, ways[0] as Candidate) === 0).length;
    return inOrder(strategy, ways, equals, turnOf(model));
  };
  const turnOf = (model: string): Turn => {
    const known = turns.get(model);
    if (known !== undefined) return known;
    if (turns.size >= mostTurns) turns.clear();
    const turn = new Turn();
    turns.set(model, turn);
    return turn;
  };

  const resolve: Router["resolve"] = (model, dialect, surface) => {
    const targets = table.find(model);
    const [first] = targets;
    if (first === undefined) return { code: "model_not_found" };
    if (targets.length === 1 && first.equals <= 1 && speaks(first, dialect)) {
      return first.ways.length === 0 ? { code: "no_credential" } : first.ways;
    }
    const speaking = targets.filter((target) => speaks(target, dialect));
    if (speaking.length > 0) {
      const ways = order(model, speaking);
      return ways.length === 0 ? { code: "no_credential" } : ways;
    }
    // Ways through translation: only where nobody speaks the client's dialect.
    const own = dialects.find(({ name }) => name === dialect)?.translation;
    const foreign = targets.filter(({ provider }) => foreignOf(provider, dialects) !== undefined);
    if (own === undefined || own.surface !== surface || foreign.length === 0) {
      return wrongDialect(first, dialects, surface);
    }
    const ways = order(model, foreign).map((way) => {
      const into = foreignOf(way.provider, dialects);
      return into === undefined ? way : { ...way, foreign: into };
    });
    return ways.length === 0 ? { code: "no_credential" } : ways;
  };

  /** Ways of the models that stand in for one, as far as whoever asks may use them. */
  const standIns = (x: RunningExchange, model: string): readonly Candidate[] => {
    const chain = Object.hasOwn(fallbacks, model) ? (fallbacks[model] ?? []) : [];
    return chain.flatMap((instead) => {
      const ways = resolve(instead, x.dialect, x.surface);
      if ("code" in ways) return [];
      return ways
        .filter(({ provider }) =>
          x.route.pipeline.lists(x, { id: instead, provider: provider.name }),
        )
        .map((way) => ({ ...way, instead }));
    });
  };

  return {
    resolve,
    waysOf(x, model) {
      const found = resolve(model, x.dialect, x.surface);
      const isRefused = "code" in found;
      const ways =
        isRefused || found.length === 1 || affinity === undefined
          ? found
          : affinity.prefer(x, found);
      if (!Object.hasOwn(fallbacks, model)) return ways;
      const more = standIns(x, model);
      if (more.length === 0) return ways;
      return "code" in ways ? more : [...ways, ...more];
    },
    served: (x, way) => affinity?.bind(x, way),
    mostAttempts: rules.maxAttempts,
  };
}

function byRank(a: Candidate, b: Candidate): number {
  return (
    a.provider.priority - b.provider.priority ||
    (a.credential?.priority ?? 0) - (b.credential?.priority ?? 0)
  );
}

function speaks({ provider }: Target, dialect: string): boolean {
  return provider.dialects.includes(dialect);
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
