import { expect } from "bun:test";
import { statusFrom, stranger } from "./asking.ts";
import type { KeyProof } from "./prove.ts";

const allow = "server.security.ip_allowlist";
const deny = "server.security.ip_denylist";

/** An item of a list decides about the addresses inside of it, and not about their neighbours. */
function itemProof(
  block: string,
  key: string,
  ips: readonly string[],
  neighbours: readonly string[],
): KeyProof {
  const isAllowed = key.startsWith(allow);
  return {
    block,
    key,
    async prove(proxy) {
      for (const ip of ips) {
        expect([ip, await statusFrom(proxy, ip)]).toEqual([ip, isAllowed ? 200 : 403]);
      }
      for (const ip of neighbours) {
        expect([ip, await statusFrom(proxy, ip)]).toEqual([ip, isAllowed ? 403 : 200]);
      }
    },
  };
}

const some = "allowlist";
const all = "allowlist, all others blocked";
const [ten, others] = [
  ["10.0.0.0", "10.255.255.255"],
  ["11.0.0.0", "9.255.255.255"],
];

export const addressProofs: readonly KeyProof[] = [
  ...[some, all].map(
    (block): KeyProof => ({
      block,
      key: `${allow}.enabled`,
      without: false,
      prove: async (proxy) => expect(await statusFrom(proxy, stranger)).toBe(403),
    }),
  ),
  itemProof(some, `${allow}.allowed_ips[10.0.0.0/8]`, ten, others),
  itemProof(
    some,
    `${allow}.allowed_ips[192.168.1.100]`,
    ["192.168.1.100"],
    ["192.168.1.99", "192.168.1.101"],
  ),
  itemProof(
    some,
    `${allow}.allowed_ips[203.0.113.0/24]`,
    ["203.0.113.0", "203.0.113.255", "::ffff:203.0.113.7"],
    ["203.0.112.255", "203.0.114.0"],
  ),
  { ...itemProof(all, `${allow}.allowed_ips[10.0.0.0/8]`, ten, others), without: "192.0.2.0/24" },
  {
    block: all,
    key: `${allow}.deny_all`,
    without: false,
    prove: async (proxy) => expect(await statusFrom(proxy, stranger)).toBe(403),
  },
  {
    block: "denylist",
    key: `${deny}.enabled`,
    without: false,
    prove: async (proxy) => expect(await statusFrom(proxy, "192.0.2.1")).toBe(403),
  },
  itemProof(
    "denylist",
    `${deny}.denied_ips[192.0.2.0/24]`,
    ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9"],
    ["192.0.1.255", "192.0.3.0", stranger],
  ),
  itemProof(
    "denylist",
    `${deny}.denied_ips[198.51.100.100]`,
    ["198.51.100.100"],
    ["198.51.100.99", "198.51.100.101"],
  ),
];
