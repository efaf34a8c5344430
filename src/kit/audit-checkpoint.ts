import type { ChainHead, ChainKey } from "./audit-chain.ts";

/** Says, signed, how far a chain had come: what is cut off behind it later can be missed. */
export interface Checkpoint extends ChainHead {
  /** UTC, such as `20260219T230000Z`. */
  readonly at: string;
}

/** One word, so that it can be cut out of any log or mail. */
const shape =
  /cliproxy-audit-checkpoint:1:(\d{1,16}):(\d{8}T\d{6}Z):([0-9a-f]{64}):([0-9a-f]{64})/g;

/** The checkpoint of a chain as one word. */
export function writeCheckpoint(head: ChainHead, atMs: number, key: ChainKey): string {
  const at = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, "");
  const text = `cliproxy-audit-checkpoint:1:${head.seq}:${at}:${head.mac}`;
  return `${text}:${key.checkpoint(text)}`;
}

/** Finds every checkpoint in a text; those that are not signed by the key are only counted. */
export function readCheckpoints(
  text: string,
  key: ChainKey,
): { readonly signed: readonly Checkpoint[]; readonly foreign: number } {
  const signed: Checkpoint[] = [];
  let foreign = 0;
  for (const [word, seq = "", at = "", mac = "", signature = ""] of text.matchAll(shape)) {
    const isOurs = key.checkpoint(word.slice(0, -65)) === signature;
    if (isOurs) signed.push({ seq: Number(seq), at, mac });
    else foreign += 1;
  }
  return { signed, foreign };
}
