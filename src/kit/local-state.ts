import { type Hold, QuotaCounter, type Span } from "./quota-counter.ts";
import { type Item, Shelf } from "./shelf.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Most that one owner can keep; more is an error, so that nobody fills the memory. */
export const stateLimits = {
  keyCharacters: 1024,
  valueCharacters: 16 * 1024,
  buckets: 100_000,
  quotas: 100_000,
  holds: 100_000,
  rows: 100_000,
  values: 1_000_000,
} as const;

/** A row of counters, by name. */
export type CountRow = Record<string, number>;

/** What has changed since a journal looked last. */
export interface Changes {
  readonly quotas: Set<QuotaCounter>;
  readonly holds: Set<Hold>;
  readonly rows: Set<Item<CountRow>>;
  readonly values: Set<Item<string>>;
}

export interface StateOptions {
  readonly clock: { now(): number; mono(): number };
  /** Begins the ids of reservations: those of an earlier process must not be met again. */
  readonly series: string;
  /** Undefined: nobody keeps a journal. */
  readonly changes?: Changes;
}

interface BucketSpec {
  readonly key: string;
  readonly capacity: number;
  readonly perSecond: number;
}

/** The state of one owner, in memory; every operation is atomic, since none waits. */
export class LocalState {
  readonly rows: Shelf<CountRow>;
  readonly values: Shelf<string>;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #quotas = new Map<string, QuotaCounter>();
  readonly #holds = new Map<string, Hold>();
  readonly #options: StateOptions;
  #serial = 0;

  constructor(options: StateOptions) {
    this.#options = options;
    const { clock, changes } = options;
    const { now } = clock;
    this.rows = new Shelf({ most: stateLimits.rows, what: "rows", now }, changes?.rows);
    this.values = new Shelf({ most: stateLimits.values, what: "values", now }, changes?.values);
  }

  take(specs: readonly BucketSpec[], amounts: readonly number[]) {
    const nowMs = this.#options.clock.mono();
    const levels: { left: number; waitMs: number }[] = [];
    let admitted = true;
    for (const [i, { key, capacity, perSecond }] of specs.entries()) {
      const bucket = this.#bucket(key, nowMs);
      const waitMs = bucket.waitMs(amounts[i] ?? 0, capacity, perSecond, nowMs);
      if (waitMs > 0) admitted = false;
      levels.push({ left: 0, waitMs });
    }
    for (const [i, level] of levels.entries()) {
      const { key, capacity, perSecond } = specs[i] as BucketSpec;
      const bucket = this.#bucket(key, nowMs);
      if (admitted) bucket.charge(Math.min(amounts[i] ?? 0, capacity));
      level.left = bucket.left(capacity, perSecond, nowMs);
    }
    return { admitted, levels };
  }

  charge({ key, perSecond }: BucketSpec, amount: number): void {
    const nowMs = this.#options.clock.mono();
    const bucket = this.#bucket(key, nowMs);
    bucket.missing(perSecond, nowMs);
    bucket.charge(amount);
  }

  reserve(quota: { readonly key: string; readonly limit: number }, span: Span, amount: number) {
    const { changes, series } = this.#options;
    const counter = this.quota(quota.key);
    if (counter.enter(span)) changes?.quotas.add(counter);
    if (this.#holds.size >= stateLimits.holds) throw full("reservations", stateLimits.holds);
    this.#serial += 1;
    const hold = counter.hold(series + this.#serial, amount, quota.limit);
    if (hold !== undefined) {
      this.#holds.set(hold.id, hold);
      changes?.holds.add(hold);
    }
    const { spent, held, endMs } = counter;
    return { spent, held, endMs, reservation: hold && { key: quota.key, id: hold.id } };
  }

  settle({ id }: { readonly id: string }, spent: number): void {
    const hold = this.#holds.get(id);
    if (hold === undefined) return;
    const { changes } = this.#options;
    this.#holds.delete(id);
    hold.counter.settle(hold, spent);
    changes?.quotas.add(hold.counter);
    // What no journal knows yet need not be told to it any more.
    if (hold.isSaved) changes?.holds.add(hold);
    else changes?.holds.delete(hold);
  }

  look({ key }: { readonly key: string }, span: Span) {
    const counter = this.#quotas.get(key);
    if (counter === undefined || counter.startMs < span.startMs) {
      return { spent: 0, held: 0, endMs: span.endMs };
    }
    const { spent, held, endMs } = counter;
    return { spent, held, endMs };
  }

  add(key: string, amounts: Readonly<CountRow>, expiresAtMs?: number): void {
    checkKey(key);
    const row = this.rows.get(key) ?? {};
    for (const name in amounts) row[name] = (row[name] ?? 0) + (amounts[name] as number);
    this.rows.put(key, row, expiresAtMs);
  }

  read(prefix: string): { key: string; counts: CountRow }[] {
    return this.rows.under(prefix).map(({ key, content }) => ({ key, counts: { ...content } }));
  }

  put(key: string, value: string, expiresAtMs?: number): void {
    checkKey(key);
    const { valueCharacters } = stateLimits;
    if (value.length > valueCharacters) throw full("characters in a value", valueCharacters);
    this.values.put(key, value, expiresAtMs);
  }

  get(key: string): string | undefined {
    return this.values.get(key);
  }

  remove(key: string): boolean {
    const wasRow = this.rows.remove(key);
    return this.values.remove(key) || wasRow;
  }

  list(prefix: string): { key: string; value: string; expiresAtMs: number | undefined }[] {
    return this.values
      .under(prefix)
      .map(({ key, content, expiresAtMs }) => ({ key, value: content, expiresAtMs }));
  }

  async *scan(prefix: string) {
    for await (const part of this.values.scan(prefix)) {
      yield part.map(({ key, content, expiresAtMs }) => ({ key, value: content, expiresAtMs }));
    }
  }

  async page(prefix: string, after: string | undefined, most: number) {
    const found = await this.values.page(prefix, after, most);
    return found.map(({ key, content, expiresAtMs }) => ({ key, value: content, expiresAtMs }));
  }

  /** The counter of a quota, made on first use. */
  quota(key: string): QuotaCounter {
    const known = this.#quotas.get(key);
    if (known !== undefined) return known;
    checkKey(key);
    if (this.#quotas.size >= stateLimits.quotas) throw full("quotas", stateLimits.quotas);
    const made = new QuotaCounter(key);
    this.#quotas.set(key, made);
    return made;
  }

  #bucket(key: string, nowMs: number): TokenBucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    checkKey(key);
    if (this.#buckets.size >= stateLimits.buckets) throw full("buckets", stateLimits.buckets);
    const made = new TokenBucket(nowMs);
    this.#buckets.set(key, made);
    return made;
  }
}

function checkKey(key: string): void {
  const { keyCharacters } = stateLimits;
  if (key.length > keyCharacters) throw full("characters in a key", keyCharacters);
}

function full(what: string, most: number): Error {
  return new Error(`the state of one policy holds at most ${most} ${what}`);
}
