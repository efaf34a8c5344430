import { readFileSync, statSync } from "node:fs";
import { geteuid } from "node:process";

/** How files with secrets are read; tests give their own. */
export interface ConfigIo {
  /**
   * Reads a small regular file.
   * @throws the error of the file system, or an Error that says what the file is not
   */
  readFile(path: string): { readonly bytes: Uint8Array; readonly mode: number };
  /** Who owns a path and what may be done with it; undefined when it can't be told. */
  stat?(path: string): { readonly uid: number; readonly mode: number } | undefined;
  /** The user that reads. */
  uid?(): number | undefined;
}

/** Largest file that can be a secret, in bytes. */
export const maxSecretBytes = 65_536;

export const fileIo: ConfigIo = {
  readFile(path) {
    const found = statSync(path);
    // A pipe would block the start, a device never ends.
    if (!found.isFile()) throw new Error("is not a regular file");
    if (found.size > maxSecretBytes) throw new Error("is larger than 64 KiB");
    return { bytes: readFileSync(path), mode: found.mode };
  },
  stat(path) {
    try {
      return statSync(path);
    } catch {
      return undefined;
    }
  },
  uid: () => geteuid?.(),
};

type Wording = { readonly message: string; readonly mend: string };
export type ReadSecret =
  | { readonly ok: true; readonly text: string; readonly warning: Wording | undefined }
  | ({ readonly ok: false } & Wording);

/**
 * Reads a secret; one newline at its end is not part of it.
 * @param shown how the path may be called in a message
 */
export function readSecretFile(path: string, shown: string, io: ConfigIo): ReadSecret {
  let file: ReturnType<ConfigIo["readFile"]>;
  try {
    file = io.readFile(path);
  } catch (error) {
    return { ok: false, ...whyNot(path, shown, io, error) };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(file.bytes).replace(/\r?\n$/, "");
  } catch {
    return { ok: false, message: `${shown} is not UTF-8 text`, mend: "store the secret as text" };
  }
  if (text === "") {
    return { ok: false, message: `${shown} is empty`, mend: "write the secret into it" };
  }
  const mode = file.mode & 0o777;
  if ((mode & 0o037) === 0) return { ok: true, text, warning: undefined };
  const message = `${shown} has mode ${octal(mode)}: others can read or change it`;
  return { ok: true, text, warning: { message, mend: `chmod 0600 ${shown}` } };
}

function whyNot(path: string, shown: string, io: ConfigIo, error: unknown): Wording {
  const { code, message } = error as { code?: string; message: string };
  if (code === undefined) {
    return { message: `${shown} ${message}`, mend: "name a file that holds the secret only" };
  }
  if (code === "ENOENT") {
    return { message: `${shown} does not exist`, mend: "create it, or correct the path" };
  }
  const found = io.stat?.(path);
  const uid = io.uid?.();
  const owner =
    found === undefined ? "" : `owner ${found.uid}, mode ${octal(found.mode & 0o777)}, `;
  const reader = uid === undefined ? "" : `read as uid ${uid}, `;
  const who = uid ?? "<user>";
  return {
    message: `${shown} can't be read: ${owner}${reader}${code}`,
    mend: `chown ${who} ${shown} && chmod 0600 ${shown}, and let uid ${who} enter its directory`,
  };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
