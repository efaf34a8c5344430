import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const dayMs = 86_400_000;
const serverAuth = "1.3.6.1.5.5.7.3.1";

/**
 * Makes a key (ECDSA P-256) and a certificate that it signs itself, as strict clients want it: with
 * names, and no authority.
 * @param hosts names and addresses, at least one
 * @param nowMs milliseconds since the epoch
 */
export async function makeSelfSigned(
  hosts: readonly string[],
  days: number,
  nowMs: number,
): Promise<{ readonly cert: string; readonly key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const keys = (await crypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as CryptoKeyPair;
  const names = hosts.map((value) => ({
    type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
    value,
  }));
  // The first bit stays 0: a serial number is positive (RFC 5280, 4.1.2.2).
  const serialNumber = `4${randomBytes(16).toString("hex").slice(1)}`;
  const made = await X509CertificateGenerator.createSelfSigned({
    serialNumber,
    name: [{ CN: [hosts[0] ?? "localhost"] }],
    // A client's clock may be a little behind.
    notBefore: new Date(nowMs - 5 * 60_000),
    notAfter: new Date(nowMs + days * dayMs),
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([serverAuth]),
      new SubjectAlternativeNameExtension(names),
    ],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const lines = pkcs8.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  const key = `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
  return { cert: `${made.toString("pem")}\n`, key };
}
