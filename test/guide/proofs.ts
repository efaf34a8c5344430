import { addressProofs } from "./proofs-addresses.ts";
import { answerProofs } from "./proofs-answers.ts";
import { limitProofs } from "./proofs-limits.ts";
import { recordProofs } from "./proofs-records.ts";
import { tlsProofs } from "./proofs-tls.ts";
import { vaultProofs } from "./proofs-vault.ts";
import type { KeyProof } from "./prove.ts";

export const keyProofs: readonly KeyProof[] = [
  ...addressProofs,
  ...limitProofs,
  ...answerProofs,
  ...recordProofs,
  ...vaultProofs,
  ...tlsProofs,
];
