import { addressProofs } from "./proofs-addresses.ts";
import { answerProofs } from "./proofs-answers.ts";
import { limitProofs } from "./proofs-limits.ts";
import { recordProofs } from "./proofs-records.ts";
import { vaultProofs } from "./proofs-vault.ts";
import type { KeyProof } from "./prove.ts";

export const keyProofs: readonly KeyProof[] = [
  ...addressProofs,
  ...limitProofs,
  ...answerProofs,
  ...recordProofs,
  ...vaultProofs,
];

/** Keys whose proof waits for what another issue builds, and why. */
export const awaitedKeys: Readonly<Record<string, string>> = {
  "server.security.headers.strict_transport_security": "issue 5: sent on TLS only",
};
