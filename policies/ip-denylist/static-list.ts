import type { Ip } from "../../src/kit/ip.ts";
import { embeddedIpv4, parseIp } from "../../src/kit/ip.ts";
import { createIpIndex, type IpIndex } from "../../src/kit/ip-index.ts";
import { compareIp, type IpRange } from "../../src/kit/ip-range.ts";
import type { RangeEntry } from "../../src/kit/ip-schema.ts";
import { createIpSet, type IpSet } from "../../src/kit/ip-set.ts";

/** An entry of the configuration. */
export interface ConfiguredEntry {
  readonly ip: RangeEntry;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expires?: number | undefined;
}

export interface ConfiguredPage {
  readonly entries: readonly ConfiguredEntry[];
  readonly next: number | undefined;
}

/** What the configuration denies. */
export class StaticList {
  readonly entries: readonly ConfiguredEntry[];
  readonly #forever: IpSet;
  readonly #timed: IpIndex = createIpIndex();
  readonly #ends: readonly number[];

  constructor(entries: readonly ConfiguredEntry[]) {
    this.entries = entries;
    const forever = entries.filter(({ expires }) => expires === undefined);
    this.#ends = entries.flatMap(({ expires }) => expires ?? []);
    this.#forever = createIpSet(forever.map(({ ip }) => ip.range));
    for (const { ip, expires } of entries) {
      if (expires !== undefined) this.#timed.add(ip.range, expires);
    }
  }

  denies(address: string, nowMs: number): boolean {
    if (this.entries.length === 0) return false;
    return isDenied(address, (ip) => this.#forever.has(ip) || this.#timed.has(ip, nowMs));
  }

  /** Whether an entry is written here, so that only its author can take it away. */
  holds({ first, prefix }: IpRange): boolean {
    return this.entries.some(
      ({ ip: { range } }) => range.prefix === prefix && compareIp(range.first, first) === 0,
    );
  }

  /** How many are in force. */
  count(nowMs: number): number {
    const over = this.#ends.filter((expires) => expires <= nowMs).length;
    return this.entries.length - over;
  }

  /** At most so many from one on that are in force; `next` is where the others begin. */
  page(from: number, most: number, nowMs: number): ConfiguredPage {
    const entries: ConfiguredEntry[] = [];
    for (let i = from; i < this.entries.length; i++) {
      const entry = this.entries[i] as ConfiguredEntry;
      if (entry.expires !== undefined && entry.expires <= nowMs) continue;
      if (entries.length === most) return { entries, next: i };
      entries.push(entry);
    }
    return { entries, next: undefined };
  }
}

/**
 * Asks a list about an address, and about the IPv4 address that a translator made it of. What
 * can't be read is denied: nobody could say that it is not on the list.
 */
export function isDenied(address: string, has: (ip: Ip) => boolean): boolean {
  const ip = parseIp(address);
  if (ip === undefined) return true;
  if (has(ip)) return true;
  const inside = embeddedIpv4(ip);
  return inside !== undefined && has(inside);
}
