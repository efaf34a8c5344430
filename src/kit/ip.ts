/**
 * An address as four 32-bit words. An IPv4 address is in `d` alone, however it was spelled: what
 * arrives as `::ffff:a.b.c.d` on a dual-stack socket is the IPv4 address, never a second one.
 */
export interface Ip {
  readonly v4: boolean;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  /** It came with a zone id: whose `fe80::1` it is depends on the link. */
  readonly zoned: boolean;
}

export function ipv4(d: number): Ip {
  return { v4: true, a: 0, b: 0, c: 0, d, zoned: false };
}

let lastText: string | undefined;
let lastIp: Ip | undefined;

/**
 * Reads an address as sockets and headers spell it: dotted decimal without leading zeros, or IPv6
 * (RFC 4291, 2.2), with or without a zone. Policies ask in turn for the same one, so the last
 * answer is kept.
 */
export function parseIp(text: string): Ip | undefined {
  if (text === lastText) return lastIp;
  const ip = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  lastText = text;
  lastIp = ip;
  return ip;
}

function parseIpv4(text: string): Ip | undefined {
  const d = toIpv4Word(text, 0, text.length);
  return d === undefined ? undefined : ipv4(d);
}

const [dot, zero, nine, colon] = [0x2e, 0x30, 0x39, 0x3a];

function toIpv4Word(text: string, from: number, end: number): number | undefined {
  let word = 0;
  let octet = -1;
  let dots = 0;
  for (let i = from; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === dot) {
      if (octet < 0 || dots === 3) return undefined;
      word = word * 256 + octet;
      octet = -1;
      dots += 1;
    } else if (code >= zero && code <= nine) {
      // A leading zero is octal to some readers, and decimal to others.
      if (octet === 0) return undefined;
      octet = octet < 0 ? code - zero : octet * 10 + code - zero;
      if (octet > 255) return undefined;
    } else {
      return undefined;
    }
  }
  return dots === 3 && octet >= 0 ? word * 256 + octet : undefined;
}

/** Characters of the longest text that is looked at: an address and the name of a link. */
const longestText = 128;
/** Groups of the address that is being read: nothing here ever waits, so one array is enough. */
const groups = new Uint16Array(8);

function parseIpv6(text: string): Ip | undefined {
  if (text.length > longestText) return undefined;
  const percent = text.indexOf("%");
  const zoned = percent >= 0;
  if (zoned && !/^[\w.~-]+$/.test(text.slice(percent + 1))) return undefined;
  if (!readGroups(text, zoned ? percent : text.length)) return undefined;
  const word = (i: number): number => (groups[i] as number) * 0x1_0000 + (groups[i + 1] as number);
  const [a, b, c, d] = [word(0), word(2), word(4), word(6)];
  if (a === 0 && b === 0 && c === 0xffff) return ipv4(d);
  return { v4: false, a, b, c, d, zoned };
}

/** Fills `groups`; `::` stands for one group of zeros or more. False: it is no address. */
function readGroups(text: string, end: number): boolean {
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.startsWith("::")) {
    gap = 0;
    i = 2;
  }
  while (i < end) {
    const start = i;
    let value = 0;
    let digit = hexAt(text, i);
    while (i < end && digit >= 0) {
      value = value * 16 + digit;
      i += 1;
      digit = hexAt(text, i);
    }
    if (i < end && text.charCodeAt(i) === dot) {
      const word = toIpv4Word(text, start, end);
      if (word === undefined || count > 6) return false;
      groups[count] = word >>> 16;
      groups[count + 1] = word & 0xffff;
      count += 2;
      break;
    }
    if (i === start || i - start > 4 || count === 8) return false;
    groups[count] = value;
    count += 1;
    if (i === end) break;
    if (text.charCodeAt(i) !== colon) return false;
    i += 1;
    // A colon at the end is one only as the second of two.
    if (i === end) return false;
    if (text.charCodeAt(i) !== colon) continue;
    if (gap >= 0) return false;
    gap = count;
    i += 1;
  }
  if (gap < 0) return count === 8;
  if (count === 8) return false;
  groups.copyWithin(8 - (count - gap), gap, count);
  groups.fill(0, gap, 8 - (count - gap));
  return true;
}

function hexAt(text: string, i: number): number {
  const code = text.charCodeAt(i);
  if (code >= zero && code <= nine) return code - zero;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** The one spelling of an address (RFC 5952), without its zone. */
export function formatIp(ip: Ip): string {
  const { v4, a, b, c, d } = ip;
  if (v4) return [d >>> 24, (d >>> 16) & 255, (d >>> 8) & 255, d & 255].join(".");
  const all = [a, b, c, d].flatMap((word) => [word >>> 16, word & 0xffff]);
  const [start, length] = longestGap(all);
  const hex = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(":");
  if (length < 2) return hex(all);
  return `${hex(all.slice(0, start))}::${hex(all.slice(start + length))}`;
}

/** The first of the longest runs of zeros. */
function longestGap(all: readonly number[]): [start: number, length: number] {
  let best: [start: number, length: number] = [0, 0];
  for (let start = 0; start < all.length; start++) {
    let end = start;
    while (all[end] === 0) end += 1;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}

/**
 * The IPv4 address inside of one that a translator made of it: NAT64 (`64:ff9b::/96`, RFC 6052)
 * and the old IPv4-compatible `::a.b.c.d`. Whoever denies the one means the other, too.
 */
export function embeddedIpv4(ip: Ip): Ip | undefined {
  const { v4, a, b, c, d } = ip;
  if (v4 || b !== 0 || c !== 0) return undefined;
  if (a === 0x0064_ff9b || (a === 0 && d > 0xffff)) return ipv4(d);
  return undefined;
}
