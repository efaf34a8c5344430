import ipaddr from "ipaddr.js";
import { formatIp, type Ip, parseIp } from "./ip.ts";

/** The addresses from `first` to `last`, which differ only in the bits behind the prefix. */
export interface IpRange {
  readonly first: Ip;
  readonly last: Ip;
  /** Bits that all share: at most 32 of an IPv4 range, 128 of an IPv6 range. */
  readonly prefix: number;
}

/** What a text in a configuration means, or why it means nothing. */
export type ReadRange =
  | {
      readonly range: IpRange;
      /** Bits behind the prefix were set: the range is wider than the text looks. */
      readonly masked: boolean;
    }
  | { readonly problem: string };

/**
 * Reads an address or a CIDR range of a configuration. Spellings that two readers read
 * differently, such as `010.0.0.1` or `10.1`, are problems, each with its mend.
 */
export function readRange(text: string): ReadRange {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  if (address.includes("%")) return { problem: "has a zone: write the address without `%…`" };
  const ip = parseIp(address);
  if (ip === undefined) return { problem: oddSpelling(address) };
  // Written as IPv6, its prefix counts the 96 bits in front of an IPv4 address, too.
  const shift = ip.v4 && address.includes(":") ? 96 : 0;
  const most = ip.v4 ? 32 : 128;
  const prefix = slash < 0 ? most : toPrefix(text.slice(slash + 1)) - shift;
  if (!(prefix >= 0 && prefix <= most)) {
    return { problem: `needs a prefix from ${shift} to ${most + shift} behind the slash` };
  }
  const range = toRange(ip, prefix);
  return { range, masked: !sameIp(range.first, ip) };
}

/** The range of an address and those that share its first bits. */
export function toRange(ip: Ip, prefix: number): IpRange {
  const bits = ip.v4 ? prefix + 96 : prefix;
  const word = (value: number, at: number, fill: number): number => {
    const mask = maskOf(bits - at * 32);
    return ((value & mask) | (fill & ~mask)) >>> 0;
  };
  const end = (fill: number): Ip => {
    const d = word(ip.d, 3, fill);
    if (ip.v4) return { v4: true, a: 0, b: 0, c: 0, d, zoned: false };
    const [a, b, c] = [word(ip.a, 0, fill), word(ip.b, 1, fill), word(ip.c, 2, fill)];
    return { v4: false, a, b, c, d, zoned: false };
  };
  return { first: end(0), last: end(-1), prefix };
}

/** Of 32 bits, the first so many. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** The one spelling of a range: a single address has no prefix. */
export function formatRange({ first, prefix }: IpRange): string {
  return prefix === (first.v4 ? 32 : 128) ? formatIp(first) : `${formatIp(first)}/${prefix}`;
}

export function isInRange(ip: Ip, { first, last }: IpRange): boolean {
  return ip.v4 === first.v4 && compareIp(first, ip) <= 0 && compareIp(ip, last) <= 0;
}

/** Order within a family. */
export function compareIp(x: Ip, y: Ip): number {
  return x.a - y.a || x.b - y.b || x.c - y.c || x.d - y.d;
}

function sameIp(x: Ip, y: Ip): boolean {
  return compareIp(x, y) === 0;
}

function toPrefix(text: string): number {
  return /^(?:0|[1-9]\d{0,2})$/.test(text) ? Number(text) : Number.NaN;
}

/** Tells what a lenient reader would make of a spelling, since that may not be what was meant. */
function oddSpelling(address: string): string {
  if (!ipaddr.IPv4.isValid(address)) return "is neither an address nor a range like 10.0.0.0/8";
  const read = ipaddr.IPv4.parse(address).toString();
  return `can also be read as ${read}: write four decimal numbers without zeros in front`;
}
