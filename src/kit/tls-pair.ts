import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  X509Certificate as NodeCertificate,
} from "node:crypto";
import { X509Certificate } from "@peculiar/x509";
import type { KeyKind } from "./tls-suites.ts";

/** A certificate with its chain and key, which fit together. */
export interface TlsPair {
  /** PEM, the certificate first, then its chain. */
  readonly cert: string;
  readonly key: string;
  readonly kind: KeyKind;
  /** Names and addresses that it is valid for, in lower case. */
  readonly names: readonly string[];
  readonly notAfterMs: number;
  readonly chain: TlsChain;
}

/** What a certificate file holds beside the certificate itself. */
export interface TlsChain {
  /** Certificates in the file, the first one counted in. */
  readonly length: number;
  readonly isSelfSigned: boolean;
  /** Each is issued by the one after it. */
  readonly isInOrder: boolean;
}

/** What is wrong with a pair: in which of the two files, and how to mend it. */
export interface PairFault {
  readonly file: "cert" | "key";
  readonly message: string;
  readonly mend: string;
}

const fewestRsaBits = 2048;
/** Each certificate of a file in PEM form. */
export const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
/** Certificates of a chain that are looked at. */
const longestChain = 10;

/**
 * Checks a certificate file and a key file by what they hold.
 * @param nowMs milliseconds since the epoch
 */
export function checkPair(cert: string, key: string, nowMs: number): TlsPair | PairFault {
  const blocks = cert.match(certificateBlock) ?? [];
  if (blocks.length === 0) {
    return fault("cert", "holds no certificate in PEM form", "put the full chain there, PEM");
  }
  if (blocks.length > longestChain) {
    return fault("cert", `holds more than ${longestChain} certificates`, "leave only the chain");
  }
  const chain: X509Certificate[] = [];
  let publicKey: KeyObject;
  try {
    for (const pem of blocks) chain.push(new X509Certificate(pem));
    publicKey = new NodeCertificate(blocks[0] ?? "").publicKey;
  } catch {
    return fault("cert", "holds a certificate that can't be read", "write the file anew");
  }
  const privateKey = readKey(key);
  if ("message" in privateKey) return privateKey;
  if (!isPair(publicKey, privateKey)) {
    const other = blocks
      .slice(1)
      .some((pem) => isPair(new NodeCertificate(pem).publicKey, privateKey));
    return other
      ? fault("cert", "has its own certificate after another one", "put it first, its chain after")
      : fault(
          "key",
          "is not the key of the certificate",
          "give the two files that were made together",
        );
  }
  const wrong = chain
    .map((one, at) => checkOne(one, at, nowMs))
    .find((found) => found !== undefined);
  if (wrong !== undefined) return wrong;
  const kind = kindOf(publicKey);
  if (typeof kind !== "string") return kind;
  const [leaf] = chain as [X509Certificate];
  const notAfterMs = leaf.notAfter.getTime();
  return { cert, key, kind, names: namesOf(leaf), notAfterMs, chain: toChain(chain) };
}

function toChain(chain: readonly X509Certificate[]): TlsChain {
  const [leaf] = chain as [X509Certificate];
  return {
    length: chain.length,
    isSelfSigned: leaf.subject === leaf.issuer,
    isInOrder: chain.every((one, at) => at === 0 || chain[at - 1]?.issuer === one.subject),
  };
}

function fault(file: PairFault["file"], message: string, mend: string): PairFault {
  return { file, message, mend };
}

function readKey(pem: string): KeyObject | PairFault {
  if (pem.includes("ENCRYPTED")) {
    const mend = "write it without one, mode 0600: openssl pkey -in old.key -out tls.key";
    return fault("key", "is protected by a password", mend);
  }
  try {
    return createPrivateKey(pem);
  } catch {
    return fault("key", "holds no private key in PEM form", "give the key of the certificate");
  }
}

function isPair(publicKey: KeyObject, privateKey: KeyObject): boolean {
  const form = { type: "spki", format: "der" } as const;
  return createPublicKey(privateKey).export(form).equals(publicKey.export(form));
}

/** Dates of the whole chain; a hash only where a signature counts: a root's own does not. */
function checkOne(one: X509Certificate, at: number, nowMs: number): PairFault | undefined {
  const what = at === 0 ? "the certificate" : `certificate ${at + 1} of the chain`;
  if (one.notAfter.getTime() <= nowMs) {
    const message = `${what} ended on ${one.notAfter.toISOString()}`;
    return fault("cert", message, "renew it; what replaces the file is taken over by itself");
  }
  if (one.notBefore.getTime() > nowMs) {
    const message = `${what} is not valid before ${one.notBefore.toISOString()}`;
    return fault("cert", message, "wait, or set this machine's clock right");
  }
  const { hash } = one.signatureAlgorithm as { hash?: { name: string } };
  const isRoot = at > 0 && one.subject === one.issuer;
  const name = hash?.name.toUpperCase();
  if (!isRoot && (name === "SHA-1" || name === "MD5")) {
    return fault("cert", `${what} is signed with ${name}`, "have it signed with SHA-256");
  }
  return undefined;
}

function kindOf(key: KeyObject): KeyKind | PairFault {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ec") return "ECDSA";
  const mend = "make a key for ECDSA P-256, or RSA with 2048 bits or more";
  if (type !== "rsa") return fault("key", `is of the kind ${type}, which few clients know`, mend);
  const bits = details?.modulusLength ?? 0;
  if (bits >= fewestRsaBits) return "RSA";
  return fault("key", `is an RSA key of ${bits} bits, fewer than ${fewestRsaBits}`, mend);
}

const subjectAlternativeName = "2.5.29.17";

function namesOf(leaf: X509Certificate): string[] {
  const names = leaf.getExtension(subjectAlternativeName) as {
    names?: { items: readonly { type: string; value: string }[] };
  } | null;
  const items = names?.names?.items ?? [];
  return items
    .filter(({ type }) => type === "dns" || type === "ip")
    .map(({ value }) => value.toLowerCase());
}
