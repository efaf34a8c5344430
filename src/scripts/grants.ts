import { init, parse } from "es-module-lexer/js";

/** What a policy may be allowed to reach beyond what it is shown. */
export const grants = ["net", "fs", "system"] as const;
export type Grant = (typeof grants)[number];

/** Modules of the runtime that reach nothing outside. */
const harmless = new Set([
  ...["assert", "assert/strict", "buffer", "crypto", "events", "path", "path/posix"],
  ...["perf_hooks", "punycode", "querystring", "stream", "stream/promises", "stream/web"],
  ...["string_decoder", "timers", "timers/promises", "url", "util", "util/types", "zlib"],
]);
const net = new Set(["dns", "dns/promises", "http", "http2", "https", "net", "tls", "dgram"]);
const fs = new Set(["fs", "fs/promises", "sqlite"]);

/**
 * The grant that a module of the runtime needs.
 * @param specifier such as `node:fs`, `fs` or `bun:ffi`
 * @returns undefined when it needs none
 */
export function grantFor(specifier: string): Grant | undefined {
  const name = specifier.replace(/^node:/, "");
  if (harmless.has(name)) return undefined;
  if (net.has(name)) return "net";
  return fs.has(name) || name === "bun:sqlite" ? "fs" : "system";
}

/** Something in a policy's code that its grants don't allow. */
export interface Trespass {
  readonly what: string;
  readonly grant: Grant;
}

/**
 * What the code of a bundle asks for that was not granted. This reads names: it stops mistakes and
 * what is written plainly, not an author who means harm.
 * @param code one module, all that is not of the runtime bundled in
 */
export async function trespassesOf(
  code: string,
  granted: readonly Grant[],
): Promise<readonly Trespass[]> {
  await init;
  const found: Trespass[] = [];
  const add = (what: string, grant: Grant | undefined): void => {
    if (grant === undefined || granted.includes(grant)) return;
    if (!found.some((one) => one.what === what)) found.push({ what, grant });
  };
  const [imports] = parse(code);
  for (const one of imports) {
    if (one.type === "import-meta") add("uses import.meta", "system");
    else if (one.specifier === undefined || (one.type === "dynamic" && one.glob)) {
      add("imports by a computed name", "system");
    } else add(`imports ${one.specifier}`, grantFor(one.specifier));
  }
  return found;
}
