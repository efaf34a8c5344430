import { addressPrefix } from "./address-prefix.ts";

/** The clock a ledger needs. */
interface LedgerClock {
  mono(): number;
}

interface Entry {
  count: number;
  lastMs: number;
}

/** Failures that cost nothing: a person mistyping, a client that is being set up. */
const freeFailures = 10;
/** Longest wait, in milliseconds. */
const longestMs = 15 * 60_000;
/** An address is forgotten after this long without a failure. */
const forgetMs = 30 * 60_000;
/** Most addresses; the stalest goes first, so a flood of addresses can't grow memory. */
const mostAddresses = 10_000;

/** Counts failures by address and says how long the next failure must wait, exponentially. */
export class FailureLedger {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: LedgerClock;

  constructor(clock: LedgerClock) {
    this.#clock = clock;
  }

  /** Notes a failure; returns the milliseconds to wait, 0 while it is still free. */
  fail(address: string): number {
    const now = this.#clock.mono();
    const key = addressPrefix(address);
    const known = this.#entries.get(key);
    const entry = known && now - known.lastMs < forgetMs ? known : { count: 0, lastMs: now };
    entry.count += 1;
    entry.lastMs = now;
    // Deleted and set again: the map's order is then the order of the last failure.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > mostAddresses) {
      const stalest = this.#entries.keys().next().value;
      if (stalest !== undefined) this.#entries.delete(stalest);
    }
    const over = entry.count - freeFailures;
    return over <= 0 ? 0 : Math.min(longestMs, 1000 * 2 ** Math.min(over - 1, 30));
  }

  get size(): number {
    return this.#entries.size;
  }
}
