/**
 * Refuses every address on the list, whatever else allows it: those of the configuration, and those
 * that the management API adds at run time, which also ends what such an address has running. It
 * can't hold off a person who changes addresses. A fault refuses the request, and so does an
 * address that can't be read.
 */
import * as v from "valibot";
import {
  type Deny,
  definePolicy,
  type Exchange,
  type PolicyHost,
  type SecurityEvent,
} from "../../src/contract/policy.ts";
import { ipRange, maskedWarnings } from "../../src/kit/ip-schema.ts";
import { PerObject } from "../../src/kit/per-object.ts";
import { doc } from "../../src/kit/schema.ts";
import { timestamp } from "../../src/kit/timestamp.ts";
import { DynamicList } from "./dynamic-list.ts";
import { handlersOf } from "./handlers.ts";
import { operations } from "./operations.ts";
import { type ConfiguredEntry, StaticList } from "./static-list.ts";

const entry = v.union(
  [
    v.pipe(
      ipRange(),
      v.transform((ip): ConfiguredEntry => ({ ip })),
    ),
    v.strictObject({
      ip: ipRange(),
      reason: v.optional(v.pipe(v.string(), v.maxLength(512))),
      expires: v.optional(timestamp()),
    }),
  ],
  // What is wrong with the address says more than that it could have been a map.
  ({ input, issues }) =>
    (typeof input === "string" ? issues?.[0]?.message : undefined) ??
    "must be an address, a range, or a map with `ip`",
);

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(v.boolean(), doc("false: the list is off, also for the management API.")),
    true,
  ),
  deniedIps: v.optional(
    v.pipe(
      v.array(entry),
      doc("Addresses and ranges; as a map, with a reason and a time after which it is over.", {
        example: [
          "192.0.2.0/24",
          { ip: "198.51.100.100", reason: "abuse", expires: "2030-01-31T00:00:00Z" },
        ],
      }),
    ),
    [],
  ),
  maxEntries: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(1_000_000),
      doc("Most entries that the management API may add."),
    ),
    1_000_000,
  ),
});

const root = "server.security.ip_denylist";

export const policy = definePolicy({
  name: "ip-denylist",
  summary: "Addresses on the list are refused, and what they have running ends.",
  stage: "edge",
  onFault: "closed",
  covers: { surfaces: "all", streams: true, admin: true },
  config: {
    schema,
    keys: {
      enabled: `${root}.enabled`,
      deniedIps: `${root}.denied_ips`,
      maxEntries: `${root}.max_entries`,
    },
  },
  admin: operations,
  async create({ enabled, deniedIps, maxEntries }, host) {
    if (!enabled) return undefined;
    for (const warning of maskedWarnings(deniedIps.map(({ ip }) => ip))) host.log.warn(warning);
    const configured = new StaticList(deniedIps);
    // By store: what shadow mode tries out must not be enforced, nor the other way round.
    const added = host.keep("added", () => new PerObject(() => new DynamicList())).of(host.store);
    if (host.facts.serving) await added.load(host.store);
    const denies = (ip: string): boolean => {
      const nowMs = host.clock.now();
      return configured.denies(ip, nowMs) || added.denies(ip, nowMs);
    };
    const hooks = {
      request: (x: Exchange) => (denies(x.ip) ? refuse(x, host) : ("pass" as const)),
      hears: ["config_change"] as const,
      /** A longer list ends what still runs, too. */
      event({ type }: SecurityEvent): void {
        if (type !== "config_change") return;
        host.live.abort((x) => x.surface !== "admin" && denies(x.ip), "revoked");
      },
      admin: handlersOf({ configured, added, host, maxEntries }),
    };
    return hooks;
  },
});

function refuse(x: Exchange, host: PolicyHost): Deny {
  host.emit({ type: "security_violation", result: "address_denied", ip: x.ip, requestId: x.id });
  return { deny: "address_denied" };
}
