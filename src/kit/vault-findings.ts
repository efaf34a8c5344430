import type { StoredCredentials } from "./auth-store.ts";
import type { RefusedCredential, StoredCredential } from "./credential-reading.ts";
import { finder } from "./finding.ts";
import type { Vault } from "./vault-settings.ts";

/** Most files that one finding names. */
const mostNamed = 5;

/** What can be said of credential files. */
export const vaultFindingKinds = {
  "credentials-not-encrypted": {
    severity: "high",
    title: "credentials are not encrypted",
    why: "Whoever gets a copy of the directory, such as a backup, has the provider's keys.",
    mend: "cliproxy auths encrypt",
  },
  "credentials-old-key": {
    severity: "medium",
    title: "credentials are encrypted with a key that is not the first one",
    why: "As long as a file needs the old key, that key can't be taken out of use.",
    mend: "cliproxy auths rotate, then take the old key out of auth.encryption.keys",
  },
  "credentials-not-decrypted": {
    severity: "high",
    title: "credentials can't be decrypted",
    why: "They are not used; their key is missing or another one, or the file was changed or moved.",
    mend: "see `cliproxy auths list`; add them again",
  },
  "credentials-refused": {
    severity: "medium",
    title: "credential files are not used",
    why: "What they hold is not what a credential file has, so their provider lacks it.",
    mend: "see `cliproxy auths list`",
  },
  "credentials-too-open": {
    severity: "high",
    title: "others can reach the credential files",
    why: "Other users of this machine can read or replace the provider's keys.",
    mend: "chmod 700 the directory and chmod 600 its files",
  },
} as const;

const find = finder(vaultFindingKinds);
type VaultFinding = ReturnType<typeof find>;

/** What somebody who checks the house should know about its credentials. */
export function findingsOf(
  dir: string,
  { credentials, refused, notes }: StoredCredentials,
  vault: Vault,
): readonly VaultFinding[] {
  const found: VaultFinding[] = [];
  const add = (
    files: readonly (StoredCredential | RefusedCredential)[],
    ...[id, differing]: [VaultFinding["id"], Parameters<typeof find>[2]?]
  ): void => {
    if (files.length > 0) found.push(find(id, named(files), differing));
  };
  add(
    credentials.filter(({ form }) => form !== "encrypted"),
    "credentials-not-encrypted",
    vault.sealsWith === undefined
      ? {
          severity: "medium",
          mend: "enable auth.encryption, then run `cliproxy auths encrypt`",
        }
      : {},
  );
  add(
    credentials.filter(({ form, keyId }) => {
      return form === "encrypted" && keyId !== vault.sealsWith?.id;
    }),
    "credentials-old-key",
  );
  const closed = new Set(["wrong_key", "no_key", "corrupt", "wrong_place", "malformed"]);
  add(
    refused.filter(({ reason }) => closed.has(reason)),
    "credentials-not-decrypted",
  );
  add(
    refused.filter(({ reason }) => !closed.has(reason)),
    "credentials-refused",
  );
  const loose = credentials.filter((one) => one.notes.length > 0);
  const evidence = [...notes, ...loose.map(({ path, notes: own }) => `${path} ${own.join("; ")}`)];
  if (evidence.length > 0) {
    const mend = `chmod 700 ${dir} && chmod 600 ${dir}/*.json`;
    found.push(find("credentials-too-open", evidence.slice(0, mostNamed).join("; "), { mend }));
  }
  return found;
}

function named(files: readonly { readonly path: string }[]): string {
  const paths = files.slice(0, mostNamed).map(({ path }) => path);
  const more = files.length - paths.length;
  return more > 0 ? `${paths.join(", ")} and ${more} more` : paths.join(", ");
}
