import { formatIp, type Ip, parseIp } from "./kit/ip.ts";
import type { IpSet } from "./kit/ip-set.ts";

/** Who sends a request. */
export interface ClientAddress {
  /** The true client, canonical; as the socket has it where that is no address. */
  readonly ip: string;
  /** The other end of the socket, canonical. */
  readonly peer: string;
  /** The peer is a trusted proxy, so what it forwards is believed. */
  readonly proxied: boolean;
}

/** Header that tells where a request came from, appended to by each proxy. */
export type ForwardedHeader = "x-forwarded-for" | "forwarded";

/** Finds the client behind a peer; called once for each request. */
export type FindClient = (peer: string, header: (name: string) => string | null) => ClientAddress;

/** Most hops that are walked: a longer way is made up. */
const mostHops = 32;

/** Most peers whose address is remembered. */
const mostDirect = 1024;

/**
 * The socket's peer is the client, unless it is a trusted proxy. Then one header is walked from its
 * end, which the nearest proxy wrote, past all that are trusted; the first one that is not is the
 * client. What can't be read ends the walk at the last hop that could, since anybody may have
 * written what stands in front of it.
 */
export function createFindClient(trusted: IpSet, name: ForwardedHeader): FindClient {
  const nodeBefore = name === "forwarded" ? forwardedBefore : listedBefore;
  // Peers that are no proxies, by socket address: they come again with each of their requests.
  const direct = new Map<string, ClientAddress>();
  const remember = (socketPeer: string, ip: string): ClientAddress => {
    if (direct.size >= mostDirect) direct.clear();
    const client = { ip, peer: ip, proxied: false };
    direct.set(socketPeer, client);
    return client;
  };
  return (socketPeer, header) => {
    const known = direct.get(socketPeer);
    if (known !== undefined) return known;
    const first = parseIp(socketPeer);
    if (first === undefined) return remember(socketPeer, socketPeer);
    const peer = canonical(first, socketPeer);
    if (trusted.size === 0 || !trusted.has(first)) return remember(socketPeer, peer);
    const value = header(name);
    if (value === null) return { ip: peer, peer, proxied: true };
    let client = peer;
    let end = value.length;
    for (let hop = 0; hop < mostHops && end >= 0; hop++) {
      const { node, start } = nodeBefore(value, end);
      end = start;
      if (node === "") continue;
      const ip = node === undefined ? undefined : parseNode(node);
      if (ip === undefined) break;
      client = canonical(ip, node ?? "");
      if (!trusted.has(ip)) break;
    }
    return { ip: client, peer, proxied: true };
  };
}

/** The zone stays: an address of one link is not the same on another. */
function canonical(ip: Ip, text: string): string {
  return ip.zoned ? `${formatIp(ip)}%${/%([\w.~-]+)/.exec(text)?.[1]}` : formatIp(ip);
}

/** A list member: its node, undefined where it has none; and where the next one ends. */
interface Member {
  readonly node: string | undefined;
  /** Index of the comma in front, -1 for the first one. */
  readonly start: number;
}

/** Of `X-Forwarded-For`. */
function listedBefore(value: string, end: number): Member {
  const start = end === 0 ? -1 : value.lastIndexOf(",", end - 1);
  return { node: value.slice(start + 1, end).trim(), start };
}

/**
 * Of `Forwarded` (RFC 7239). It is read backwards, too: a quote that a client leaves open must not
 * swallow what the proxies append behind it.
 */
function forwardedBefore(value: string, end: number): Member {
  let quoted = false;
  let start = end - 1;
  for (; start >= 0; start--) {
    const character = value[start];
    if (character === '"' && !isEscaped(value, start)) quoted = !quoted;
    else if (character === "," && !quoted) break;
  }
  const member = value.slice(start + 1, end).trim();
  if (quoted) return { node: undefined, start };
  return { node: member === "" ? "" : forNode(member), start };
}

function isEscaped(value: string, at: number): boolean {
  let slashes = 0;
  while (value[at - 1 - slashes] === "\\") slashes += 1;
  return slashes % 2 === 1;
}

const pair = /^\s*([\w!#$%&'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s";,]+)\s*$/;

/** The value of the one parameter `for`. */
function forNode(member: string): string | undefined {
  let node: string | undefined;
  for (const part of member.match(/(?:"(?:[^"\\]|\\.)*"|[^;"])+/g) ?? []) {
    const [, name = "", value = ""] = pair.exec(part) ?? [];
    if (name.toLowerCase() !== "for") continue;
    if (node !== undefined) return undefined;
    node = value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
  }
  return node;
}

/** An address with or without a port; `unknown` and `_hidden` (RFC 7239, 6) are none. */
function parseNode(node: string): Ip | undefined {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(node)?.[1];
  if (bracketed !== undefined) return bracketed.includes(":") ? parseIp(bracketed) : undefined;
  return parseIp(/^([\d.]+):\d{1,5}$/.exec(node)?.[1] ?? node);
}
