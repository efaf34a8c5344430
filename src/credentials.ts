import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { Secret } from "./kit/secret.ts";
import type { Credential } from "./providers.ts";

/** One credential file: `<provider>.json` or `<provider>-<id>.json` in `auth.dir`. */
const credentialFile = v.looseObject({
  type: v.literal("api_key"),
  token: v.pipe(v.string(), v.trim(), v.nonEmpty()),
  priority: v.optional(v.pipe(v.number(), v.integer()), 0),
  disabled: v.optional(v.boolean(), false),
});

/** What was found in `auth.dir`, and what could not be used. */
export interface FoundCredentials {
  readonly byProvider: ReadonlyMap<string, readonly Credential[]>;
  readonly warnings: readonly string[];
}

/** Reads the credential files of the given providers; a bad file is reported, the others serve. */
export function readCredentials(dir: string, providers: readonly string[]): FoundCredentials {
  const byProvider = new Map<string, Credential[]>();
  const warnings: string[] = [];
  for (const file of listFiles(dir, warnings)) {
    const owner = ownerOf(file, providers);
    if (owner === undefined) {
      warnings.push(`${join(dir, file)}: no provider of that name is configured`);
      continue;
    }
    const credential = readOne(join(dir, file), owner.id, warnings);
    if (credential === undefined) continue;
    const list = byProvider.get(owner.provider) ?? [];
    list.push(credential);
    byProvider.set(owner.provider, list);
  }
  for (const list of byProvider.values()) list.sort((a, b) => a.priority - b.priority);
  return { byProvider, warnings };
}

function listFiles(dir: string, warnings: string[]): string[] {
  try {
    return readdirSync(dir)
      .filter((file) => file.endsWith(".json") && !file.startsWith("."))
      .sort();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== "ENOENT") warnings.push(`${dir}: can't be read (${code})`);
    return [];
  }
}

/** The provider with the longest name that the file name begins with. */
function ownerOf(
  file: string,
  providers: readonly string[],
): { readonly provider: string; readonly id: string } | undefined {
  const base = file.slice(0, -".json".length);
  const owners = providers
    .filter((name) => base === name || base.startsWith(`${name}-`))
    .sort((a, b) => b.length - a.length);
  const provider = owners[0];
  return provider === undefined ? undefined : { provider, id: base };
}

function readOne(path: string, id: string, warnings: string[]): Credential | undefined {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
    if ((statSync(path).mode & 0o077) !== 0)
      warnings.push(`${path}: others may read it: chmod 600`);
  } catch (error) {
    const { code } = error as { code?: string };
    warnings.push(`${path}: ${code ?? "is not JSON"}`);
    return undefined;
  }
  const parsed = v.safeParse(credentialFile, content);
  if (!parsed.success) {
    warnings.push(`${path}: must be {"type": "api_key", "token": "…"}`);
    return undefined;
  }
  const { token, priority, disabled } = parsed.output;
  return disabled ? undefined : { id, kind: "api_key", secret: new Secret(token), priority };
}
