import { readFileSync, statSync } from "node:fs";
import { accessNote } from "./access-note.ts";
import { checkPair, type PairFault, type TlsPair } from "./tls-pair.ts";

/** Longest file of a certificate, a key or authorities, in bytes. */
export const longestPemBytes = 1024 * 1024;

/** Bits that no key file may have: for others anything, for the group more than reading. */
const openBits = 0o037;

/**
 * Reads a certificate and its key, links followed, and checks both.
 * @param nowMs milliseconds since the epoch
 */
export function readPair(certFile: string, keyFile: string, nowMs: number): TlsPair | PairFault {
  const cert = readPem(certFile);
  if (typeof cert !== "string") return { file: "cert", ...cert };
  const key = readPem(keyFile);
  if (typeof key !== "string") return { file: "key", ...key };
  const mode = statSync(keyFile).mode & 0o777;
  if ((mode & openBits) !== 0) {
    const bits = mode.toString(8).padStart(4, "0");
    const message = `${keyFile} has mode ${bits}: others on this machine can read it or change it`;
    return { file: "key", message, mend: `chmod 600 ${keyFile}` };
  }
  const checked = checkPair(cert, key, nowMs);
  if (!("message" in checked)) return checked;
  const file = checked.file === "cert" ? certFile : keyFile;
  return { ...checked, message: `${file}: ${checked.message}` };
}

/** A PEM file, or why it can't be read. */
export function readPem(file: string): string | Omit<PairFault, "file"> {
  try {
    const { size } = statSync(file);
    if (size <= longestPemBytes) return readFileSync(file, "utf8");
    const message = `${file} is larger than ${longestPemBytes} bytes`;
    return { message, mend: "name a file in PEM form" };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `${file} can't be read: ${code} (${accessNote(file)})`;
    return { message, mend: "name a file that is there, and let this user read it" };
  }
}
