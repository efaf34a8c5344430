import { openAuthStore, type StoredCredentials } from "./kit/auth-store.ts";
import type { StoredCredential } from "./kit/credential-reading.ts";
import { Secret } from "./kit/secret.ts";
import { noVault, type Vault } from "./kit/vault-settings.ts";
import type { TokenDesk } from "./oauth/token-desk.ts";
import type { Credential, TokenSource } from "./providers.ts";

/** What was found in `auth.dir`, and what could not be used. */
export interface FoundCredentials {
  readonly byProvider: ReadonlyMap<string, readonly Credential[]>;
  readonly warnings: readonly string[];
}

/** The last good state of each file, by its path: it serves while the file is being written. */
export type LastGood = Map<string, StoredCredential>;

export interface ReadOptions {
  readonly vault?: Vault;
  readonly last?: LastGood;
  /** Mend modes that are too open, where the files are ours. */
  readonly repair?: boolean;
  /** Where tokens that are refreshed come from; absent: such credentials are left out. */
  readonly desk?: Pick<TokenDesk, "open" | "warnings">;
}

/** Reads the credential files of the given providers; a bad file is reported, the others serve. */
export function readCredentials(
  dir: string,
  providers: readonly string[],
  { vault = noVault, last = new Map(), repair = false, desk }: ReadOptions = {},
): FoundCredentials {
  const stored = openAuthStore(dir, providers, vault, repair).list();
  const { usable, warnings } = bridge(stored, last);
  warnings.push(...vault.warnings);
  const byProvider = new Map<string, Credential[]>();
  for (const one of usable) {
    for (const note of one.notes) warnings.push(`${one.path}: ${note}`);
    if (one.content.disabled) continue;
    const credential = toCredential(one, desk?.open(one));
    if (credential === undefined) continue;
    const list = byProvider.get(one.provider) ?? [];
    list.push(credential);
    byProvider.set(one.provider, list);
  }
  warnings.push(...(desk?.warnings ?? []));
  for (const list of byProvider.values()) list.sort((a, b) => a.priority - b.priority);
  const open = usable.filter(({ form }) => form !== "encrypted").length;
  if (vault.sealsWith !== undefined && open > 0) {
    const count = open === 1 ? "1 credential is" : `${open} credentials are`;
    warnings.push(`${dir}: ${count} not encrypted: run \`cliproxy auths encrypt\``);
  }
  return { byProvider, warnings };
}

/** A file that is half written keeps what it was; the watcher looks again when it is whole. */
function bridge(
  { credentials, refused, notes }: StoredCredentials,
  last: LastGood,
): { readonly usable: readonly StoredCredential[]; readonly warnings: string[] } {
  const warnings = [...notes];
  const usable = [...credentials];
  for (const { path, reason, message, mend } of refused) {
    const before = reason === "unfinished" ? last.get(path) : undefined;
    if (before !== undefined) {
      usable.push(before);
      warnings.push(`${path}: ${message}: the credential that it held still serves`);
    } else {
      warnings.push(`${path}: ${message}${mend === "" ? "" : `: ${mend}`}`);
    }
  }
  last.clear();
  for (const one of usable) last.set(one.path, one);
  usable.sort((a, b) => (a.file < b.file ? -1 : 1));
  return { usable, warnings };
}

function toCredential(
  { file, content }: StoredCredential,
  tokens: TokenSource | undefined,
): Credential | undefined {
  const id = file.slice(0, -".json".length);
  const { priority, weight } = content;
  if (tokens !== undefined)
    return { id, kind: "bearer", secret: undefined, priority, weight, tokens };
  if (content.type !== "api_key") return undefined;
  return { id, kind: "api_key", secret: new Secret(content.token), priority, weight };
}
