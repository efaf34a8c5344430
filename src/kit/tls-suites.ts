/** Kind of key that a certificate holds. */
export type KeyKind = "ECDSA" | "RSA";

/** A cipher suite of TLS 1.2 that is worth having, by both of its names. */
export interface Suite {
  readonly iana: string;
  readonly openssl: string;
  readonly key: KeyKind;
}

/**
 * The suites of Mozilla's intermediate level that have forward secrecy by elliptic curves, in its
 * order. Those with finite-field Diffie-Hellman are left out: no runtime here offers them all.
 */
export const suites: readonly Suite[] = [
  suite("ECDSA", "AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
  suite("RSA", "AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
  suite("ECDSA", "AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
  suite("RSA", "AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
  suite("ECDSA", "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
  suite("RSA", "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
];

function suite(key: KeyKind, iana: string, openssl: string): Suite {
  return { key, iana: `TLS_ECDHE_${key}_WITH_${iana}`, openssl: `ECDHE-${key}-${openssl}` };
}

// RFC 7905's suites are named without their hash by Go and by older lists.
const byName = new Map<string, Suite>(
  suites.flatMap((one) => [
    [one.iana, one],
    [one.openssl, one],
    [one.iana.replace("POLY1305_SHA256", "POLY1305"), one],
  ]),
);

const ofTls13 =
  /^TLS_(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256|AES_128_CCM(_8)?_SHA256)$/;
const known = /^(TLS_|ECDHE-|DHE-|AES|DES|RC4|NULL|PSK|CAMELLIA|SEED|ARIA)/;
const broken = /RC4|NULL|EXPORT|EXP-|3DES|DES-CBC|DES_CBC|MD5|anon|ADH|AECDH/;

/**
 * Finds a suite by its IANA or OpenSSL name.
 * @returns the suite, or what is wrong with the name, as the end of a sentence
 */
export function findSuite(name: string): Suite | string {
  const found = byName.get(name);
  if (found !== undefined) return found;
  if (ofTls13.test(name)) {
    return "is a suite of TLS 1.3, which has its own three that are always offered";
  }
  if (broken.test(name)) return "is broken: it can be read or forged";
  if (!known.test(name)) return "is no cipher suite";
  if (/^(TLS_DHE_|DHE-)/.test(name))
    return "needs finite-field Diffie-Hellman, which is not offered";
  if (/^(TLS_RSA_WITH|AES|CAMELLIA|SEED)/.test(name)) {
    return "is weak: who gets the key later can read what was sent before";
  }
  if (/CBC|SHA$/.test(name)) return "is weak: it encrypts in CBC mode";
  return "is unknown here";
}
