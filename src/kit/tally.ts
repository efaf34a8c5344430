import { addressPrefix } from "./address-prefix.ts";

/** An address is forgotten after so many milliseconds without an event. */
const forgetMs = 30 * 60_000;
/** Most addresses; the stalest goes first, so that a flood of addresses can't grow memory. */
export const mostTallied = 10_000;

/** Counts events by address. */
export class Tally {
  readonly #counts = new Map<string, { count: number; lastMs: number }>();
  readonly #clock: { mono(): number };

  constructor(clock: { mono(): number }) {
    this.#clock = clock;
  }

  /** Counts an event; returns how many there are of that address. */
  add(address: string): number {
    const key = addressPrefix(address);
    const lastMs = this.#clock.mono();
    const known = this.#counts.get(key);
    const count = known !== undefined && lastMs - known.lastMs < forgetMs ? known.count + 1 : 1;
    // Deleted and set again: the map's order is then the order of the last event.
    this.#counts.delete(key);
    this.#counts.set(key, { count, lastMs });
    if (this.#counts.size > mostTallied) {
      const stalest = this.#counts.keys().next().value;
      if (stalest !== undefined) this.#counts.delete(stalest);
    }
    return count;
  }

  get size(): number {
    return this.#counts.size;
  }
}
