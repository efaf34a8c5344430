/**
 * Serves clients by TLS. It refuses a configuration that would be weaker than it looks: unknown or
 * weak suites, keys that others can read, certificates that are over. It can't know whether clients
 * trust the certificate. A pair that is broken when it is renewed leaves the old one in use.
 */
import { definePolicy, type PolicyHost } from "../../src/contract/policy.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { findingKinds, findingsOf, warningsOf } from "./findings.ts";
import type { Served } from "./material.ts";
import { redirect } from "./redirect.ts";
import { type Settings, schema } from "./settings.ts";

const root = "server.tls";

export const policy = definePolicy({
  name: "tls",
  summary:
    "Clients are served by TLS 1.2 and 1.3 with good suites; certificates renew by themselves.",
  stage: "edge",
  onFault: "closed",
  required: true,
  covers: { surfaces: "all", streams: true, admin: true },
  config: {
    schema,
    keys: {
      enabled: `${root}.enabled`,
      certFile: `${root}.cert_file`,
      keyFile: `${root}.key_file`,
      minVersion: `${root}.min_version`,
      cipherSuites: `${root}.cipher_suites`,
      certificates: `${root}.certificates`,
      http2: `${root}.http2`,
      clientCaFile: `${root}.client_ca_file`,
      clientAuth: `${root}.client_auth`,
      redirectPort: `${root}.http_redirect_port`,
    },
  },
  findingKinds,
  async create(settings, host) {
    refuseUnsaid(settings);
    if (!settings.enabled) return undefined;
    if (settings.cipherSuites !== undefined && !host.facts.choosesSuites) {
      const mend = "leave it out (its own three are good), or use the executable, Bun or Node";
      throw configFault(`${root}.cipher_suites`, "can't be enforced on this runtime", mend);
    }
    if (settings.http2 && !host.facts.speaksHttp2) {
      const mend = "leave it out, or use the executable or Bun";
      throw configFault(`${root}.http2`, "is not to be had on this runtime", mend);
    }
    // Loaded where it is used, and in this order: the library of certificates is slow to start.
    await import("reflect-metadata");
    const { chooseSuites, readCertificates, readClientCa, refuseMixedKinds, toIdentities } =
      await import("./material.ts");
    const certificates = readCertificates(settings, host.clock.now());
    if (!host.facts.mixesKeyKinds) refuseMixedKinds(certificates);
    const chosen = chooseSuites(settings, certificates);
    const clientCa = readClientCa(settings, host.clock.now());
    for (const { title, evidence, mend } of warningsOf(certificates, host.clock.now())) {
      host.log.warn(title, { evidence, mend });
    }
    const { redirectPort } = settings;
    const plain =
      redirectPort === undefined ? [] : [redirectListener(redirectPort, certificates, host)];
    host.gauge(
      "cliproxy_tls_certificate_expiry_seconds",
      "Time until a certificate ends.",
      ["certificate"],
      (set) => {
        certificates.forEach(({ pair }, at) => {
          set((pair.notAfterMs - host.clock.now()) / 1000, String(at));
        });
      },
    );
    return {
      findings: () => findingsOf(certificates, host.clock.now()),
      listen(plan) {
        plan.secure({
          identities: toIdentities(certificates),
          minVersion: settings.minVersion,
          http2: settings.http2,
          ciphers: chosen.map(({ openssl }) => openssl).join(":"),
          clientCa,
          clientAuth: clientCa === undefined ? undefined : (settings.clientAuth ?? "require"),
          files: filesOf(settings),
        });
        for (const one of plain) plan.add(one);
      },
    };
  },
});

/** Whoever names a certificate must not serve in the clear for want of one word. */
function refuseUnsaid({ enabled, certFile, keyFile, clientCaFile }: Settings): void {
  if (enabled !== undefined) return;
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return;
  const mend = "set it to true, or to false to serve without TLS";
  throw configFault(`${root}.enabled`, "is missing, so the rest would have no effect", mend);
}

function filesOf({ certFile, keyFile, clientCaFile, certificates }: Settings): readonly string[] {
  const own = [certFile, keyFile, clientCaFile].filter((file) => file !== undefined);
  return [...own, ...certificates.flatMap((one) => [one.cert_file, one.key_file])];
}

function redirectListener(port: number, certificates: readonly Served[], { facts }: PolicyHost) {
  if (port !== 0 && port === facts.listenPort) {
    const mend = "choose another port than server.port";
    throw configFault(`${root}.http_redirect_port`, `${port} is the port of HTTPS`, mend);
  }
  const names = certificates.flatMap(({ pair, hosts }) => [...pair.names, ...hosts]);
  return {
    name: "redirect",
    host: facts.listenHost,
    port,
    portKey: `${root}.http_redirect_port`,
    path: "/",
    handle: (request: Request) => redirect(request, names, facts.listenPort),
  };
}
