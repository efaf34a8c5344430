import type { TlsPair } from "./tls-pair.ts";

/** From how long before its end a certificate is warned about, in milliseconds. */
const soonMs = 14 * 86_400_000;

/** What of a sound certificate should still be mended. */
export function certificateWarnings({ names, notAfterMs }: TlsPair, nowMs: number): string[] {
  const warnings: string[] = [];
  if (names.length === 0) {
    warnings.push("the certificate has no names (SAN): most clients will refuse it");
  }
  if (notAfterMs - nowMs < soonMs) {
    warnings.push(`the certificate ends on ${new Date(notAfterMs).toISOString()}: renew it`);
  }
  return warnings;
}

/** Whether a certificate's name stands for a host: itself, or `*` for its first label. */
export function coversHost(names: readonly string[], host: string): boolean {
  const asked = host.toLowerCase().replace(/^\[|\]$/g, "");
  const dot = asked.indexOf(".");
  return names.includes(asked) || (dot > 0 && names.includes(`*${asked.slice(dot)}`));
}
