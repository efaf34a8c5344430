import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openEnvelope } from "../../../src/kit/envelope.ts";
import { parseVaultKey, type VaultKey } from "../../../src/kit/vault-key.ts";

/** One envelope, the keys at hand, and what must come of it. */
export interface Vector {
  readonly name: string;
  readonly outcome: string;
  readonly key: string;
  readonly more_keys?: readonly string[];
  readonly provider: string;
  readonly file: string;
  readonly envelope: string;
  readonly text?: string;
}

/** What comes of a vector: `ok` and its text, or the fault. */
export function outcomeOf(vector: Vector): { outcome: string; text?: string } {
  const keys = [vector.key, ...(vector.more_keys ?? [])].map((text): VaultKey => {
    const parsed = parseVaultKey(text);
    if (!parsed.ok) throw new Error(parsed.message);
    return parsed.key;
  });
  let content: unknown;
  try {
    content = JSON.parse(vector.envelope);
  } catch {
    return { outcome: "malformed" };
  }
  const opened = openEnvelope(keys, vector, content);
  return opened.ok ? { outcome: "ok", text: opened.text } : { outcome: opened.fault };
}

/** Names of the vectors that turn out otherwise than stated; run by every runtime. */
export function failures(file: string): string[] {
  const vectors = JSON.parse(readFileSync(file, "utf8")) as readonly Vector[];
  return vectors
    .filter((vector) => {
      const { outcome, text } = outcomeOf(vector);
      return outcome !== vector.outcome || text !== vector.text;
    })
    .map(({ name }) => name);
}

export const vectorsFile = join(import.meta.dirname, "v1.json");
