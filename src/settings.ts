import * as v from "valibot";
import type { Claimant } from "./config/claims.ts";
import { ipRange } from "./kit/ip-schema.ts";
import { bytes, doc, duration, port } from "./kit/schema.ts";

const text = v.pipe(v.string(), v.nonEmpty());

const server = v.strictObject({
  host: v.optional(
    v.pipe(
      text,
      v.regex(/^[a-z0-9.:%[\]_-]+$/i, "must be an address or a host name"),
      doc("Address to listen on.", { example: "127.0.0.1" }),
    ),
    "127.0.0.1",
  ),
  port: v.optional(v.pipe(port(), doc("Port to listen on.")), 8317),
  trustedProxies: v.optional(
    v.pipe(
      v.array(
        v.pipe(
          ipRange(),
          v.check(({ range }) => range.prefix > 0, "would let anybody make up an address"),
        ),
      ),
      doc("Proxies in front of this one, whose forwarding header is believed.", {
        example: ["10.0.0.0/8"],
      }),
    ),
    [],
  ),
  forwardedHeader: v.optional(
    v.pipe(
      v.picklist(["x-forwarded-for", "forwarded"]),
      doc("The one header in which they tell the client's address."),
    ),
    "x-forwarded-for",
  ),
  drainTimeout: v.optional(
    v.pipe(duration(), doc("How long running requests may finish after SIGTERM.")),
    "25s",
  ),
  concurrentRequests: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(1), doc("Most requests at the same time.")),
    2048,
  ),
  bodyBytes: v.optional(v.pipe(bytes(), doc("Largest request body.")), "32MiB"),
  bodyBytesInFlight: v.optional(
    v.pipe(bytes(), doc("Most bytes of request bodies held at the same time.")),
    "64MiB",
  ),
  bodyTimeout: v.optional(
    v.pipe(duration({ min: "1ms" }), doc("How long a request body may take to arrive.")),
    "30s",
  ),
  streamIdle: v.optional(
    v.pipe(
      duration({ min: "1ms" }),
      doc("How long a provider may be silent in its answer, unless its own timeout.idle says so."),
    ),
    "5m",
  ),
  writeStall: v.optional(
    v.pipe(duration({ min: "1ms" }), doc("How long a client may leave an answer unread.")),
    "60s",
  ),
  keepalive: v.optional(
    v.pipe(
      duration({ min: "1s", max: "1h" }),
      doc("After how much silence of its provider a stream gets a comment; none: never.", {
        example: "15s",
      }),
    ),
  ),
});

/** What listens, and its limits; and what streams do while their provider is silent. */
export const serverClaims = {
  name: "server",
  schema: server,
  keys: {
    host: "server.host",
    port: "server.port",
    trustedProxies: "server.trusted_proxies",
    forwardedHeader: "server.forwarded_header",
    drainTimeout: "server.drain_timeout",
    concurrentRequests: "server.limits.concurrent_requests",
    bodyBytes: "server.limits.body_bytes",
    bodyBytesInFlight: "server.limits.body_bytes_in_flight",
    bodyTimeout: "server.limits.body_timeout",
    streamIdle: "server.limits.stream_idle",
    writeStall: "server.limits.write_stall",
    keepalive: "streaming.keepalive",
  },
} as const;
export type ServerSettings = v.InferOutput<typeof server>;

const logging = v.strictObject({
  level: v.optional(
    v.pipe(
      v.picklist(["debug", "info", "warn", "error", "off"]),
      doc("Least level that is logged."),
    ),
    "info",
  ),
  format: v.optional(
    v.pipe(v.picklist(["json", "pretty"]), doc("Form of a log line on standard error.")),
    "json",
  ),
});

/** The operational log. */
export const loggingClaims = {
  name: "logging",
  schema: logging,
  keys: { level: "logging.level", format: "logging.format" },
} as const;
export type LoggingSettings = v.InferOutput<typeof logging>;

const auth = v.strictObject({
  dir: v.optional(
    v.pipe(text, doc("Directory of credentials (0700), one file each (0600).")),
    "./auths",
  ),
});

/** Where credentials and generated keys are. */
export const authDirClaims = { name: "auth-dir", schema: auth, keys: { dir: "auth.dir" } } as const;

/** Where counters and lists are kept. */
export function stateClaims(stores: readonly string[]): Claimant {
  const schema: v.GenericSchema<Partial<StateSettings>, StateSettings> = v.strictObject({
    store: v.optional(
      v.pipe(
        v.picklist(stores),
        doc("Where state is kept; sqlite where the runtime has it and a place to write.", {
          example: "sqlite",
        }),
      ),
    ),
    path: v.optional(
      v.pipe(
        text,
        doc(
          "Its file (0600); ./state/cliproxy.db, or below auth.dir where that can't be written.",
          {
            example: "./state/cliproxy.db",
          },
        ),
      ),
    ),
  });
  return { name: "state", schema, keys: { store: "state.store", path: "state.path" } };
}
export interface StateSettings {
  readonly store?: string | undefined;
  readonly path?: string | undefined;
}

const rollout = v.strictObject({
  mode: v.optional(
    v.pipe(
      v.picklist(["enforce", "shadow", "off"]),
      doc("shadow: count what it would refuse; off: leave it out."),
    ),
    "enforce",
  ),
});
const rolloutWithGaps = v.strictObject({
  ...rollout.entries,
  acceptUncovered: v.optional(
    v.pipe(v.boolean(), doc("Start although the policy can't see everything.")),
    false,
  ),
});
export type RolloutSettings = v.InferOutput<typeof rollout> &
  Partial<v.InferOutput<typeof rolloutWithGaps>>;

/**
 * How one policy is rolled out.
 * @param hasGaps only then is there something to accept: else the key would do nothing
 */
export function rolloutClaims(policy: string, hasGaps: boolean): Claimant {
  const name = rolloutName(policy);
  const mode = `policies.${policy}.mode`;
  if (!hasGaps) return { name, schema: rollout, keys: { mode } };
  const acceptUncovered = `policies.${policy}.accept_uncovered`;
  return { name, schema: rolloutWithGaps, keys: { mode, acceptUncovered } };
}

/** Under which name the rollout settings of a policy are found. */
export function rolloutName(policy: string): string {
  return `rollout:${policy}`;
}
