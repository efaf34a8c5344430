import type { Ip } from "./ip.ts";

/** Slots of the smallest table. */
const leastSlots = 16;

/**
 * When each of many addresses of one family ends, in typed arrays: a map of a million IPv6
 * addresses would take three microseconds a look-up, and this takes a fraction of one.
 */
export class IpTable {
  /** Words of a key: an IPv4 address has one, an IPv6 address four. */
  readonly #width: 1 | 4;
  #words: Uint32Array;
  /** Milliseconds since the epoch by slot, or Infinity; 0 is a free slot. */
  #ends: Float64Array;
  #size = 0;
  #soonestMs = Number.POSITIVE_INFINITY;
  readonly #seed: number;

  /** @param seed random: nobody outside must be able to choose addresses that share a slot */
  constructor(width: 1 | 4, seed: number) {
    this.#width = width;
    this.#seed = seed >>> 0;
    this.#words = new Uint32Array(leastSlots * width);
    this.#ends = new Float64Array(leastSlots);
  }

  get size(): number {
    return this.#size;
  }

  /** Before that none has ended. */
  get soonestMs(): number {
    return this.#soonestMs;
  }

  /** When an address ends; 0 when it is not there. */
  endOf(ip: Ip): number {
    return this.#ends[this.#find(ip.a, ip.b, ip.c, ip.d)] as number;
  }

  set(ip: Ip, endMs: number): void {
    if (this.#size * 2 >= this.#ends.length) this.#resize(this.#ends.length * 2);
    const slot = this.#find(ip.a, ip.b, ip.c, ip.d);
    if (this.#ends[slot] === 0) this.#size += 1;
    this.#write(slot, ip.a, ip.b, ip.c, ip.d, endMs);
    this.#soonestMs = Math.min(this.#soonestMs, endMs);
  }

  delete(ip: Ip): boolean {
    const mask = this.#ends.length - 1;
    let gap = this.#find(ip.a, ip.b, ip.c, ip.d);
    if (this.#ends[gap] === 0) return false;
    // Closes the gap, so that no later address is cut off from its home.
    for (let slot = (gap + 1) & mask; this.#ends[slot] !== 0; slot = (slot + 1) & mask) {
      const [a, b, c, d] = this.#read(this.#words, slot);
      const home = this.#home(a, b, c, d) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#write(gap, a, b, c, d, this.#ends[slot] as number);
      gap = slot;
    }
    this.#ends[gap] = 0;
    this.#size -= 1;
    if (this.#ends.length > leastSlots && this.#size * 8 < this.#ends.length) {
      this.#resize(this.#ends.length / 2);
    }
    return true;
  }

  /** Returns how many have ended and are gone. */
  dropExpired(nowMs: number): number {
    const before = this.#size;
    if (nowMs >= this.#soonestMs) this.#resize(this.#ends.length, nowMs);
    return before - this.#size;
  }

  /** The slot of an address, or the free one where it would stand. */
  #find(a: number, b: number, c: number, d: number): number {
    const mask = this.#ends.length - 1;
    let slot = this.#home(a, b, c, d) & mask;
    while (this.#ends[slot] !== 0 && !this.#isAt(slot, a, b, c, d)) slot = (slot + 1) & mask;
    return slot;
  }

  #isAt(slot: number, a: number, b: number, c: number, d: number): boolean {
    const words = this.#words;
    if (this.#width === 1) return words[slot] === d;
    const at = slot * 4;
    return words[at + 3] === d && words[at + 2] === c && words[at + 1] === b && words[at] === a;
  }

  #read(words: Uint32Array, slot: number): [a: number, b: number, c: number, d: number] {
    if (this.#width === 1) return [0, 0, 0, words[slot] as number];
    const at = slot * 4;
    return [
      words[at] as number,
      words[at + 1] as number,
      words[at + 2] as number,
      words[at + 3] as number,
    ];
  }

  #write(slot: number, a: number, b: number, c: number, d: number, endMs: number): void {
    this.#ends[slot] = endMs;
    if (this.#width === 1) {
      this.#words[slot] = d;
      return;
    }
    const at = slot * 4;
    this.#words[at] = a;
    this.#words[at + 1] = b;
    this.#words[at + 2] = c;
    this.#words[at + 3] = d;
  }

  /** The rounds of MurmurHash3 over the words. */
  #home(a: number, b: number, c: number, d: number): number {
    let hash = this.#seed;
    if (this.#width === 4) hash = round(round(round(hash, a), b), c);
    hash = round(hash, d);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  /** @param nowMs what has ended by then is left out; absent: nothing is */
  #resize(slots: number, nowMs = 0): void {
    const [words, ends] = [this.#words, this.#ends];
    this.#words = new Uint32Array(slots * this.#width);
    this.#ends = new Float64Array(slots);
    this.#size = 0;
    this.#soonestMs = Number.POSITIVE_INFINITY;
    for (let old = 0; old < ends.length; old++) {
      const endMs = ends[old] as number;
      if (endMs <= nowMs) continue;
      this.#size += 1;
      if (endMs < this.#soonestMs) this.#soonestMs = endMs;
      const [a, b, c, d] = this.#read(words, old);
      this.#write(this.#find(a, b, c, d), a, b, c, d, endMs);
    }
  }
}

function round(hash: number, word: number): number {
  const mixed = Math.imul(word, 0xcc9e_2d51);
  const turned = hash ^ Math.imul((mixed << 15) | (mixed >>> 17), 0x1b87_3593);
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe654_6b64) | 0;
}
