import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { geteuid } from "node:process";
import { isSampleKey } from "./client-key.ts";
import { configFault } from "./config-fault.ts";
import { createPrivateFile } from "./private-file.ts";
import { Secret } from "./secret.ts";

/** A generated key of a house that configures none. */
export interface KeyFile {
  readonly path: string;
  readonly key: Secret;
  /** It was made by this call. */
  readonly isNew: boolean;
  /** Others than its owner may read it. */
  readonly isOpen: boolean;
}

/**
 * Reads the key in a file of a directory, or makes it (0600, in a directory of 0700).
 * @param name of the file, such as `client.key`
 * @param make gives a new key; undefined: nothing is written, and a file must be there
 * @returns undefined where there is none and none may be made
 * @throws a fault of the configuration when the directory or the file can't be used
 */
export function keyFile(
  dir: string,
  name: string,
  make: (() => string) | undefined,
): KeyFile | undefined {
  const path = join(dir, name);
  try {
    const old = read(path);
    if (old !== undefined) {
      const isOpen = (statSync(path).mode & 0o077) !== 0;
      return { path, key: new Secret(old), isNew: false, isOpen };
    }
    if (make === undefined) return undefined;
    const key = make();
    createPrivateFile(path, `${key}\n`);
    return { path, key: new Secret(key), isNew: true, isOpen: false };
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    const uid = geteuid?.() ?? "unknown";
    const state = describe(dir) ?? describe(dirname(dir)) ?? "";
    throw configFault(
      "auth.dir",
      `${path}: ${code}${state}, running as uid ${uid}`,
      `chown -R ${uid} ${dir} && chmod 700 ${dir}`,
    );
  }
}

function read(path: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
  if (text === "" || isSampleKey(text)) {
    const wrong = text === "" ? "is empty" : "holds a sample, or a key too easy to guess";
    throw configFault(
      "auth.dir",
      `${path} ${wrong}`,
      "delete the file: a new key is made at the next start",
    );
  }
  return text;
}

function describe(path: string): string | undefined {
  try {
    const { uid, gid, mode } = statSync(path);
    return ` (${path} has owner ${uid}:${gid}, mode 0${(mode & 0o7777).toString(8)})`;
  } catch {
    return undefined;
  }
}
