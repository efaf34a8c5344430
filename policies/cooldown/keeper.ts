import * as v from "valibot";
import type { Attempt, AttemptResult } from "../../src/contract/policy.ts";
import type { Store } from "../../src/contract/store.ts";
import { CooldownBoard, type Cooling, keyOf, mostEntries, type Scope } from "./board.ts";

/** How long after its end a cool-down is remembered, for the next one to be longer; ms. */
const rememberedMs = 3_600_000;

const kept = v.strictObject({
  provider: v.string(),
  credential: v.optional(v.string()),
  model: v.optional(v.string()),
  reason: v.picklist(["credential", "limit", "failures", "unreachable", "operator"]),
  untilMs: v.number(),
  step: v.number(),
});

/** The board, and what of it outlives the process. */
export class Keeper {
  readonly board = new CooldownBoard();
  readonly #store: Store;
  #loading: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Reads what an earlier process has kept; only the first time. */
  load(): Promise<void> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  async #load(): Promise<void> {
    for (const { value } of await this.#store.page("", undefined, mostEntries)) {
      const read = v.safeParse(kept, JSON.parse(value));
      if (read.success) this.board.set(read.output);
    }
  }

  list(): readonly Cooling[] {
    return this.board.list();
  }

  /** Takes in how an attempt ended; returns what is left alone since. */
  note(
    attempt: Attempt,
    result: AttemptResult,
    nowMs: number,
    longestMs: number,
  ): Cooling | undefined {
    const cooling = this.board.note(attempt, result, nowMs, longestMs);
    if (cooling !== undefined) void this.#put(cooling);
    return cooling;
  }

  /** Puts an entry in the place of what lies within its scope. */
  async replace(cooling: Cooling): Promise<void> {
    await this.recover(cooling, (known) => keyOf(known) === keyOf(cooling));
    this.board.set(cooling);
    await this.#put(cooling);
    await this.#store.flush();
  }

  async recover(scope: Scope, which?: (entry: Cooling) => boolean): Promise<readonly Cooling[]> {
    const ended = this.board.recover(scope, which);
    for (const entry of ended) await this.#store.remove(keyOf(entry));
    if (ended.length > 0) await this.#store.flush();
    return ended;
  }

  async #put(cooling: Cooling): Promise<void> {
    const value = JSON.stringify(cooling);
    await this.#store.put(keyOf(cooling), value, cooling.untilMs + rememberedMs);
  }
}
