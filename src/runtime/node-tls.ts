import type { Server } from "node:https";
import { createSecureContext, type SecureContext, type TlsOptions } from "node:tls";
import type { TlsIdentity, TlsPlan } from "../contract/listen.ts";

/** Longest that a handshake may take, in milliseconds. */
const handshakeMs = 12_000;

export interface NodeTls {
  readonly options: TlsOptions;
  /**
   * New connections get another certificate.
   * @throws when it can't be used, or when what a listener keeps for life would have to change
   */
  renew(server: Server, plan: TlsPlan): void;
}

/** A plan as `node:https` takes it; names are looked up in contexts that can be exchanged. */
export function toNodeTls(plan: TlsPlan): NodeTls {
  let contexts = contextsOf(plan);
  const { clientAuth } = plan;
  const [first] = plan.identities as [TlsIdentity];
  return {
    options: {
      ...contextOptions(first, plan),
      handshakeTimeout: handshakeMs,
      requestCert: clientAuth !== undefined,
      rejectUnauthorized: clientAuth === "require",
      SNICallback: (name, found) => found(null, contextFor(contexts, name)),
    },
    renew(server, next) {
      if (next.clientAuth !== clientAuth) {
        throw Object.assign(new Error("can't change on this runtime while it serves"), {
          key: "server.tls.client_auth",
        });
      }
      const made = contextsOf(next);
      const [usual] = next.identities as [TlsIdentity];
      server.setSecureContext(contextOptions(usual, next));
      contexts = made;
    },
  };
}

interface Contexts {
  readonly usual: SecureContext;
  readonly byName: ReadonlyMap<string, SecureContext>;
}

function contextOptions({ cert, key }: TlsIdentity, plan: TlsPlan) {
  const { ciphers, clientCa: ca } = plan;
  const minVersion = plan.minVersion === "1.3" ? ("TLSv1.3" as const) : ("TLSv1.2" as const);
  return { cert, key, ciphers, minVersion, ...(ca !== undefined && { ca }) };
}

function contextsOf(plan: TlsPlan): Contexts {
  const [usual, ...others] = plan.identities.map((one) => ({
    hosts: one.hosts,
    context: createSecureContext(contextOptions(one, plan)),
  })) as [{ context: SecureContext }, ...{ hosts: readonly string[]; context: SecureContext }[]];
  const byName = new Map(
    others.flatMap(({ hosts, context }) => hosts.map((host) => [host, context] as const)),
  );
  return { usual: usual.context, byName };
}

function contextFor({ usual, byName }: Contexts, asked: string): SecureContext {
  const name = asked.toLowerCase();
  return byName.get(name) ?? byName.get(`*${name.slice(name.indexOf("."))}`) ?? usual;
}
