import { createHash } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { relative } from "node:path";
import { distrustOf } from "../kit/trusted-file.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Grant, trespassesOf } from "./grants.ts";
import { hostModules } from "./host-module.ts";

/** A file that the code of a policy was made of. */
export interface SourceFile {
  /** Below the directory of policies. */
  readonly path: string;
  readonly sha256: string;
}

/** The code of a policy, or what is wrong with it. */
export type Source =
  | { readonly ok: true; readonly code: string; readonly files: readonly SourceFile[] }
  | { readonly ok: false; readonly problems: readonly SourceProblem[] };

export interface SourceProblem {
  readonly message: string;
  readonly mend: string;
  /** Undefined: it is about no place in a file. */
  readonly at:
    | { readonly file: string; readonly line: number; readonly column: number }
    | undefined;
}

/** Largest source file, and most of them, in bytes and files. */
export const sourceLimits = { fileBytes: 4 * 1024 * 1024, files: 2000 } as const;

/**
 * Bundles a policy. What is read is what is judged and what will run: no file is opened twice.
 * @param dir the directory of policies, without links in its path
 */
export async function readSource(
  entry: string,
  dir: string,
  granted: readonly Grant[],
  runtime: Runtime,
): Promise<Source> {
  const files = new Map<string, SourceFile>();
  const problems: SourceProblem[] = [];
  const read = (path: string): string => {
    const real = realpathSync(path);
    if (real !== dir && !real.startsWith(`${dir}/`)) {
      throw new Error(`${path} is outside of ${dir}: copy it there`);
    }
    const distrust = distrustOf(real);
    if (distrust !== undefined) throw new Error(`${distrust.message} (mend: ${distrust.mend})`);
    if (files.size >= sourceLimits.files)
      throw new Error(`has more than ${sourceLimits.files} files`);
    const bytes = readFileSync(real);
    if (bytes.byteLength > sourceLimits.fileBytes) {
      throw new Error(`${path} is larger than ${sourceLimits.fileBytes} bytes`);
    }
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    files.set(real, { path: relative(dir, real), sha256 });
    return bytes.toString("utf8");
  };
  const bundled = await runtime.bundle({ entry, root: dir, modules: hostModules, read });
  if (!bundled.ok) {
    for (const { message, at } of bundled.failures) problems.push({ message, mend: "", at });
    return { ok: false, problems };
  }
  for (const { what, grant } of await trespassesOf(bundled.code, granted)) {
    const message = `${what}, which needs the grant \`${grant}\``;
    problems.push({ message, mend: `grant: [${grant}], if you trust it with that`, at: undefined });
  }
  if (problems.length > 0) return { ok: false, problems };
  const sorted = [...files.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { ok: true, code: bundled.code, files: sorted };
}
