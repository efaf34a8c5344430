import type { Store } from "../../src/contract/store.ts";
import { createIpIndex } from "../../src/kit/ip-index.ts";
import { formatRange, type IpRange, readRange } from "../../src/kit/ip-range.ts";
import { isDenied } from "./static-list.ts";

/** What was added at run time, as the management API tells it. */
export interface AddedEntry {
  readonly ip: string;
  readonly reason: string;
  readonly createdMs: number;
  /** Infinity: it stays. */
  readonly untilMs: number;
}

/**
 * Least time between two sweeps, in milliseconds: each looks at all entries, and where one after
 * the other ends, every addition to a full list would ask for one.
 */
const sweepEveryMs = 1000;

/** The little that is needed of a store. */
export type EntryStore = Pick<Store, "put" | "get" | "remove" | "scan" | "page" | "flush">;

/**
 * Entries that come and go while the proxy runs. What decides is in memory, 12 to 48 bytes an
 * entry; reasons are in the store alone, which also brings all of them back after a restart.
 */
export class DynamicList {
  readonly #index = createIpIndex();
  #sweptMs = Number.NEGATIVE_INFINITY;
  /** Writes go to the store one after the other: the last one asked for is the one that stays. */
  #writing: Promise<unknown> = Promise.resolve();
  #loading: Promise<void> | undefined;

  /** Reads what an earlier process has kept; only the first time, since then it is known here. */
  load(store: EntryStore): Promise<void> {
    this.#loading ??= this.#load(store).catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(store: EntryStore): Promise<void> {
    for await (const part of store.scan("")) {
      for (const { key, expiresAtMs } of part) {
        const read = readRange(key);
        if ("range" in read) this.#index.add(read.range, expiresAtMs ?? Number.POSITIVE_INFINITY);
      }
    }
  }

  get size(): number {
    return this.#index.size;
  }

  denies(address: string, nowMs: number): boolean {
    if (this.#index.size === 0) return false;
    return isDenied(address, (ip) => this.#index.has(ip, nowMs));
  }

  /** Makes room: entries that are over count until somebody needs their place. */
  dropExpired(nowMs: number): void {
    if (Math.abs(nowMs - this.#sweptMs) < sweepEveryMs) return;
    const before = this.#index.size;
    this.#index.dropExpired(nowMs);
    if (this.#index.size !== before) this.#sweptMs = nowMs;
  }

  holds(range: IpRange): boolean {
    return this.#index.holds(range);
  }

  /** Puts an entry in force, without waiting for a store. */
  add(range: IpRange, untilMs: number): void {
    this.#index.add(range, untilMs);
  }

  /** Keeps an entry for good when the promise resolves. */
  keep(range: IpRange, entry: AddedEntry, store: EntryStore): Promise<void> {
    return this.#inTurn(async () => {
      const untilMs = Number.isFinite(entry.untilMs) ? entry.untilMs : undefined;
      // Again: a removal that was asked for before may have taken it away meanwhile.
      this.#index.add(range, entry.untilMs);
      await store.put(entry.ip, JSON.stringify({ ...entry, untilMs }), untilMs);
      await store.flush();
    });
  }

  /** Returns whether it was there. */
  remove(range: IpRange, store: EntryStore): Promise<boolean> {
    return this.#inTurn(async () => {
      // First from the store: an entry that could come back must not look as if it had gone.
      await store.remove(formatRange(range));
      await store.flush();
      return this.#index.delete(range);
    });
  }

  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    const turn = this.#writing.then(write);
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async find(ip: string, store: EntryStore, nowMs: number): Promise<AddedEntry | undefined> {
    const value = await store.get(ip);
    return value === undefined ? undefined : toEntry(value, nowMs);
  }

  /** At most so many of those behind an entry, in the order of their text. */
  async page(
    after: string | undefined,
    most: number,
    store: EntryStore,
    nowMs: number,
  ): Promise<readonly AddedEntry[]> {
    const kept = await store.page("", after, most);
    return kept.flatMap(({ value }) => toEntry(value, nowMs) ?? []);
  }
}

/** Undefined: it is over. */
function toEntry(value: string, nowMs: number): AddedEntry | undefined {
  const kept = JSON.parse(value) as Omit<AddedEntry, "untilMs"> & { untilMs?: number };
  const untilMs = kept.untilMs ?? Number.POSITIVE_INFINITY;
  return untilMs > nowMs ? { ...kept, untilMs } : undefined;
}
