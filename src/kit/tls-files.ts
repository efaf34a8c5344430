import { keyModeFault, readPem } from "./pem-files.ts";
import { checkPair, type PairFault, type TlsPair } from "./tls-pair.ts";

/**
 * Reads a certificate and its key, links followed, and checks both.
 * @param nowMs milliseconds since the epoch
 */
export function readPair(certFile: string, keyFile: string, nowMs: number): TlsPair | PairFault {
  const cert = readPem(certFile);
  if (typeof cert !== "string") return { file: "cert", ...cert };
  const key = readPem(keyFile);
  if (typeof key !== "string") return { file: "key", ...key };
  const open = keyModeFault(keyFile);
  if (open !== undefined) return { file: "key", ...open };
  const checked = checkPair(cert, key, nowMs);
  if (!("message" in checked)) return checked;
  const file = checked.file === "cert" ? certFile : keyFile;
  return { ...checked, message: `${file}: ${checked.message}` };
}
