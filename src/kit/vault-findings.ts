import type { StoredCredentials } from "./auth-store.ts";
import type { RefusedCredential, StoredCredential } from "./credential-reading.ts";
import type { Vault } from "./vault-settings.ts";

/** As the contract's Finding. */
export interface VaultFinding {
  readonly id: string;
  readonly severity: "critical" | "high" | "medium" | "low" | "info";
  readonly title: string;
  readonly evidence: string;
  readonly mend: string;
  readonly docs: string;
}

/** Most files that one finding names. */
const mostNamed = 5;
const page = "vault.md";

/** What somebody who checks the house should know about its credentials. */
export function findingsOf(
  dir: string,
  { credentials, refused, notes }: StoredCredentials,
  vault: Vault,
): readonly VaultFinding[] {
  const found: VaultFinding[] = [];
  const add = (
    files: readonly (StoredCredential | RefusedCredential)[],
    finding: Omit<VaultFinding, "evidence">,
  ): void => {
    if (files.length > 0) found.push({ ...finding, evidence: named(files) });
  };
  const open = credentials.filter(({ form }) => form !== "encrypted");
  add(open, {
    id: "credentials-not-encrypted",
    severity: vault.sealsWith === undefined ? "medium" : "high",
    title: "credentials are not encrypted",
    mend:
      vault.sealsWith === undefined
        ? "enable auth.encryption, then run `cliproxy auths encrypt`"
        : "cliproxy auths encrypt",
    docs: `${page}#from-files-in-the-clear`,
  });
  const old = credentials.filter(({ form, keyId }) => {
    return form === "encrypted" && keyId !== vault.sealsWith?.id;
  });
  add(old, {
    id: "credentials-old-key",
    severity: "medium",
    title: "credentials are encrypted with a key that is not the first one",
    mend: "cliproxy auths rotate, then take the old key out of auth.encryption.keys",
    docs: `${page}#changing-the-key`,
  });
  const closed = new Set(["wrong_key", "no_key", "corrupt", "wrong_place", "malformed"]);
  add(
    refused.filter(({ reason }) => closed.has(reason)),
    {
      id: "credentials-not-decrypted",
      severity: "high",
      title: "credentials can't be decrypted",
      mend: "see `cliproxy auths list`; add them again",
      docs: `${page}#when-a-file-is-refused`,
    },
  );
  add(
    refused.filter(({ reason }) => !closed.has(reason)),
    {
      id: "credentials-refused",
      severity: "medium",
      title: "credential files are not used",
      mend: "see `cliproxy auths list`",
      docs: `${page}#when-a-file-is-refused`,
    },
  );
  const loose = credentials.filter((one) => one.notes.length > 0);
  const evidence = [...notes, ...loose.map(({ path, notes: own }) => `${path} ${own.join("; ")}`)];
  if (evidence.length > 0) {
    found.push({
      id: "credentials-too-open",
      severity: "high",
      title: "others can reach the credential files",
      evidence: evidence.slice(0, mostNamed).join("; "),
      mend: `chmod 700 ${dir} && chmod 600 ${dir}/*.json`,
      docs: `${page}#files`,
    });
  }
  return found;
}

function named(files: readonly { readonly path: string }[]): string {
  const paths = files.slice(0, mostNamed).map(({ path }) => path);
  const more = files.length - paths.length;
  return more > 0 ? `${paths.join(", ")} and ${more} more` : paths.join(", ");
}
