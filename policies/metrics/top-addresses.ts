import { addressPrefix } from "../../src/kit/address-prefix.ts";

/** Most addresses that have a series of their own. */
export const mostSeries = 100;
/** Most addresses without one whose count is known; the stalest is forgotten. */
export const mostCandidates = 10_000;

/**
 * Counts by address with few series, whatever strangers make up: the busiest have their own, the
 * rest is `other`. One that takes another's place counts from then on, and what the other had is
 * added to `other`: no series ever falls while it is shown, and the sum stays exact.
 */
export class TopAddresses {
  readonly #shown = new Map<string, { count: number; value: number }>();
  readonly #candidates = new Map<string, number>();
  #other = 0;
  /** No shown count is below it. */
  #least = 0;

  add(ip: string): void {
    const key = addressPrefix(ip);
    const shown = this.#shown.get(key);
    if (shown !== undefined) {
      shown.count += 1;
      shown.value += 1;
      return;
    }
    if (this.#shown.size < mostSeries) {
      this.#shown.set(key, { count: 1, value: 1 });
      return;
    }
    const count = (this.#candidates.get(key) ?? 0) + 1;
    if (count > this.#least && this.#replace(key, count)) return;
    this.#candidates.delete(key);
    this.#candidates.set(key, count);
    this.#other += 1;
    if (this.#candidates.size > mostCandidates) {
      const stalest = this.#candidates.keys().next().value;
      if (stalest !== undefined) this.#candidates.delete(stalest);
    }
  }

  /** Every shown address, then `other`. */
  samples(): readonly (readonly [label: string, value: number])[] {
    const own = [...this.#shown].map(([key, { value }]) => [toLabel(key), value] as const);
    return [...own, ["other", this.#other]];
  }

  get candidates(): number {
    return this.#candidates.size;
  }

  /** Takes the place of the least busy address; false: none is less busy. */
  #replace(key: string, count: number): boolean {
    let least: { key: string; count: number; value: number } | undefined;
    for (const [other, entry] of this.#shown) {
      if (least === undefined || entry.count < least.count) least = { key: other, ...entry };
    }
    if (least === undefined) return false;
    this.#least = least.count;
    if (count <= least.count) return false;
    this.#shown.delete(least.key);
    this.#candidates.delete(key);
    this.#candidates.set(least.key, least.count);
    this.#other += least.value;
    this.#shown.set(key, { count, value: 1 });
    return true;
  }
}

/** The groups of an IPv6 prefix as a network. */
function toLabel(key: string): string {
  return key.includes(":") ? `${key}::/64` : key;
}
