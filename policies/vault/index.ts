/**
 * Keeps provider credentials in private files, encrypted where a key is configured, and tells of
 * every one that is in the clear, too open or not to be trusted. It can't protect them from who
 * reads this process's memory or holds the key. A wrong key stops the start; a bad file is not
 * used.
 */
import * as v from "valibot";
import type { Finding } from "../../src/contract/finding.ts";
import { definePolicy, type PolicyHost } from "../../src/contract/policy.ts";
import { sweepTemps } from "../../src/kit/atomic-file.ts";
import { openAuthStore, type StoredCredentials } from "../../src/kit/auth-store.ts";
import { withDirLock } from "../../src/kit/dir-lock.ts";
import { isKeyNoted, noteKey } from "../../src/kit/key-check.ts";
import { doc, secret } from "../../src/kit/schema.ts";
import { findingsOf, vaultFindingKinds } from "../../src/kit/vault-findings.ts";
import { toVault, type Vault } from "../../src/kit/vault-settings.ts";
import { handlersOf } from "./admin.ts";
import { operations } from "./operations.ts";

const key = "${CLIPROXY_ENCRYPTION_KEY}";

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(v.boolean(), doc("Encrypt credentials in auth.dir; those in the clear stay readable.")),
    false,
  ),
  key: v.optional(
    v.pipe(
      secret(),
      doc("32 bytes in base64, base64url or hex, or 32 ASCII characters.", { example: key }),
    ),
  ),
  keys: v.optional(
    v.pipe(
      v.array(v.union([secret(), v.strictObject({ key: secret() })])),
      v.minLength(1),
      doc("Instead of key, while keys are changed: the first one encrypts, all decrypt.", {
        example: [key, "${OLD_ENCRYPTION_KEY}"],
      }),
    ),
  ),
  algorithm: v.optional(
    v.pipe(v.picklist(["aes-256-gcm"]), doc("The only algorithm there is.")),
    "aes-256-gcm",
  ),
  requireEncrypted: v.optional(
    v.pipe(
      v.boolean(),
      doc("Refuse credentials that are in the clear, or not bound to their file's name."),
    ),
    false,
  ),
});

export const policy = definePolicy({
  name: "vault",
  summary: "Credential files are private, and encrypted where auth.encryption is enabled.",
  stage: "credential",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  required: true,
  config: {
    schema,
    keys: {
      enabled: "auth.encryption.enabled",
      key: "auth.encryption.key",
      keys: "auth.encryption.keys",
      algorithm: "auth.encryption.algorithm",
      requireEncrypted: "auth.encryption.require_encrypted",
    },
  },
  admin: operations,
  findingKinds: vaultFindingKinds,
  async create(config, host) {
    const vault = toVault(config);
    const { authDir: dir, credentialOwners: owners, serving } = host.facts;
    if (serving) await prepare(dir, vault, host);
    const store = openAuthStore(dir, owners, vault, false);
    let stored = store.list();
    offerGauge(() => stored, host);
    return {
      adopted() {
        tellCounts(stored, host);
        tellRefused(stored, host);
      },
      credentialsRead() {
        stored = store.list();
        tellRefused(stored, host);
      },
      admin: handlersOf({ store, host, owners }),
      findings: (): readonly Finding[] => findingsOf(dir, stored, vault),
    };
  },
});

/** What writers left that were killed is removed, and the key noted that encrypts from now on. */
async function prepare(dir: string, vault: Vault, host: PolicyHost): Promise<void> {
  try {
    const swept = sweepTemps(dir, host.clock.now());
    if (swept > 0) host.log.info("removed what killed writers had left", { dir, files: swept });
    if (!isKeyNoted(dir, vault)) await withDirLock(dir, () => noteKey(dir, vault));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === "ENOENT") return;
    // Read only, as Kubernetes mounts secrets: what is there can still be used.
    host.log.warn("auth.dir can't be written", { dir, reason: code ?? message });
  }
}

function offerGauge(stored: () => StoredCredentials, host: PolicyHost): void {
  const help = "Credential files by form: encrypted, legacy, plain, or refused.";
  host.gauge("cliproxy_credential_files", help, ["form"], (set) => {
    const { credentials, refused } = stored();
    for (const form of ["encrypted", "legacy", "plain"] as const) {
      set(credentials.filter((one) => one.form === form).length, form);
    }
    set(refused.length, "refused");
  });
}

/** How many credentials are encrypted and how many are not; nothing where there are none. */
function tellCounts({ credentials, refused }: StoredCredentials, { log }: PolicyHost): void {
  if (credentials.length + refused.length === 0) return;
  const encrypted = credentials.filter(({ form }) => form === "encrypted").length;
  const plain = credentials.length - encrypted;
  log.info("credential files", { encrypted, plain, refused: refused.length });
}

/** Told once for each file and fault: reloads would repeat it. */
function tellRefused({ refused }: StoredCredentials, host: PolicyHost): void {
  const told = host.keep("told", () => new Set<string>());
  const now = new Set(refused.map(({ file, reason }) => `${file}\0${reason}`));
  for (const { file, reason, provider } of refused) {
    if (told.has(`${file}\0${reason}`) || reason === "no_provider") continue;
    host.emit({
      type: "security_violation",
      result: "credential_refused",
      ...(provider !== undefined && { provider }),
      details: { file: file.slice(0, 255), reason },
    });
  }
  told.clear();
  for (const one of now) told.add(one);
}
