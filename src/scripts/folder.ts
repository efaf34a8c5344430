import { readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { distrustOf } from "../kit/trusted-file.ts";

/** A file, or a folder with an index, that is a policy. */
export interface Entry {
  readonly name: string;
  readonly path: string;
}

export type Folder =
  | { readonly ok: true; readonly dir: string; readonly entries: readonly Entry[] }
  | { readonly ok: false; readonly message: string; readonly mend: string };

/** Most policies of a directory. */
export const mostPolicies = 64;

const file = /^([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\.(?:ts|js|mjs)$/;
const skipped = /^(?:\..*|_.*|node_modules|lib|package(?:-lock)?\.json|tsconfig\.json|README\.md)$/;
const notCode = /\.(?:test\.[cm]?[jt]s|d\.ts|lock|json|md|txt)$/;
/** Keys that stand beside the names of policies in the configuration. */
const reserved = new Set(["dir", "require-lock", "require_lock"]);

/** Lists the policies of a directory; anything else in it that looks like code is an error. */
export function readFolder(path: string): Folder {
  let dir: string;
  try {
    dir = realpathSync(path);
    const distrust = distrustOf(dir);
    if (distrust !== undefined) return { ok: false, ...distrust };
    const entries = listEntries(dir);
    if ("message" in entries) return { ok: false, ...entries };
    return { ok: true, dir, entries };
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    if (code === "ENOENT") {
      return { ok: false, message: `${path} does not exist`, mend: "make it, or remove the key" };
    }
    return { ok: false, message: `${path}: ${code ?? message}`, mend: "check its path and mode" };
  }
}

function listEntries(dir: string): Entry[] | { message: string; mend: string } {
  const entries: Entry[] = [];
  for (const name of readdirSync(dir).sort()) {
    if (skipped.test(name) || notCode.test(name)) continue;
    const [, policy] = file.exec(name) ?? [];
    if (policy === undefined || reserved.has(policy)) {
      return {
        message: `${join(dir, name)} is no policy: its name must be kebab-case and end in .ts, .js or .mjs`,
        mend: "rename it; files that policies share belong in lib/, or begin with _",
      };
    }
    if (entries.some((known) => known.name === policy)) {
      return { message: `${dir} has two policies named ${policy}`, mend: "rename one of them" };
    }
    entries.push({ name: policy, path: join(dir, name) });
  }
  if (entries.length > mostPolicies) {
    return { message: `${dir} has more than ${mostPolicies} policies`, mend: "remove some" };
  }
  return entries;
}
