/**
 * Refuses every management request without the management key, also from loopback: a reverse proxy
 * on the same host makes everyone loopback. It can't stop a stolen key. A fault refuses the
 * request.
 */
import { hash, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import {
  type Deny,
  definePolicy,
  type Exchange,
  type PolicyHost,
  type Verdict,
} from "../src/contract/policy.ts";
import { isSampleKey, newManagementKey } from "../src/kit/client-key.ts";
import { FailureLedger } from "../src/kit/failure-ledger.ts";
import { ipRange } from "../src/kit/ip-schema.ts";
import { createIpSet, hasAddress } from "../src/kit/ip-set.ts";
import { keyFile } from "../src/kit/key-file.ts";
import { doc, secret } from "../src/kit/schema.ts";
import type { Secret } from "../src/kit/secret.ts";

const privateRanges = [
  ...["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
  ...["::1/128", "fc00::/7"],
];

const schema = v.strictObject({
  key: v.optional(
    v.pipe(
      secret(),
      v.check((key) => !isSampleKey(key.expose()), "is a sample, or too easy to guess"),
      doc("Key of the management API; none: one is generated into auth.dir.", {
        example: "${CLIPROXY_MANAGEMENT_KEY}",
      }),
    ),
  ),
  allowedIps: v.optional(
    v.pipe(
      v.array(ipRange()),
      v.minLength(1),
      doc("Who may call the management API, by true client address.", { example: privateRanges }),
    ),
    privateRanges,
  ),
  allowedHosts: v.optional(
    v.pipe(
      v.array(v.pipe(v.string(), v.regex(/^[a-z0-9.-]+$/, "must be a host name in lower case"))),
      doc("Host names it is called by, beside addresses and names without a dot.", {
        example: ["proxy.example.com"],
      }),
    ),
    [],
  ),
});

export const policy = definePolicy({
  name: "management-auth",
  summary: "The management API needs its own key, a near address and its own Host.",
  stage: "identity",
  onFault: "closed",
  covers: { surfaces: [], streams: true, admin: true },
  required: true,
  config: {
    schema,
    keys: {
      key: "management.key",
      allowedIps: "management.allowed_ips",
      allowedHosts: "management.allowed_hosts",
    },
  },
  create({ key, allowedIps, allowedHosts }, host) {
    const { digest, where } = toKey(key, host);
    const failures = host.keep("failures", () => new FailureLedger(host.clock));
    const near = createIpSet(allowedIps.map(({ range }) => range));
    const names = new Set(allowedHosts);
    return {
      request(x): Verdict {
        if (!hasAddress(near, x.ip)) return deny(host, x, notNear(x.ip));
        if (!isOwnHost(x.header("host"), names)) return deny(host, x, wrongHost);
        if (isCrossSite(x)) return deny(host, x, { deny: "cross_site" });
        const sent = findKey(x);
        // Without a digest (`check`, which makes no key) nothing can be the key.
        const isKey = digest !== undefined && sent !== undefined && same(digest, sha256(sent));
        if (isKey) return { edit: { principal: { keyId: "management", userId: "management" } } };
        return refuse(x, failures, host, sent === undefined ? "missing" : "unknown", where);
      },
    };
  },
});

/** The digest of the key, and a phrase that says where a person finds it. */
function toKey(
  key: Secret | undefined,
  host: PolicyHost,
): { readonly digest: Uint8Array | undefined; readonly where: string } {
  if (key !== undefined) return { digest: sha256(key.expose()), where: "management.key" };
  const made = keyFile(
    host.facts.authDir,
    "management.key",
    host.facts.serving ? newManagementKey : undefined,
  );
  if (made === undefined) return { digest: undefined, where: "management.key" };
  if (made.isOpen) {
    host.log.warn("others may read the management key: chmod 600", { path: made.path });
  }
  // Only its path: whoever administers the house can read the file.
  host.announce({ title: "management key", path: made.path, secret: undefined });
  return { digest: sha256(made.key.expose()), where: "`management.key` in auth.dir" };
}

function notNear(ip: string): Deny {
  return {
    deny: "address_not_allowed",
    message: `The management API is not open to ${ip} (management.allowed_ips).`,
  };
}

const wrongHost: Deny = {
  deny: "bad_host",
  message: "The management API is called by its address, or by a name in management.allowed_hosts.",
};

/** A page can point a public name at this address, but neither an address nor a bare name. */
function isOwnHost(host: string | null, names: ReadonlySet<string>): boolean {
  if (host === null) return false;
  const name = host.toLowerCase().replace(/:\d{1,5}$/, "");
  if (/^\[[0-9a-f:.%]+\]$/.test(name) || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name)) return true;
  return /^[a-z0-9-]+$/.test(name) || names.has(name);
}

/** A browser tells whose page asks; programs send neither field. */
function isCrossSite(x: Exchange): boolean {
  const site = x.header("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = x.header("origin");
  const host = x.header("host");
  return origin !== null && origin !== `http://${host}` && origin !== `https://${host}`;
}

function findKey(x: Exchange): string | undefined {
  const sent = x.header("x-management-key") ?? bearer(x.header("authorization"));
  return sent === undefined || sent === "" || sent.includes(",") ? undefined : sent;
}

function bearer(authorization: string | null): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
}

function refuse(
  x: Exchange,
  failures: FailureLedger,
  host: PolicyHost,
  reason: "missing" | "unknown",
  where: string,
): Deny {
  const waitMs = failures.fail(x.ip);
  host.emit({
    type: "auth_failure",
    result: "invalid_management_key",
    ip: x.ip,
    requestId: x.id,
    details: { reason: reason === "missing" ? "No token" : "Unknown token" },
  });
  if (waitMs > 0) {
    return { deny: "too_many_failures", retryAfterSeconds: Math.ceil(waitMs / 1000) };
  }
  return {
    deny: "unauthenticated",
    message:
      "Send the management key as `Authorization: Bearer` or `X-Management-Key`. " +
      `It is in ${where}.`,
  };
}

/** A near miss of an attacker, and worth a record. */
function deny(host: PolicyHost, x: Exchange, verdict: Deny): Deny {
  host.emit({
    type: "security_violation",
    result: verdict.deny,
    ip: x.ip,
    requestId: x.id,
    details: { surface: "management" },
  });
  return verdict;
}

function sha256(text: string): Uint8Array {
  return hash("sha256", text, "buffer");
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return timingSafeEqual(a, b);
}
