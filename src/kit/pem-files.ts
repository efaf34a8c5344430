import { readFileSync, statSync } from "node:fs";
import { accessNote } from "./access-note.ts";

/** Longest file of a certificate, a key or authorities, in bytes. */
export const longestPemBytes = 1024 * 1024;

/** Bits that no key file may have: for others anything, for the group more than reading. */
const openBits = 0o037;

/** What is wrong with a file, and how to mend it. */
export interface PemFault {
  readonly message: string;
  readonly mend: string;
}

/** A PEM file, links followed, or why it can't be read. */
export function readPem(file: string): string | PemFault {
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

/** What is wrong with the mode of a key file; undefined: others can't get at it. */
export function keyModeFault(file: string): PemFault | undefined {
  const mode = statSync(file).mode & 0o777;
  if ((mode & openBits) === 0) return undefined;
  const bits = mode.toString(8).padStart(4, "0");
  const message = `${file} has mode ${bits}: others on this machine can read it or change it`;
  return { message, mend: `chmod 600 ${file}` };
}
