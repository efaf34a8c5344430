import { Bucket, type Level, type Pace } from "./bucket.ts";

/** A key of 64 bits. */
export interface BucketKey {
  readonly high: number;
  readonly low: number;
}

/** Slots of the smallest table. */
const leastSlots = 1024;
/** Slots that one new key looks at for a bucket that says nothing any more. */
const sweepSlots = 8;

/**
 * Buckets by key, in typed arrays: 16 bytes a slot, two to four slots a key. A bucket that is full
 * again says no more than none at all, so it may be dropped; no other one ever is. When all places
 * are taken by buckets in use, keys without one share a last bucket, so that a flood of addresses
 * can neither grow memory nor make an earlier offender forgotten.
 */
export class BucketTable {
  #high: Uint32Array = new Uint32Array(leastSlots);
  #low: Uint32Array = new Uint32Array(leastSlots);
  /** Arrival by slot; 0 is a free slot, and in no pace a time of a bucket in use. */
  #arrivals: Float64Array = new Float64Array(leastSlots);
  #size = 0;
  #hand = 0;
  #pace: Pace | undefined;
  readonly #overflow = new Bucket();
  readonly #seed: number;

  /** @param seed random: nobody outside must be able to choose keys that share a slot */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Takes one request of a key; a refusal takes nothing.
   * @param most buckets to hold at most
   */
  take(key: BucketKey, pace: Pace, nowMs: number, most: number): Level {
    const current = this.#adopt(pace, nowMs);
    const now = current.at(nowMs);
    let slot = this.#find(key);
    if (this.#arrivals[slot] === 0) {
      this.#sweep(now);
      if (this.#size >= most) return this.#overflow.take(pace, nowMs);
      if (this.#size * 2 >= this.#arrivals.length) this.#resize(this.#arrivals.length * 2, now);
      // The sweep and the new size have moved what stood around it.
      slot = this.#find(key);
      this.#size += 1;
      this.#high[slot] = key.high;
      this.#low[slot] = key.low;
      // Whoever comes out of the shared bucket has not used more than is in use of it.
      this.#arrivals[slot] = this.#overflow.arrival(pace, nowMs);
    }
    const arrival = this.#arrivals[slot] as number;
    const admitted = current.admits(arrival, now);
    const next = admitted ? Math.max(arrival, now) + 1 : arrival;
    this.#arrivals[slot] = next;
    return current.tell(next, now, admitted);
  }

  /** Tells without taking. */
  look(key: BucketKey, pace: Pace, nowMs: number): Level {
    const current = this.#adopt(pace, nowMs);
    const own = this.#arrivals[this.#find(key)] as number;
    const arrival = own === 0 ? this.#overflow.arrival(pace, nowMs) : own;
    return current.tell(arrival, current.at(nowMs));
  }

  /** See `Bucket`: only a later pace takes over, and what is in use stays in use. */
  #adopt(pace: Pace, nowMs: number): Pace {
    const earlier = this.#pace;
    if (earlier === undefined) this.#pace = pace;
    else if (pace.serial > earlier.serial) {
      for (const [slot, arrival] of this.#arrivals.entries()) {
        if (arrival !== 0) this.#arrivals[slot] = pace.adopt(arrival, earlier, nowMs);
      }
      this.#pace = pace;
    }
    return this.#pace ?? pace;
  }

  /** The slot of a key, or the free one where it would stand. */
  #find({ high, low }: BucketKey): number {
    const mask = this.#arrivals.length - 1;
    let slot = this.#home(high, low) & mask;
    while (this.#arrivals[slot] !== 0 && !(this.#high[slot] === high && this.#low[slot] === low)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** The finishing rounds of MurmurHash3, over both words and the seed. */
  #home(high: number, low: number): number {
    let hash = Math.imul(high ^ this.#seed, 0xcc9e2d51);
    hash = Math.imul((hash << 15) | (hash >>> 17), 0x1b873593) ^ low;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) ^ this.#seed;
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  /** Drops a few buckets that are full again, each time a few slots further on. */
  #sweep(now: number): void {
    const mask = this.#arrivals.length - 1;
    for (let i = 0; i < sweepSlots; i++) {
      const slot = this.#hand & mask;
      const arrival = this.#arrivals[slot] as number;
      if (arrival !== 0 && arrival <= now) this.#drop(slot);
      else this.#hand = slot + 1;
    }
  }

  /** Frees a slot and closes the gap, so that no later key is cut off from its home. */
  #drop(free: number): void {
    const mask = this.#arrivals.length - 1;
    let gap = free;
    for (let slot = (gap + 1) & mask; this.#arrivals[slot] !== 0; slot = (slot + 1) & mask) {
      const [high, low] = [this.#high[slot] as number, this.#low[slot] as number];
      const home = this.#home(high, low) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#high[gap] = high;
      this.#low[gap] = low;
      this.#arrivals[gap] = this.#arrivals[slot] as number;
      gap = slot;
    }
    this.#arrivals[gap] = 0;
    this.#size -= 1;
  }

  /** Moves all buckets that still say something to arrays of another size. */
  #resize(slots: number, now: number): void {
    const [high, low, arrivals] = [this.#high, this.#low, this.#arrivals];
    this.#high = new Uint32Array(slots);
    this.#low = new Uint32Array(slots);
    this.#arrivals = new Float64Array(slots);
    this.#size = 0;
    for (const [old, arrival] of arrivals.entries()) {
      if (arrival <= now) continue;
      const key = { high: high[old] as number, low: low[old] as number };
      const slot = this.#find(key);
      this.#high[slot] = key.high;
      this.#low[slot] = key.low;
      this.#arrivals[slot] = arrival;
      this.#size += 1;
    }
  }
}
