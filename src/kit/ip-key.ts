import type { BucketKey } from "./bucket-table.ts";
import { embeddedIpv4, parseIp } from "./ip.ts";

/** The first half of no address that a client can have: both are multicast. */
const ipv4Mark = 0xffff_ffff;
const nobody: BucketKey = { high: 0xffff_fffe, low: 0 };

/**
 * What one client has to itself: an IPv4 address, also where NAT64 has translated it, or an IPv6
 * /64. What is no address shares one key, so that nothing passes uncounted.
 */
export function toBucketKey(address: string): BucketKey {
  const ip = parseIp(address);
  if (ip === undefined) return nobody;
  const v4 = ip.v4 ? ip : embeddedIpv4(ip);
  return v4 === undefined ? { high: ip.a, low: ip.b } : { high: ipv4Mark, low: v4.d };
}
