/**
 * Tells when somebody who is no trusted proxy claims to speak for another address. The claim is
 * never believed, with or without this policy; it is either an attempt to get around a rule, or a
 * proxy of the operator's that `server.trusted_proxies` does not name. A fault refuses the request.
 */
import { randomInt } from "node:crypto";
import * as v from "valibot";
import { definePolicy, type Exchange, type PolicyHost } from "../src/contract/policy.ts";
import { Pace } from "../src/kit/bucket.ts";
import { BucketTable } from "../src/kit/bucket-table.ts";
import { toBucketKey } from "../src/kit/ip-key.ts";

/** The usual names for the address of a client behind a proxy. */
const claims = ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"] as const;

/** Each address is told of once a minute. */
const perAddress = { perSecond: 1 / 60, burst: 1 };
/** Most addresses that are counted apart; the others share one minute. */
const mostAddresses = 10_000;

export const policy = definePolicy({
  name: "forwarding-watch",
  summary: "Forwarding headers of strangers are never believed, and are told of.",
  stage: "observe",
  onFault: "closed",
  covers: { surfaces: "all", streams: true, admin: true },
  config: { schema: v.strictObject({}), keys: {} },
  create(_config, host) {
    const table = host.keep("told", () => new BucketTable(randomInt(2 ** 32)));
    const pace = new Pace(perAddress);
    const tellsAgain = (x: Exchange): boolean =>
      table.take(toBucketKey(x.peer), pace, host.clock.mono(), mostAddresses).admitted;
    return {
      request(x) {
        if (x.proxied) return "pass";
        for (const name of claims) {
          if (x.header(name) === null) continue;
          if (tellsAgain(x)) tell(x, name, host);
          break;
        }
        return "pass";
      },
    };
  },
});

function tell(x: Exchange, header: string, host: PolicyHost): void {
  host.emit({
    type: "suspicious_activity",
    result: "forged_forwarding_header",
    ip: x.ip,
    requestId: x.id,
    details: { header },
  });
}
