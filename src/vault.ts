import { readdirSync } from "node:fs";
import type { ConfigProblem } from "./config/problems.ts";
import type { Provider } from "./contract/plugin.ts";
import { accessNote } from "./kit/access-note.ts";
import { openAuthStore } from "./kit/auth-store.ts";
import { configFault } from "./kit/config-fault.ts";
import { assertKeyFits, readKeyChecks } from "./kit/key-check.ts";
import { toVault, type Vault, type VaultSettings } from "./kit/vault-settings.ts";
import { credentialOwners } from "./provider-settings.ts";

/** What a configuration can tell of a place in its file. */
interface Places {
  readonly values: ReadonlyMap<string, unknown>;
  childrenOf(path: string): readonly string[];
  problemAt(path: string, message: string, mend: string): ConfigProblem;
}

/** The directory of credentials as a configuration names it. */
export interface AuthPlace {
  readonly dir: string;
  /** Names of providers that a file may belong to. */
  readonly providers: readonly string[];
  readonly vault: Vault;
}

/**
 * Opens the vault of a configuration: reads its keys, and proves them by the store.
 * @returns a problem where the keys are none, or not those of the store, or the directory is closed
 */
export function openVault(config: Places, kinds: readonly Provider[]): AuthPlace | ConfigProblem {
  const { dir } = config.values.get("auth-dir") as { readonly dir: string };
  const providers = credentialOwners(config.childrenOf("providers"), kinds);
  try {
    const vault = toVault(config.values.get("vault") as VaultSettings);
    assertReadable(dir);
    assertKeyFits(dir, vault);
    assertNeedsNoKey(dir, providers, vault);
    return { dir, providers, vault };
  } catch (error) {
    const { configPath, message, mend } = error as ReturnType<typeof configFault> & {
      configPath?: string;
      mend?: string;
    };
    if (configPath === undefined) throw error;
    return config.problemAt(configPath, message, mend ?? "");
  }
}

/** A directory that can't be read would look like one without credentials. */
function assertReadable(dir: string): void {
  try {
    readdirSync(dir);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT") return;
    const note = accessNote(dir);
    const uid = /uid (\S+)$/.exec(note)?.[1];
    const mend =
      code === "ENOTDIR" ? "name a directory" : `chown -R ${uid} ${dir} && chmod 700 ${dir}`;
    throw configFault("auth.dir", `can't be read: ${code} (${note})`, mend);
  }
}

/** Without its key the store is closed: to serve on with what is in the clear would hide that. */
function assertNeedsNoKey(dir: string, providers: readonly string[], vault: Vault): void {
  if (vault.keys.length > 0 || readKeyChecks(dir).length === 0) return;
  const { refused } = openAuthStore(dir, providers, vault, false).list();
  const sealed = refused.filter(({ reason }) => reason === "no_key").length;
  if (sealed === 0) return;
  const count = sealed === 1 ? "1 credential" : `${sealed} credentials`;
  throw configFault(
    "auth.encryption",
    `decryption failed: ${count} in ${dir} need a key, and none is configured`,
    "set auth.encryption.enabled and auth.encryption.key",
  );
}
