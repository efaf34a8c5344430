import { addressPrefix } from "../../src/kit/address-prefix.ts";

/** What strangers can cause as often as they like is recorded so often in each minute… */
export const perAddress = 60;
/** …and so often for all addresses together; the rest is counted. */
export const perMinute = 6000;
export const windowMs = 60_000;
/** Most addresses that are told apart in a minute. */
export const mostAddresses = 10_000;

interface Count {
  readonly type: string;
  readonly address: string;
  seen: number;
  recorded: number;
}

/** Events of one kind from one address that were not recorded one by one. */
export interface Unrecorded {
  readonly type: string;
  /** Empty: of addresses that are not told apart. */
  readonly address: string;
  readonly count: number;
}

/** Keeps a flood from filling the log: what is left out is counted, and told each minute. */
export class Sampler {
  #counts = new Map<string, Count>();
  #startMs: number;
  #recorded = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  /** Whether an event is to be recorded by itself. */
  admit(type: string, ip: string): boolean {
    const prefix = addressPrefix(ip);
    const key = `${type} ${prefix}`;
    const isKnown = this.#counts.has(key) || this.#counts.size < mostAddresses;
    const count = isKnown ? this.#count(key, type, ip) : this.#count(type, type, "");
    count.seen += 1;
    if (count.recorded >= perAddress || this.#recorded >= perMinute) return false;
    count.recorded += 1;
    this.#recorded += 1;
    return true;
  }

  /** Begins a new minute if the last one is over: what was not recorded in it. */
  turn(nowMs: number): readonly Unrecorded[] {
    if (nowMs - this.#startMs < windowMs) return [];
    return this.end(nowMs);
  }

  /** Ends the minute, whether it is over or not. */
  end(nowMs: number): readonly Unrecorded[] {
    const left: Unrecorded[] = [];
    for (const { type, address, seen, recorded } of this.#counts.values()) {
      if (seen > recorded) left.push({ type, address, count: seen - recorded });
    }
    this.#counts = new Map();
    this.#startMs = nowMs;
    this.#recorded = 0;
    return summary(left);
  }

  #count(key: string, type: string, address: string): Count {
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const fresh = { type, address, seen: 0, recorded: 0 };
    this.#counts.set(key, fresh);
    return fresh;
  }
}

/** Most summaries of a minute; those with the least are put together. */
export const mostSummaries = 100;

function summary(left: readonly Unrecorded[]): readonly Unrecorded[] {
  if (left.length <= mostSummaries) return left;
  const sorted = [...left].sort((a, b) => b.count - a.count);
  const rest = new Map<string, number>();
  for (const { type, count } of sorted.slice(mostSummaries)) {
    rest.set(type, (rest.get(type) ?? 0) + count);
  }
  const merged = [...rest].map(([type, count]) => ({ type, address: "", count }));
  return [...sorted.slice(0, mostSummaries), ...merged];
}
