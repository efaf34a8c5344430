/**
 * Refuses every request without a valid client key. It can't stop a stolen key before it is
 * removed or expires. A fault refuses the request; without it the house would be open.
 */
import { Buffer } from "node:buffer";
import { hash, timingSafeEqual } from "node:crypto";
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
} from "../src/contract/policy.ts";
import { isSampleKey, newClientKey } from "../src/kit/client-key.ts";
import { FailureLedger } from "../src/kit/failure-ledger.ts";
import { ipRange } from "../src/kit/ip-schema.ts";
import { createIpSet, hasAddress, type IpSet } from "../src/kit/ip-set.ts";
import { keyFile } from "../src/kit/key-file.ts";
import { doc, secret } from "../src/kit/schema.ts";
import type { Secret } from "../src/kit/secret.ts";
import { timestamp } from "../src/kit/timestamp.ts";

const names = v.array(v.pipe(v.string(), v.nonEmpty()));
const keySchema = v.pipe(
  v.strictObject({
    id: v.pipe(v.string(), v.regex(/^[\w.@-]{1,64}$/, "use letters, digits and . _ @ -")),
    user_id: v.optional(v.pipe(v.string(), v.nonEmpty(), v.maxLength(256))),
    key: v.optional(v.pipe(secret(), v.check(isGoodKey, "is a sample, or too easy to guess"))),
    key_sha256: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-fA-F]{64}$/, "use 64 hex digits"))),
    expires: v.optional(timestamp()),
    models: v.optional(names),
    providers: v.optional(names),
    allowed_ips: v.optional(v.pipe(v.array(ipRange()), v.minLength(1, "names no address"))),
  }),
  v.check((k) => (k.key === undefined) !== (k.key_sha256 === undefined), "needs key or key_sha256"),
);

const schema = v.strictObject({
  keys: v.optional(
    v.pipe(
      v.array(keySchema),
      v.check((keys) => new Set(keys.map((k) => k.id)).size === keys.length, "ids must differ"),
      doc("Who may use the proxy; none: one key is generated into auth.dir.", {
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

/** Grants by the first bits of their digest: few share them, and each is compared whole. */
type Grants = ReadonlyMap<number, readonly Grant[]>;

/** A key as it is kept: its digest, and what it may do. */
interface Grant {
  readonly digest: Buffer;
  readonly principal: Principal;
  readonly expiresMs: number;
  readonly models: ReadonlySet<string> | undefined;
  readonly providers: ReadonlySet<string> | undefined;
  readonly addresses: IpSet | undefined;
}

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
    const byPrincipal = new Map([...grants.values()].flat().map((g) => [g.principal, g]));
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

function isGoodKey(key: Secret): boolean {
  return !isSampleKey(key.expose());
}

function toGrants(keys: v.InferOutput<typeof schema>["keys"], host: PolicyHost): Grants {
  const grants = new Map<number, Grant[]>();
  const add = (grant: Grant): void => {
    const index = indexOf(grant.digest);
    const others = grants.get(index) ?? [];
    const twin = others.find((other) => other.digest.equals(grant.digest));
    if (twin !== undefined) {
      const ids = `${twin.principal.keyId} and ${grant.principal.keyId}`;
      throw new Error(`${ids} have the same key: only one of them would be enforced`);
    }
    grants.set(index, [...others, grant]);
  };
  for (const entry of keys) {
    const stranger = entry.providers?.find((name) => !host.facts.providers.includes(name));
    if (stranger !== undefined) {
      const known = host.facts.providers.join(", ");
      throw new Error(`${entry.id} names the provider \`${stranger}\`; there are ${known}`);
    }
    add({
      digest: entry.key ? sha256(entry.key.expose()) : Buffer.from(entry.key_sha256 ?? "", "hex"),
      principal: { keyId: entry.id, userId: entry.user_id ?? entry.id },
      expiresMs: entry.expires ?? Number.POSITIVE_INFINITY,
      models: entry.models && new Set(entry.models),
      providers: entry.providers && new Set(entry.providers),
      addresses: entry.allowed_ips && createIpSet(entry.allowed_ips.map(({ range }) => range)),
    });
  }
  if (keys.length > 0) return grants;
  const made = keyFile(
    host.facts.authDir,
    "client.key",
    host.facts.serving ? newClientKey : undefined,
  );
  if (made === undefined) return grants;
  if (made.isOpen) host.log.warn("others may read the client key: chmod 600", { path: made.path });
  host.announce({
    title: "client key",
    path: made.path,
    secret: made.isNew ? made.key.expose() : undefined,
  });
  add({
    digest: sha256(made.key.expose()),
    principal: { keyId: "generated", userId: "generated" },
    expiresMs: Number.POSITIVE_INFINITY,
    models: undefined,
    providers: undefined,
    addresses: undefined,
  });
  return grants;
}

/** A zone says nothing about which link an address is on: it is on no list. */
function indexOf(digest: Buffer): number {
  return digest.readUIntBE(0, 6);
}

function identify(
  x: Exchange,
  grants: Grants,
  failures: FailureLedger,
  host: PolicyHost,
  allowQueryKey: boolean,
): Verdict {
  const sent = findKey(x, allowQueryKey);
  if (sent === undefined) return refuse(x, failures, host, "missing");
  const digest = sha256(sent);
  const grant = grants.get(indexOf(digest))?.find((g) => timingSafeEqual(g.digest, digest));
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

function sha256(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
