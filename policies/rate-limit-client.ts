/**
 * A limit for each client: by address before authentication, or by user behind it. By address it
 * can't tell people behind one address apart, nor one person with many; an IPv6 client counts by
 * its /64. A fault refuses the request.
 */
import { randomInt } from "node:crypto";
import * as v from "valibot";
import { definePolicy, type Exchange } from "../src/contract/policy.ts";
import { Pace } from "../src/kit/bucket.ts";
import { type BucketKey, BucketTable } from "../src/kit/bucket-table.ts";
import { configFault } from "../src/kit/config-fault.ts";
import { toBucketKey } from "../src/kit/ip-key.ts";
import { RateFields, retryAfterSeconds } from "../src/kit/rate-fields.ts";
import { rateEntries, toRate } from "../src/kit/rate-schema.ts";
import { doc } from "../src/kit/schema.ts";

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(
      v.boolean(),
      doc("Whether the limit counts; absent: where one is given.", { example: true }),
    ),
  ),
  ...rateEntries("of one client"),
  perIp: v.optional(
    v.pipe(
      v.boolean(),
      doc("A client is an address; the usual, unless per_user is true.", { example: true }),
    ),
  ),
  perUser: v.optional(v.pipe(v.boolean(), doc("A client is the user of a client key.")), false),
  maxAddresses: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(10_000_000),
      doc("Most clients that are counted apart; the others share one limit."),
    ),
    100_000,
  ),
});

const root = "server.security.rate_limiting";

export const policy = definePolicy({
  name: "rate-limit-client",
  summary: "Each address, or each user, may send so many requests a second.",
  stage: ({ perUser }) => (perUser ? "admit" : "edge"),
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: {
      enabled: `${root}.enabled`,
      requestsPerSecond: `${root}.requests_per_second`,
      burst: `${root}.burst`,
      perIp: `${root}.per_ip`,
      perUser: `${root}.per_user`,
      maxAddresses: `${root}.max_addresses`,
    },
  },
  create(config, host) {
    const { perUser, perIp = !perUser, maxAddresses } = config;
    const rate = toRate(config, root);
    if (rate === undefined) return undefined;
    // Two readings of one block, of which only one could be enforced.
    if (perIp === perUser) {
      const message = `per_ip and per_user can't both be ${perIp}`;
      throw configFault(`${root}.per_user`, message, "set one of them to true");
    }
    const pace = new Pace(rate);
    const table = host.keep(perUser ? "users" : "addresses", () => new BucketTable(newSeed()));
    const keyOf = perUser ? userKey : addressKey;
    const fields = new RateFields("client", rate);
    const whose = perUser ? "of this user" : "from this address";
    const message = `Too many requests ${whose} (${root}). Wait, then try again.`;
    return {
      request(x) {
        const key = keyOf(x);
        if (key === undefined) return "pass";
        const level = table.take(key, pace, host.clock.mono(), maxAddresses);
        if (level.admitted) return "pass";
        return {
          deny: "rate_limited",
          message,
          retryAfterSeconds: retryAfterSeconds(level),
        };
      },
      response(x, { headers }) {
        const key = keyOf(x);
        if (key === undefined) return "pass";
        const level = table.look(key, pace, host.clock.mono());
        return { edit: { headers: fields.of(level, headers) } };
      },
    };
  },
});

function newSeed(): number {
  return randomInt(2 ** 32);
}

/** Addresses on a trust list are not limited. */
function addressKey(x: Exchange): BucketKey | undefined {
  return x.trusted ? undefined : toBucketKey(x.ip);
}

/** Names of users come from the configuration, so nobody can look for two with one hash. */
function userKey(x: Exchange): BucketKey | undefined {
  const user = x.principal?.userId;
  return user === undefined ? undefined : { high: hash(user, 0x811c_9dc5), low: hash(user, 1) };
}

/** FNV-1a. */
function hash(text: string, basis: number): number {
  let value = basis;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x0100_0193);
  }
  return value >>> 0;
}
