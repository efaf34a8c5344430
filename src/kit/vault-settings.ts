import { configFault } from "./config-fault.ts";
import type { Secret } from "./secret.ts";
import { keyMend, parseVaultKey, type VaultKey } from "./vault-key.ts";

/** The keys of the vault, and what must be encrypted. */
export interface Vault {
  /** All that may open a file; the first one seals. */
  readonly keys: readonly VaultKey[];
  /** What new files are encrypted with; undefined: they are written in the clear. */
  readonly sealsWith: VaultKey | undefined;
  /** Plain files, and encrypted ones that are bound to no place, are refused. */
  readonly requireEncrypted: boolean;
  readonly warnings: readonly string[];
}

/** `auth.encryption` of the configuration. */
export interface VaultSettings {
  readonly enabled: boolean;
  readonly key?: Secret | undefined;
  readonly keys?: readonly (Secret | { readonly key: Secret })[] | undefined;
  readonly requireEncrypted: boolean;
}

/** A house without a key: plain files only. */
export const noVault: Vault = {
  keys: [],
  sealsWith: undefined,
  requireEncrypted: false,
  warnings: [],
};

const at = "auth.encryption";

/**
 * Reads the keys.
 * @throws a fault of the configuration, which never holds a key
 */
export function toVault(settings: VaultSettings): Vault {
  const { enabled, requireEncrypted } = settings;
  const given = givenKeys(settings);
  if (enabled && given.length === 0) {
    throw configFault(at, "is enabled, but has no key", `set key; ${keyMend}`);
  }
  if (requireEncrypted && !enabled) {
    const mend = "set enabled: true, or remove require_encrypted";
    throw configFault(`${at}.require_encrypted`, "needs encryption to be enabled", mend);
  }
  const keys: VaultKey[] = [];
  const warnings: string[] = [];
  for (const [path, secret] of given) {
    const parsed = parseVaultKey(secret.expose());
    if (!parsed.ok) throw configFault(path, parsed.message, keyMend);
    if (keys.some(({ id }) => id === parsed.key.id)) {
      throw configFault(path, "is the same key as one before it", "remove one of them");
    }
    keys.push(parsed.key);
    if (parsed.warning !== undefined) warnings.push(`${path} ${parsed.warning}`);
  }
  if (!enabled && keys.length > 0) {
    warnings.push(`${at} has a key but is not enabled: new credentials are written in the clear`);
  }
  return { keys, sealsWith: enabled ? keys[0] : undefined, requireEncrypted, warnings };
}

function givenKeys({ key, keys }: VaultSettings): (readonly [path: string, key: Secret])[] {
  if (key !== undefined && keys !== undefined) {
    const mend = "keep `keys`, with the newest key first";
    throw configFault(`${at}.keys`, "is given beside `key`", mend);
  }
  if (key !== undefined) return [[`${at}.key`, key]];
  return (keys ?? []).map((one, i) => [`${at}.keys.${i}`, "key" in one ? one.key : one]);
}
