import { X509Certificate } from "node:crypto";
import type { TlsIdentity } from "../../src/contract/listen.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { readPem } from "../../src/kit/pem-files.ts";
import { readPair } from "../../src/kit/tls-files.ts";
import type { TlsPair } from "../../src/kit/tls-pair.ts";
import { certificateBlock } from "../../src/kit/tls-pair.ts";
import { findSuite, type Suite, suites } from "../../src/kit/tls-suites.ts";
import type { Settings } from "./settings.ts";

/** A certificate that is served, and where it is from. */
export interface Served {
  readonly file: string;
  readonly pair: TlsPair;
  readonly hosts: readonly string[];
}

/** The certificates of a configuration, the first of which is the usual one. */
export function readCertificates(settings: Settings, nowMs: number): readonly Served[] {
  const { certFile, keyFile, certificates } = settings;
  if (certFile === undefined || keyFile === undefined) {
    const key = certFile === undefined ? "cert_file" : "key_file";
    const mend = "name it, or make a pair for tests: cliproxy tls new --host localhost";
    throw configFault(`server.tls.${key}`, "is missing, and TLS is enabled", mend);
  }
  const first = served("server.tls", certFile, keyFile, undefined, nowMs);
  const others = certificates.map((one, at) =>
    served(`server.tls.certificates.${at}`, one.cert_file, one.key_file, one.hosts, nowMs),
  );
  refuseClash(others);
  return [first, ...others];
}

function served(
  path: string,
  certFile: string,
  keyFile: string,
  hosts: readonly string[] | undefined,
  nowMs: number,
): Served {
  const pair = readPair(certFile, keyFile, nowMs);
  if ("message" in pair) {
    throw configFault(keyOf(path, `${pair.file}_file`), pair.message, pair.mend);
  }
  return { file: certFile, pair, hosts: (hosts ?? pair.names).map((host) => host.toLowerCase()) };
}

/** The key of a file; those of a list are told by the list. */
function keyOf(path: string, name: string): string {
  return path === "server.tls" ? `${path}.${name}` : "server.tls.certificates";
}

function refuseClash(others: readonly Served[]): void {
  const seen = new Set<string>();
  for (const { file, hosts } of others) {
    if (hosts.length === 0) {
      const message = `nobody could ask for ${file}: it has no names`;
      throw configFault("server.tls.certificates", message, "give it `hosts`, or names (SAN)");
    }
    for (const host of hosts) {
      if (seen.has(host)) {
        const message = `two certificates are for ${host}`;
        throw configFault("server.tls.certificates", message, "leave the name to one of them");
      }
      seen.add(host);
    }
  }
}

/**
 * Some runtimes would show clients of the other kind a certificate that is not their host's.
 * @throws a fault of the configuration when keys are of two kinds
 */
export function refuseMixedKinds([first, ...others]: readonly Served[]): void {
  const other = others.find(({ pair }) => pair.kind !== first?.pair.kind);
  if (first === undefined || other === undefined) return;
  const kinds = `${other.file} has an ${other.pair.kind} key, and ${first.file} an ${first.pair.kind} key`;
  const message = `${kinds}: this runtime would show the wrong one`;
  const mend = "take keys of one kind for all names, or use the executable, Bun or Deno";
  throw configFault("server.tls.certificates", message, mend);
}

/**
 * The suites to offer, in their order.
 * @throws a fault of the configuration when a certificate would be left without one
 */
export function chooseSuites(
  settings: Settings,
  certificates: readonly Served[],
): readonly Suite[] {
  const { cipherSuites, minVersion } = settings;
  if (cipherSuites === undefined) return suites;
  const chosen = cipherSuites.map(findSuite).filter((one) => typeof one !== "string");
  if (minVersion === "1.3") {
    const mend = "leave the list out, or set min_version to 1.2";
    throw configFault("server.tls.cipher_suites", "names suites of TLS 1.2, which is off", mend);
  }
  for (const { file, pair } of certificates) {
    if (chosen.some(({ key }) => key === pair.kind)) continue;
    const fitting = suites.filter(({ key }) => key === pair.kind).map(({ iana }) => iana);
    const message = `has no suite for the ${pair.kind} key of ${file}: TLS 1.2 would be dead`;
    throw configFault("server.tls.cipher_suites", message, `add ${fitting.join(" or ")}`);
  }
  return chosen;
}

/** The authorities of client certificates, checked; undefined: none is asked for. */
export function readClientCa(
  { clientCaFile, clientAuth }: Settings,
  nowMs: number,
): string | undefined {
  if (clientCaFile === undefined) {
    if (clientAuth === undefined) return undefined;
    const mend = "name the authorities whose certificates count";
    throw configFault("server.tls.client_ca_file", "is missing, and client_auth is set", mend);
  }
  const pem = readPem(clientCaFile);
  const key = "server.tls.client_ca_file";
  if (typeof pem !== "string") throw configFault(key, pem.message, pem.mend);
  const blocks = pem.match(certificateBlock) ?? [];
  if (blocks.length === 0) {
    const message = `${clientCaFile} holds no certificate of an authority (CA:TRUE)`;
    throw configFault(key, message, "give authorities in PEM form");
  }
  // One that can't be read would silently be left out: its clients would stand outside.
  for (const [at, block] of blocks.entries()) {
    const wrong = authorityFault(block, nowMs);
    if (wrong === undefined) continue;
    const message = `certificate ${at + 1} of ${clientCaFile} ${wrong}`;
    throw configFault(key, message, "leave only authorities there that are valid");
  }
  return pem;
}

/** What is wrong with one authority, as the end of a sentence. */
function authorityFault(pem: string, nowMs: number): string | undefined {
  try {
    const { ca, validTo } = new X509Certificate(pem);
    if (!ca) return "is not one of an authority (CA:TRUE)";
    return Date.parse(validTo) <= nowMs ? `ended on ${validTo}` : undefined;
  } catch {
    return "can't be read";
  }
}

/** Certificates as a listener takes them: the first answers where no name fits. */
export function toIdentities(certificates: readonly Served[]): readonly TlsIdentity[] {
  return certificates.map(({ pair, hosts }) => ({ cert: pair.cert, key: pair.key, hosts }));
}
