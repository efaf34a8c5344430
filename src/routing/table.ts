import type { ActiveProvider, Credential } from "../providers.ts";
import type { Candidate } from "./candidate.ts";
import { Turn } from "./order.ts";
import { type ModelPattern, toPattern } from "./patterns.ts";

/** A provider's name for a model, and the ways to reach it that need no choice. */
export interface Target {
  readonly provider: ActiveProvider;
  readonly model: string;
  /** Of all models of the provider. */
  readonly turn: Turn;
  /** What the ways were made of: the provider may have others by now. */
  credentials: readonly Credential[];
  /** In order of priority. */
  ways: readonly Candidate[];
  /** How many of the first ways are equals. */
  equals: number;
}

/** An entry of `models` whose name stands for many. */
interface Wild {
  readonly provider: ActiveProvider;
  readonly pattern: ModelPattern;
  readonly upstream: string;
}

/** Most names of models without an entry of their own whose targets are remembered. */
const mostGuesses = 1024;

/** Who serves a model: the model table of a configuration, compiled. */
export class ModelTable {
  readonly #listed = new Map<string, Target[]>();
  readonly #wild: Wild[] = [];
  readonly #open: ActiveProvider[] = [];
  readonly #providers: readonly ActiveProvider[];
  readonly #turns = new Map<ActiveProvider, Turn>();
  // Names that clients make up must not fill the memory.
  readonly #guessed = new Map<string, readonly Target[]>();

  /** @param providers in the order in which they are asked */
  constructor(providers: readonly ActiveProvider[]) {
    this.#providers = providers;
    for (const provider of providers) {
      this.#turns.set(provider, new Turn());
      if (provider.models === undefined) this.#open.push(provider);
      for (const { name, upstream } of provider.models ?? []) {
        const pattern = toPattern(name);
        if (pattern !== undefined) this.#wild.push({ provider, pattern, upstream });
        else if (!provider.excludes(name)) this.#list(name, this.#target(provider, upstream));
      }
    }
  }

  /** The targets of a model, with the credentials that their providers have now. */
  find(model: string): readonly Target[] {
    const targets = this.#listed.get(model) ?? this.#remembered(model);
    for (const target of targets) {
      if (target.credentials !== target.provider.credentials) renew(target);
    }
    return targets;
  }

  #list(name: string, target: Target): void {
    for (const key of [name, `${target.provider.name}/${name}`]) {
      this.#listed.set(key, [...(this.#listed.get(key) ?? []), target]);
    }
  }

  #remembered(model: string): readonly Target[] {
    const known = this.#guessed.get(model);
    if (known !== undefined) return known;
    if (this.#guessed.size >= mostGuesses) this.#guessed.clear();
    const targets = this.#guess(model);
    this.#guessed.set(model, targets);
    return targets;
  }

  /** Patterns first, then whoever takes every name. */
  #guess(model: string): readonly Target[] {
    const named = this.#providers.find(({ name }) => model.startsWith(`${name}/`));
    if (named !== undefined) {
      // A provider that is named and has no such model: nobody else is meant.
      const rest = model.slice(named.name.length + 1);
      const own = this.#matching(rest, [named]);
      if (own.length > 0) return own;
      return this.#open.includes(named) ? this.#takers(rest, [named]) : [];
    }
    const matching = this.#matching(model, this.#providers);
    return matching.length > 0 ? matching : this.#takers(model, this.#open);
  }

  #matching(model: string, among: readonly ActiveProvider[]): readonly Target[] {
    return among.flatMap((provider) => {
      if (provider.excludes(model)) return [];
      const wild = this.#wild.find((w) => w.provider === provider && w.pattern.matches(model));
      return wild === undefined
        ? []
        : [this.#target(provider, wild.pattern.fill(model, wild.upstream))];
    });
  }

  #takers(model: string, among: readonly ActiveProvider[]): readonly Target[] {
    return among
      .filter((provider) => !provider.excludes(model))
      .map((provider) => this.#target(provider, model));
  }

  #target(provider: ActiveProvider, model: string): Target {
    const turn = this.#turns.get(provider) as Turn;
    const target: Target = { provider, model, turn, credentials: [], ways: [], equals: 0 };
    renew(target);
    return target;
  }
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
