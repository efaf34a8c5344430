import type { ModelEntry } from "./contract/plugin.ts";
import type { Refusal } from "./errors.ts";
import type { ActiveProvider, Credential } from "./providers.ts";

/** One way to serve a call. */
export interface Candidate {
  readonly provider: ActiveProvider;
  readonly credential: Credential | undefined;
  /** The name the provider knows the model by. */
  readonly model: string;
}

export interface Router {
  /** Ways to serve a model in a dialect, best first; or why there is none. */
  resolve(model: string, dialect: string): readonly Candidate[] | Refusal;
  /** The configured models of a dialect; providers without a list are asked elsewhere. */
  readonly models: (dialect: string) => readonly ModelEntry[];
}

interface Target {
  readonly provider: ActiveProvider;
  readonly model: string;
}

/** Compiles the model table of a configuration. */
export function createRouter(providers: readonly ActiveProvider[]): Router {
  const byModel = new Map<string, Target[]>();
  const open: ActiveProvider[] = [];
  const add = (name: string, target: Target): void => {
    const targets = byModel.get(name);
    if (targets === undefined) byModel.set(name, [target]);
    else targets.push(target);
  };
  for (const provider of providers) {
    if (provider.models === undefined) open.push(provider);
    for (const { name, upstream } of provider.models ?? []) {
      add(name, { provider, model: upstream });
      add(`${provider.name}/${name}`, { provider, model: upstream });
    }
  }
  const turns = new Map<string, number>();

  const find = (model: string): readonly Target[] => {
    const known = byModel.get(model);
    if (known !== undefined) return known;
    for (const provider of open) {
      const prefix = `${provider.name}/`;
      if (model.startsWith(prefix)) return [{ provider, model: model.slice(prefix.length) }];
    }
    return open.map((provider) => ({ provider, model }));
  };

  return {
    resolve(model, dialect) {
      const targets = find(model);
      if (targets.length === 0) return { code: "model_not_found" };
      const speaking = targets.filter((t) => t.provider.kind.dialects.includes(dialect));
      if (speaking.length === 0) return wrongDialect(targets[0] as Target);
      const candidates = speaking.flatMap((target) => withCredentials(target, turns));
      return candidates.length === 0 ? { code: "no_credential" } : candidates;
    },
    models: (dialect) =>
      providers
        .filter((provider) => provider.kind.dialects.includes(dialect))
        .flatMap((provider) =>
          (provider.models ?? []).map(({ name }) => ({
            id: name,
            provider: provider.name,
            created: 0,
          })),
        ),
  };
}

function wrongDialect({ provider }: Target): Refusal {
  return {
    code: "wrong_dialect",
    message:
      `The provider \`${provider.name}\` speaks ${provider.kind.dialects.join(", ")}, ` +
      "not the API of this endpoint. Call the endpoint of that API.",
  };
}

/** Credentials of the lowest priority first; equals take turns. */
function withCredentials(target: Target, turns: Map<string, number>): Candidate[] {
  const { provider } = target;
  const { credentials } = provider;
  if (credentials.length === 0) {
    if (provider.kind.credential === "required") return [];
    return [{ ...target, credential: undefined }];
  }
  if (credentials.length === 1) return [{ ...target, credential: credentials[0] }];
  const turn = turns.get(provider.name) ?? 0;
  turns.set(provider.name, (turn + 1) % Number.MAX_SAFE_INTEGER);
  const first = credentials[0]?.priority;
  const equals = credentials.filter((credential) => credential.priority === first);
  const start = turn % equals.length;
  const order = [
    ...equals.slice(start),
    ...equals.slice(0, start),
    ...credentials.slice(equals.length),
  ];
  return order.map((credential) => ({ ...target, credential }));
}
