import { randomUUID } from "node:crypto";
import type { OpenStore, Store, StoreKind, StoreOptions } from "../../../src/contract/store.ts";
import { type Changes, type CountRow, LocalState } from "../../../src/kit/local-state.ts";
import { Checkpoint } from "./checkpoint.ts";
import { openFile } from "./file.ts";
import { Journal } from "./journal.ts";

/** Longest that a change stays in memory alone, in milliseconds; half of what is promised. */
const writeBehindMs = 250;
/** How long after a failed write the next one is tried, in milliseconds. */
const retryMs = 1000;

/**
 * Keeps everything in memory, so that no request waits for a disk, and writes what has changed
 * behind, in one transaction. What a killed process had held is charged at the next start.
 */
export const store: StoreKind = {
  name: "sqlite",
  summary: "In one file of an embedded database, written behind.",
  durable: true,
  open: (options) => new SqliteStore(options),
};

class SqliteStore implements OpenStore {
  readonly loss: OpenStore["loss"];
  readonly #states = new Map<string, DurableState>();
  readonly #changed = new Map<string, Changes>();
  readonly #options: StoreOptions;
  readonly #series = `${randomUUID().slice(0, 8)}-`;
  readonly #journal: Journal;
  readonly #checkpoint: Checkpoint;
  /** A checkpoint that runs: until it is over nothing is written. */
  #moving: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isFailing = false;
  #isClosed = false;

  constructor(options: StoreOptions) {
    const { path, openDatabase, log, clock } = options;
    if (openDatabase === undefined) throw new Error("this runtime has no SQLite");
    this.#options = options;
    const { db, loss } = openFile({ path, openDatabase, log, now: clock.now });
    this.loss = loss;
    this.#journal = new Journal(db);
    const charged = this.#journal.load((space) => this.#state(space));
    this.#checkpoint = new Checkpoint(db, path);
    if (charged.count > 0) {
      log.warn("reservations that an earlier run left open were charged as reserved", {
        ...charged,
      });
    }
  }

  namespace(name: string): Store {
    return this.#state(name);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    try {
      this.#journal.write(this.#changed);
    } catch (error) {
      this.#options.log.error("the last changes of the state could not be written", { error });
    }
    this.#checkpoint.close();
  }

  #state(space: string): DurableState {
    const known = this.#states.get(space);
    if (known !== undefined) return known;
    const changes: Changes = {
      quotas: new Set(),
      holds: new Set(),
      rows: new Set(),
      values: new Set(),
    };
    const { clock } = this.#options;
    const state = new DurableState(
      { clock, series: `${space}/${this.#series}`, changes },
      {
        changed: () => this.#wake(writeBehindMs),
        flush: () => this.#keepAll(),
      },
    );
    this.#states.set(space, state);
    this.#changed.set(space, changes);
    return state;
  }

  #wake(withinMs: number): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // A failure has been told, and the next try is on its way.
      this.#flushWhenIdle().catch(() => {});
    }, withinMs);
    this.#timer.unref?.();
  }

  async #flushWhenIdle(): Promise<void> {
    // Others wait, too, and what one of them writes may begin the next checkpoint.
    while (this.#moving !== undefined) await this.#moving;
    this.#flush();
  }

  async #keepAll(): Promise<void> {
    await this.#flushWhenIdle();
    await this.#checkpoint.settled();
  }

  #move(): void {
    const { log } = this.#options;
    this.#moving = this.#checkpoint
      .run()
      .catch((error: unknown) => {
        if (!this.#isClosed) log.error("the state could not be synced to the disk", { error });
      })
      .finally(() => {
        this.#moving = undefined;
      });
  }

  #flush(): void {
    if (this.#isClosed) return;
    const { log } = this.#options;
    try {
      const rows = this.#journal.write(this.#changed);
      if (this.#checkpoint.isDue(rows)) this.#move();
    } catch (error) {
      if (!this.#isFailing) {
        log.error("the state can't be written: it is in memory alone until it can", { error });
      }
      this.#isFailing = true;
      this.#wake(retryMs);
      throw error;
    }
    if (this.#isFailing) log.info("the state is written again");
    this.#isFailing = false;
  }
}

interface Writer {
  changed(): void;
  flush(): Promise<void>;
}

/** State in memory that tells of each change to what must last; buckets need not. */
class DurableState extends LocalState implements Store {
  readonly durability = "durable";
  readonly #writer: Writer;

  constructor(options: ConstructorParameters<typeof LocalState>[0], writer: Writer) {
    super(options);
    this.#writer = writer;
  }

  override reserve(...to: Parameters<LocalState["reserve"]>) {
    this.#writer.changed();
    return super.reserve(...to);
  }

  override settle(...to: Parameters<LocalState["settle"]>): void {
    this.#writer.changed();
    super.settle(...to);
  }

  override add(key: string, amounts: CountRow, expiresAtMs?: number): void {
    this.#writer.changed();
    super.add(key, amounts, expiresAtMs);
  }

  override put(key: string, value: string, expiresAtMs?: number): void {
    this.#writer.changed();
    super.put(key, value, expiresAtMs);
  }

  override remove(key: string): boolean {
    this.#writer.changed();
    return super.remove(key);
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }
}
