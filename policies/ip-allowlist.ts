/**
 * Refuses every address that is not on the list, or, with `deny_all: false`, only tells the limit
 * by address whom it may trust. It can't tell people behind one address apart. A fault refuses the
 * request; an address that can't be read, or is bound to a link, is on no list.
 */
import * as v from "valibot";
import {
  type Deny,
  definePolicy,
  type Exchange,
  type PolicyHost,
  type SecurityEvent,
  type Verdict,
} from "../src/contract/policy.ts";
import { configFault } from "../src/kit/config-fault.ts";
import { ipRange, maskedWarnings } from "../src/kit/ip-schema.ts";
import { createIpSet, hasAddress } from "../src/kit/ip-set.ts";
import { doc } from "../src/kit/schema.ts";

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(
      v.boolean(),
      doc("Whether the list counts; absent: where one is given.", { example: true }),
    ),
  ),
  allowedIps: v.optional(
    v.pipe(
      v.array(ipRange()),
      doc("Addresses and ranges.", { example: ["10.0.0.0/8", "192.168.1.100"] }),
    ),
  ),
  denyAll: v.optional(
    v.pipe(
      v.boolean(),
      doc("false: others get in, too, and those on the list skip the limit by address.", {
        example: true,
      }),
    ),
  ),
});

export const policy = definePolicy({
  name: "ip-allowlist",
  summary: "Only addresses on the list get in.",
  stage: "edge",
  onFault: "closed",
  covers: { surfaces: "all", streams: true, admin: true },
  config: {
    schema,
    keys: {
      enabled: "server.security.ip_allowlist.enabled",
      allowedIps: "server.security.ip_allowlist.allowed_ips",
      denyAll: "server.security.ip_allowlist.deny_all",
    },
  },
  create(config, host) {
    const { enabled = config.allowedIps !== undefined || config.denyAll !== undefined } = config;
    if (!enabled) return undefined;
    const { allowedIps: entries = [], denyAll = true } = config;
    if (entries.length === 0 && denyAll) {
      throw configFault(
        "server.security.ip_allowlist.allowed_ips",
        "an allowlist without entries would refuse everybody",
        "name the addresses that may use the proxy, or set `enabled: false`",
      );
    }
    for (const warning of maskedWarnings(entries)) host.log.warn(warning);
    const allowed = createIpSet(entries.map(({ range }) => range));
    if (!denyAll) return { request: (x) => (hasAddress(allowed, x.ip) ? trust : "pass") };
    const hooks = {
      request: (x: Exchange) => (hasAddress(allowed, x.ip) ? ("pass" as const) : refuse(x, host)),
      hears: ["config_change"] as const,
      event({ type }: SecurityEvent): void {
        // A list that has grown shorter ends what still runs, too.
        if (type === "config_change") host.live.abort((x) => !hasAddress(allowed, x.ip), "revoked");
      },
    };
    return hooks;
  },
});

const trust: Verdict = { edit: { trusted: true } };

function refuse(x: Exchange, host: PolicyHost): Deny {
  host.emit({
    type: "security_violation",
    result: "address_not_allowed",
    ip: x.ip,
    requestId: x.id,
  });
  return {
    deny: "address_not_allowed",
    message:
      `The address ${x.ip} is not on the allowlist. Add it to ` +
      "server.security.ip_allowlist.allowed_ips, or call from one that is.",
  };
}
