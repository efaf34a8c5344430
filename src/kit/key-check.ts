import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { writeAtomically } from "./atomic-file.ts";
import { configFault } from "./config-fault.ts";
import type { Vault } from "./vault-settings.ts";

/** In `auth.dir`; holds nothing that has to be kept secret. */
export const keyCheckName = ".vault.json";

const schema = v.strictObject({
  v: v.literal(1),
  keys: v.pipe(
    v.array(
      v.strictObject({
        kid: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
        check: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      }),
    ),
    v.minLength(1),
  ),
});
type Entry = v.InferOutput<typeof schema>["keys"][number];

/** The keys that files of a store may be encrypted with; none where it has never had one. */
export function readKeyChecks(dir: string): readonly Entry[] {
  const path = join(dir, keyCheckName);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code = "unknown error" } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw configFault("auth.dir", `${path} can't be read: ${code}`, "check its owner and mode");
  }
  try {
    return v.parse(schema, JSON.parse(text)).keys;
  } catch {
    const mend = "restore it; or remove it, if you know that the key is the right one";
    throw configFault("auth.dir", `${path} is damaged`, mend);
  }
}

/**
 * Refuses to go on where no configured key is one that the store was made with.
 * @throws a fault of the configuration
 */
export function assertKeyFits(dir: string, vault: Vault): void {
  const entries = readKeyChecks(dir);
  if (entries.length === 0 || vault.keys.length === 0) return;
  if (vault.keys.some((key) => entries.some((entry) => isOf(entry, key)))) return;
  const wanted = entries.map(({ kid }) => kid).join(" or ");
  const given = vault.keys.map(({ id }) => id).join(", ");
  throw configFault(
    "auth.encryption.key",
    `decryption failed: the key does not match key id ${wanted} of ${dir} (configured: ${given})`,
    `set the key that it was made with; if it is lost, remove ${join(dir, keyCheckName)} and add ` +
      "the credentials again",
  );
}

/** Whether the key that seals is known to the store. */
export function isKeyNoted(dir: string, { sealsWith }: Vault): boolean {
  return sealsWith === undefined || readKeyChecks(dir).some((entry) => isOf(entry, sealsWith));
}

/**
 * Notes the key that seals; call it under the lock of the directory.
 * @param only forgets all others: no file needs them any more
 */
export function noteKey(dir: string, { sealsWith }: Vault, only = false): void {
  if (sealsWith === undefined) return;
  const own = { kid: sealsWith.id, check: sealsWith.check };
  const old = readKeyChecks(dir);
  const others = only ? [] : old.filter(({ kid }) => kid !== own.kid);
  const isSame = old.length === others.length + 1 && old.some((entry) => isOf(entry, sealsWith));
  if (isSame) return;
  const text = JSON.stringify({ v: 1, keys: [own, ...others] });
  writeAtomically(join(dir, keyCheckName), `${text}\n`);
}

function isOf(
  { kid, check }: Entry,
  key: { readonly id: string; readonly check: string },
): boolean {
  return kid === key.id && timingSafeEqual(Buffer.from(check), Buffer.from(key.check));
}
