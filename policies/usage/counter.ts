import type { Attempt, AttemptResult, Exchange } from "../../src/contract/policy.ts";
import type { Counts, Store } from "../../src/contract/store.ts";
import type { MaybePromise } from "../../src/contract/types.ts";
import { tokensSpent } from "../../src/kit/token-cost.ts";

/** What keeps the table small, whatever names clients make up. */
export const usageLimits = {
  /** Rows of a day that name their model. */
  rowsPerDay: 500,
  /** Further rows of a day, of the model `other`; beyond them all is `other`. */
  otherRowsPerDay: 500,
  /** Days that are kept. */
  days: 90,
} as const;

const dayMs = 86_400_000;

/** What a row is about, in the order of its key. */
export const dimensions = ["day", "key", "provider", "model"] as const;
export type Dimension = (typeof dimensions)[number];

/** What stands for names that there were too many of, and for what never came to be. */
export const other = "other";
export const none = "none";

/** `/` can be part of a model, and a space of nothing else. */
const separator = " ";

/** The parts of a row's key, in the order of `dimensions`. */
export function partsOf(key: string): readonly string[] {
  const parts = key.split(separator);
  return [...parts.slice(0, 3), parts.slice(3).join(separator)];
}

/** The day of a moment in UTC, as ISO 8601 writes it. */
export function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}

/** Adds what happens to the row of its day, key, provider and model. */
export class UsageCounter {
  #day = "";
  #dayStartMs = Number.POSITIVE_INFINITY;
  #endMs = 0;
  readonly #named = new Set<string>();
  readonly #others = new Set<string>();

  /** Takes up the rows of a day that an earlier process began. */
  resume(day: string, keys: readonly string[]): void {
    this.#begin(day);
    for (const key of keys) {
      const isNamed = partsOf(key)[3] !== other;
      (isNamed ? this.#named : this.#others).add(key);
    }
  }

  attempt(
    x: Exchange,
    { provider, model }: Attempt,
    result: AttemptResult,
    store: Store,
    nowMs: number,
  ): MaybePromise<void> {
    const isGood = result.kind === "ok";
    const key = this.#row(nowMs, x.principal?.keyId ?? none, provider, model, isGood);
    return store.add(key, countsOf(x, result), this.#endMs);
  }

  /** A request that no provider was asked for. */
  refused(x: Exchange, store: Store, nowMs: number): MaybePromise<void> {
    const key = this.#row(nowMs, x.principal?.keyId ?? none, none, none, true);
    return store.add(key, { requests: 1, refused: 1 }, this.#endMs);
  }

  /** A model gets a row of its own once it has answered: names that nobody serves get none. */
  #row(nowMs: number, keyId: string, provider: string, model: string, isGood: boolean): string {
    // Writing a date out costs more than all else here, and it changes once a day.
    const intoDayMs = nowMs - this.#dayStartMs;
    if (!(intoDayMs >= 0 && intoDayMs < dayMs)) this.#begin(dayOf(nowMs));
    const day = this.#day;
    const named = `${day}${separator}${keyId}${separator}${provider}${separator}${model}`;
    if (this.#named.has(named)) return named;
    if (isGood && this.#named.size < usageLimits.rowsPerDay) {
      this.#named.add(named);
      return named;
    }
    const shared = [day, keyId, provider, other].join(separator);
    if (this.#others.has(shared)) return shared;
    if (this.#others.size < usageLimits.otherRowsPerDay) {
      this.#others.add(shared);
      return shared;
    }
    return [day, other, other, other].join(separator);
  }

  #begin(day: string): void {
    this.#day = day;
    this.#dayStartMs = Date.parse(day);
    this.#endMs = Date.parse(day) + (usageLimits.days + 1) * dayMs;
    this.#named.clear();
    this.#others.clear();
  }
}

function countsOf(x: Exchange, result: AttemptResult): Counts {
  const { kind, usage } = result;
  const counts: Record<string, number> = { requests: 1 };
  if (kind !== "ok") counts.errors = 1;
  if (kind === "ok" && usage !== undefined) {
    counts.input_tokens = usage.inputTokens;
    counts.output_tokens = usage.outputTokens;
    counts.cached_tokens = usage.cachedTokens;
    counts.reasoning_tokens = usage.reasoningTokens;
    return counts;
  }
  const estimate = tokensSpent(x, result);
  if (estimate > 0) counts.estimated_tokens = estimate;
  return counts;
}
