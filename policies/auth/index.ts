/**
 * Refuses every request without a valid client key. It can't stop a stolen key before it is
 * removed or expires. A fault refuses the request; without it the house would be open.
 */
import * as v from "valibot";
import {
  type Attempt,
  type AttemptVerdict,
  type Call,
  type Deny,
  definePolicy,
  type Exchange,
  type PolicyHost,
  type Principal,
  type Verdict,
} from "../../src/contract/policy.ts";
import { FailureLedger } from "../../src/kit/failure-ledger.ts";
import { hasAddress } from "../../src/kit/ip-set.ts";
import { doc } from "../../src/kit/schema.ts";
import { type Grant, type GrantTable, grantSchema, sha256, toGrants } from "./grants.ts";

const schema = v.strictObject({
  keys: v.optional(
    v.pipe(
      v.array(grantSchema),
      v.check((keys) => new Set(keys.map((k) => k.id)).size === keys.length, "ids must differ"),
      doc("Who may use the proxy, by a key or a certificate; none: one key is made in auth.dir.", {
        example: [{ id: "alice", user_id: "alice@example.com", key: "${ALICE_KEY}" }],
      }),
    ),
    [],
  ),
  allowQueryKey: v.optional(
    v.pipe(v.boolean(), doc("Also accept the key as ?key=; it never reaches a log.")),
    false,
  ),
});

export const policy = definePolicy({
  name: "auth",
  summary: "Every request needs a valid client key.",
  stage: "identity",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  required: true,
  config: {
    schema,
    keys: { keys: "auth.api_keys", allowQueryKey: "auth.allow_query_key" },
  },
  create({ keys, allowQueryKey }, host) {
    const grants = toGrants(keys, host);
    const failures = host.keep("failures", () => new FailureLedger(host.clock));
    const byPrincipal = new Map(grants.all.map((g) => [g.principal, g]));
    const digests = host.keep("digests", () => new WeakMap<Principal, string>());
    for (const { principal, digest } of byPrincipal.values()) {
      digests.set(principal, digest.toString("hex"));
    }
    const valid = new Set([...byPrincipal.values()].map(({ digest }) => digest.toString("hex")));
    // Whoever came with a key that is gone is cut off, whatever runs.
    const revoke = (): void => {
      const isGone = ({ principal }: Exchange): boolean => {
        const digest = principal && digests.get(principal);
        return digest !== undefined && !valid.has(digest);
      };
      const cut = host.live.abort(isGone, "revoked");
      if (cut > 0) host.log.warn("requests of removed client keys were cut", { cut });
    };
    const grantOf = (x: Exchange): Grant | undefined => x.principal && byPrincipal.get(x.principal);
    return {
      request: (x) => identify(x, grants, failures, host, allowQueryKey),
      call(x: Exchange, call: Call): Verdict {
        const models = grantOf(x)?.models;
        if (models === undefined || models.has(call.model)) return "pass";
        return { deny: "not_allowed", message: "This client key may not use that model." };
      },
      lists(x, { id, provider }) {
        const grant = grantOf(x);
        if (grant?.models?.has(id) === false) return false;
        return grant?.providers?.has(provider) !== false;
      },
      event(event) {
        if (event.type === "config_change" && event.result === "applied") revoke();
      },
      attempt(x: Exchange, attempt: Attempt): AttemptVerdict {
        const providers = grantOf(x)?.providers;
        if (providers === undefined || providers.has(attempt.provider)) return "pass";
        return {
          skip: { deny: "not_allowed", message: "This client key may not use that provider." },
        };
      },
    };
  },
});

function identify(
  x: Exchange,
  grants: GrantTable,
  failures: FailureLedger,
  host: PolicyHost,
  allowQueryKey: boolean,
): Verdict {
  const sent = findKey(x, allowQueryKey);
  // Whoever sends a key means that one, whatever certificate is shown beside it.
  const certificate = sent === undefined ? x.certificate : undefined;
  if (sent === undefined && certificate === undefined) {
    return refuse(x, failures, host, "missing");
  }
  const grant =
    sent === undefined ? grants.ofCertificate(certificate ?? "") : grants.ofKey(sha256(sent));
  if (grant === undefined) return refuse(x, failures, host, "unknown");
  if (!(grant.expiresMs > host.clock.now())) {
    return refuse(x, failures, host, "expired", grant.principal.userId);
  }
  if (grant.addresses !== undefined && !hasAddress(grant.addresses, x.ip)) {
    return refuseAddress(x, grant.principal, host);
  }
  if (host.hears("auth_success")) tellSuccess(x, grant.principal, host);
  return { edit: { principal: grant.principal } };
}

function tellSuccess(x: Exchange, { keyId, userId }: Principal, host: PolicyHost): void {
  host.emit({
    type: "auth_success",
    result: "success",
    provider: host.facts.homes[x.dialect] ?? "",
    userId,
    ip: x.ip,
    requestId: x.id,
    details: { key_id: keyId },
  });
}

/** As the audit log words them. */
const reasons = {
  missing: "No token",
  unknown: "Unknown token",
  expired: "Token expired",
} as const;

/** Only failures are slowed, by address: a valid key passes whatever its neighbours do. */
function refuse(
  x: Exchange,
  failures: FailureLedger,
  host: PolicyHost,
  reason: keyof typeof reasons,
  userId = "",
): Deny {
  const waitMs = failures.fail(x.ip);
  host.emit({
    type: "auth_failure",
    result: "invalid_token",
    provider: host.facts.homes[x.dialect] ?? "",
    userId,
    ip: x.ip,
    requestId: x.id,
    details: { reason: reasons[reason] },
  });
  if (waitMs === 0) return { deny: "unauthenticated" };
  return { deny: "too_many_failures", retryAfterSeconds: Math.ceil(waitMs / 1000) };
}

/** Whoever holds the key knows that it is one, so he may as well be told what is wrong. */
function refuseAddress(x: Exchange, { userId }: Principal, host: PolicyHost): Deny {
  host.emit({
    type: "auth_failure",
    result: "address_not_allowed",
    userId,
    ip: x.ip,
    requestId: x.id,
    details: { reason: "address" },
  });
  return {
    deny: "address_not_allowed",
    message: "This client key may not be used from this address (allowed_ips of the key).",
  };
}

const scheme = "bearer ";

/** The client's key; where several are sent, `Authorization` goes first. */
function findKey(x: Exchange, allowQueryKey: boolean): string | undefined {
  const authorization = x.header("authorization");
  if (authorization !== null) return afterScheme(authorization);
  const key =
    x.header("x-api-key") ?? x.header("x-goog-api-key") ?? (allowQueryKey ? x.query("key") : null);
  return key === null || key === "" ? undefined : key;
}

/** A second field of the same name arrives joined by a comma: then it is none (RFC 9110, 5.3). */
function afterScheme(authorization: string): string | undefined {
  if (authorization.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  const key = authorization.slice(scheme.length).trim();
  return key === "" || key.includes(",") || key.includes(" ") ? undefined : key;
}
