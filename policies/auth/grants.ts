import { Buffer } from "node:buffer";
import { hash, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import type { PolicyHost, Principal } from "../../src/contract/policy.ts";
import { isSampleKey, newClientKey } from "../../src/kit/client-key.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { ipRange } from "../../src/kit/ip-schema.ts";
import { createIpSet, type IpSet } from "../../src/kit/ip-set.ts";
import { keyFile } from "../../src/kit/key-file.ts";
import { secret } from "../../src/kit/schema.ts";
import type { Secret } from "../../src/kit/secret.ts";
import { timestamp } from "../../src/kit/timestamp.ts";

const names = v.array(v.pipe(v.string(), v.nonEmpty()));

/** Who may come, by what, and what he may do. */
export const grantSchema = v.pipe(
  v.strictObject({
    id: v.pipe(v.string(), v.regex(/^[\w.@-]{1,64}$/, "use letters, digits and . _ @ -")),
    user_id: v.optional(v.pipe(v.string(), v.nonEmpty(), v.maxLength(256))),
    key: v.optional(v.pipe(secret(), v.check(isGoodKey, "is a sample, or too easy to guess"))),
    key_sha256: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-fA-F]{64}$/, "use 64 hex digits"))),
    /** Common name of a client certificate. */
    certificate: v.optional(v.pipe(v.string(), v.nonEmpty(), v.maxLength(256))),
    expires: v.optional(timestamp()),
    models: v.optional(names),
    providers: v.optional(names),
    allowed_ips: v.optional(v.pipe(v.array(ipRange()), v.minLength(1, "names no address"))),
  }),
  v.check(
    (k) => [k.key, k.key_sha256, k.certificate].filter((one) => one !== undefined).length === 1,
    "needs one of key, key_sha256 and certificate",
  ),
);
type Entry = v.InferOutput<typeof grantSchema>;

function isGoodKey(key: Secret): boolean {
  return !isSampleKey(key.expose());
}

/** A key as it is kept: its digest, and what it may do. */
export interface Grant {
  /** Of the key; of what stands for the certificate. */
  readonly digest: Buffer;
  readonly principal: Principal;
  readonly expiresMs: number;
  readonly models: ReadonlySet<string> | undefined;
  readonly providers: ReadonlySet<string> | undefined;
  readonly addresses: IpSet | undefined;
}

export class GrantTable {
  /** By the first bits of their digest: few share them, and each is compared whole. */
  readonly #byKey = new Map<number, readonly Grant[]>();
  readonly #byCertificate = new Map<string, Grant>();

  get all(): readonly Grant[] {
    return [...[...this.#byKey.values()].flat(), ...this.#byCertificate.values()];
  }

  ofKey(digest: Buffer): Grant | undefined {
    return this.#byKey.get(indexOf(digest))?.find((g) => timingSafeEqual(g.digest, digest));
  }

  /** @param name common name of a certificate that was verified */
  ofCertificate(name: string): Grant | undefined {
    return this.#byCertificate.get(name);
  }

  addKey(grant: Grant): void {
    const index = indexOf(grant.digest);
    const others = this.#byKey.get(index) ?? [];
    refuseTwin(
      others.find((other) => other.digest.equals(grant.digest)),
      grant,
      "key",
    );
    this.#byKey.set(index, [...others, grant]);
  }

  addCertificate(name: string, grant: Grant): void {
    refuseTwin(this.#byCertificate.get(name), grant, "certificate");
    this.#byCertificate.set(name, grant);
  }
}

function indexOf(digest: Buffer): number {
  return digest.readUIntBE(0, 6);
}

function refuseTwin(twin: Grant | undefined, grant: Grant, what: string): void {
  if (twin === undefined) return;
  const ids = `${twin.principal.keyId} and ${grant.principal.keyId}`;
  throw new Error(`${ids} have the same ${what}: only one of them would be enforced`);
}

/** The grants of a configuration; without any, one key that is made and kept in a file. */
export function toGrants(entries: readonly Entry[], host: PolicyHost): GrantTable {
  const grants = new GrantTable();
  for (const entry of entries) {
    const stranger = entry.providers?.find((name) => !host.facts.providers.includes(name));
    if (stranger !== undefined) {
      const known = host.facts.providers.join(", ");
      throw new Error(`${entry.id} names the provider \`${stranger}\`; there are ${known}`);
    }
    if (entry.certificate === undefined) {
      grants.addKey(
        toGrant(
          entry,
          entry.key ? sha256(entry.key.expose()) : Buffer.from(entry.key_sha256 ?? "", "hex"),
        ),
      );
    } else {
      refuseUntold(host);
      grants.addCertificate(entry.certificate, toGrant(entry, sha256(`CN=${entry.certificate}`)));
    }
  }
  if (entries.length === 0) addGenerated(grants, host);
  return grants;
}

function toGrant(entry: Entry, digest: Buffer): Grant {
  return {
    digest,
    principal: { keyId: entry.id, userId: entry.user_id ?? entry.id },
    expiresMs: entry.expires ?? Number.POSITIVE_INFINITY,
    models: entry.models && new Set(entry.models),
    providers: entry.providers && new Set(entry.providers),
    addresses: entry.allowed_ips && createIpSet(entry.allowed_ips.map(({ range }) => range)),
  };
}

/** A client that could never come in must not look as if it could. */
function refuseUntold({ facts }: PolicyHost): void {
  if (facts.clientCertificates === "told") return;
  const [message, mend] =
    facts.clientCertificates === "none"
      ? [
          "names a certificate, and none is asked for",
          "set server.tls.client_ca_file, or give the client a key",
        ]
      : [
          "names a certificate, and this runtime does not tell whose a client shows",
          "give the client a key beside its certificate, or serve by Node",
        ];
  throw configFault("auth.api_keys", message, mend);
}

function addGenerated(grants: GrantTable, host: PolicyHost): void {
  const made = keyFile(
    host.facts.authDir,
    "client.key",
    host.facts.serving ? newClientKey : undefined,
  );
  if (made === undefined) return;
  if (made.isOpen) host.log.warn("others may read the client key: chmod 600", { path: made.path });
  host.announce({
    title: "client key",
    path: made.path,
    secret: made.isNew ? made.key.expose() : undefined,
  });
  grants.addKey({
    digest: sha256(made.key.expose()),
    principal: { keyId: "generated", userId: "generated" },
    expiresMs: Number.POSITIVE_INFINITY,
    models: undefined,
    providers: undefined,
    addresses: undefined,
  });
}

export function sha256(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
