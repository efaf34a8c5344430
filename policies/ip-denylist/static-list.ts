import type { Ip } from "../../src/kit/ip.ts";
import { embeddedIpv4, parseIp } from "../../src/kit/ip.ts";
import { createIpIndex, type IpIndex } from "../../src/kit/ip-index.ts";
import { formatRange } from "../../src/kit/ip-range.ts";
import type { RangeEntry } from "../../src/kit/ip-schema.ts";
import { createIpSet, type IpSet } from "../../src/kit/ip-set.ts";

/** An entry of the configuration. */
export interface ConfiguredEntry {
  readonly ip: RangeEntry;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expires?: number | undefined;
}

/** What the configuration denies. */
export class StaticList {
  readonly entries: readonly ConfiguredEntry[];
  readonly #forever: IpSet;
  readonly #timed: IpIndex = createIpIndex();

  constructor(entries: readonly ConfiguredEntry[]) {
    this.entries = entries;
    const forever = entries.filter(({ expires }) => expires === undefined);
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
  holds(key: string): boolean {
    return this.entries.some(({ ip }) => formatRange(ip.range) === key);
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
