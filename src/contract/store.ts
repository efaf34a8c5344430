import type { Clock, Logger, MaybePromise } from "./types.ts";

/**
 * What one policy keeps between requests, through reloads and, where the store is durable,
 * through restarts. Every operation is atomic; the keys are the policy's own, and those of its
 * shadow mode are others. Local stores answer at once, shared ones by a promise.
 */
export interface Store {
  /**
   * `volatile`: it forgets at the end of the process, as the configuration asks. `lacking`: it
   * forgets although nobody asked for that, so what must not be forgotten has to refuse the start.
   */
  readonly durability: "durable" | "volatile" | "lacking";

  /**
   * Takes from all buckets, or from none if one has too little left. An amount above a bucket's
   * capacity takes all of it, so that a full bucket always admits.
   * @param amounts one for each bucket, none negative
   */
  take(buckets: readonly Bucket[], amounts: readonly number[]): MaybePromise<Taken>;
  /** Corrects what was taken: a negative amount gives back, more than there is becomes debt. */
  charge(bucket: Bucket, amount: number): MaybePromise<void>;

  /**
   * Holds an amount against the limit of a period until it is settled; a process that dies before
   * that has spent it. Of an amount above the limit all of the limit is held.
   */
  reserve(quota: Quota, period: Period, amount: number): MaybePromise<Reserved>;
  /** Replaces what was held by what was spent; a second time, or in a later period, nothing. */
  settle(reservation: Reservation, spent: number): MaybePromise<void>;
  /** What a period has left, without changing it. */
  look(quota: Quota, period: Period): MaybePromise<QuotaLevel>;

  /** Adds to a row of counters, which is made on first use. */
  add(key: string, amounts: Counts, expiresAtMs?: number): MaybePromise<void>;
  /** All rows whose keys begin so, in the order of their keys. */
  read(prefix: string): MaybePromise<readonly Row[]>;

  /** @throws Error when key, value or their number is beyond `storeLimits` */
  put(key: string, value: string, expiresAtMs?: number): MaybePromise<void>;
  get(key: string): MaybePromise<string | undefined>;
  /** Of a value or a row of counters; returns whether there was one. */
  remove(key: string): MaybePromise<boolean>;
  /** All values whose keys begin so, in the order of their keys. */
  list(prefix: string): MaybePromise<readonly Entry[]>;
  /** The same, but at most so many, and only those behind a key: a bounded look at many. */
  page(prefix: string, after: string | undefined, most: number): MaybePromise<readonly Entry[]>;

  /** The same in parts and in no order: what looks at a million stops nothing else. */
  scan(prefix: string): AsyncIterable<readonly Entry[]>;

  /** Waits until all that was told before is kept for good; rejects if it can't be. */
  flush(): MaybePromise<void>;
}

/** A bucket that refills evenly; make it once, at load. */
export interface Bucket {
  readonly key: string;
  readonly capacity: number;
  readonly perSecond: number;
}

export interface Taken {
  readonly admitted: boolean;
  /** Of each bucket, after taking; in the order of the buckets. */
  readonly levels: readonly BucketLevel[];
}

export interface BucketLevel {
  /** Never below 0, even in debt. */
  readonly left: number;
  /** Milliseconds until the amount asked for is there; 0 if it was. */
  readonly waitMs: number;
}

/** A limit on what is spent in a period; `key` must tell kinds of periods apart. */
export interface Quota {
  readonly key: string;
  readonly limit: number;
}

/** From and until, in milliseconds since the epoch. */
export interface Period {
  readonly startMs: number;
  readonly endMs: number;
}

/** What is spent and held of a limit in the period that runs. */
export interface QuotaLevel {
  readonly spent: number;
  readonly held: number;
  /** Of the latest period that was ever seen: a clock that steps back opens no earlier one. */
  readonly endMs: number;
}

export interface Reserved extends QuotaLevel {
  /** Undefined: refused, and nothing is held. */
  readonly reservation: Reservation | undefined;
}

/** Plain data; what it means is the store's own. */
export interface Reservation {
  readonly key: string;
  readonly id: string;
}

export type Counts = Readonly<Record<string, number>>;

export interface Row {
  readonly key: string;
  readonly counts: Counts;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** Undefined: it stays. */
  readonly expiresAtMs: number | undefined;
}

/** A kind of store: value of `state.store`. */
export interface StoreKind {
  readonly name: string;
  /** One sentence for docs. */
  readonly summary: string;
  readonly durable: boolean;
  /** @throws Error that says what is wrong with the place and how to mend it */
  open(options: StoreOptions): MaybePromise<OpenStore>;
}

export interface StoreOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly durability: Store["durability"];
  /** Of the file, where the store has one. */
  readonly path: string;
  /** Of the runtime; undefined where it has no SQLite. */
  readonly openDatabase: OpenDatabase | undefined;
}

/** A store that serves: the process has one. */
export interface OpenStore {
  /** What happened to what was kept before, for a warning and an event; undefined: nothing. */
  readonly loss: StoreLoss | undefined;
  /** State of one owner; the same name leads to the same state. */
  namespace(name: string): Store;
  /** Keeps all and lets go; what comes later is forgotten. */
  close(): MaybePromise<void>;
}

export interface StoreLoss {
  readonly kind: "missing" | "corrupt" | "replaced";
  readonly message: string;
}

/** The little that is needed of an embedded SQLite; all of it waits for the disk. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export interface Statement {
  run(...values: (string | number | null)[]): unknown;
  all(...values: (string | number | null)[]): unknown[];
}

export type OpenDatabase = (path: string) => Database;
