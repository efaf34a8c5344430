import type { Finding, FindingKind } from "../../src/contract/finding.ts";
import { finder } from "../../src/kit/finding.ts";
import type { Served } from "./material.ts";

const dayMs = 86_400_000;
/** From how long before its end a certificate is told of, and when that is urgent; ms. */
const soonMs = 14 * dayMs;
const urgentMs = 3 * dayMs;

/** What can be said of certificates that are good enough to be served. */
export const findingKinds = {
  "tls-ends-soon": {
    severity: "medium",
    title: "a certificate ends soon",
    why: "When it is over, clients refuse the connection, and a start with it is refused as well.",
    mend: "renew it; what replaces the file is taken over without a restart",
  },
  "tls-no-names": {
    severity: "medium",
    title: "a certificate has no names (SAN)",
    why: "Clients look for the host in the subject alternative names alone, and refuse it.",
    mend: "make it anew with -addext subjectAltName=DNS:proxy.example.com",
  },
  "tls-chain-disordered": {
    severity: "medium",
    title: "a certificate chain is out of order",
    why: "Each certificate has to be followed by its issuer's; many clients stop at the first gap.",
    mend: "write the certificate first, then its issuer's, and so on: certbot's fullchain.pem",
  },
  "tls-chain-short": {
    severity: "low",
    title: "a certificate comes without its issuer's",
    why: "Clients that do not know the intermediate authority by chance can't verify it.",
    mend: "give the full chain (certbot: fullchain.pem), unless clients trust its issuer itself",
  },
  "tls-self-signed": {
    severity: "low",
    title: "a certificate is signed by itself",
    why: "Clients refuse it unless each is told to trust it, and people learn to click that away.",
    mend: "take one of a public or a company's authority; see docs/tls.md",
  },
} as const satisfies Readonly<Record<string, FindingKind>>;

const find = finder(findingKinds);

/** What of sound certificates should still be mended. */
export function findingsOf(certificates: readonly Served[], nowMs: number): readonly Finding[] {
  return certificates.flatMap(({ file, pair: { names, notAfterMs, chain } }) => {
    const found: Finding[] = [];
    const leftMs = notAfterMs - nowMs;
    if (leftMs < soonMs) {
      const evidence = `${file} ends on ${new Date(notAfterMs).toISOString()}`;
      found.push(find("tls-ends-soon", evidence, leftMs < urgentMs ? { severity: "high" } : {}));
    }
    if (names.length === 0) found.push(find("tls-no-names", file));
    if (!chain.isInOrder) found.push(find("tls-chain-disordered", file));
    if (chain.isSelfSigned) found.push(find("tls-self-signed", file));
    else if (chain.length === 1) found.push(find("tls-chain-short", file));
    return found;
  });
}

/** The findings that somebody who reads the log should know of. */
const logged: ReadonlySet<string> = new Set([
  "tls-ends-soon",
  "tls-no-names",
  "tls-chain-disordered",
]);

export function warningsOf(certificates: readonly Served[], nowMs: number): readonly Finding[] {
  return findingsOf(certificates, nowMs).filter(({ id }) => logged.has(id));
}
