import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";
import { seqOf } from "./audit-record.ts";

const chunkBytes = 1024 * 1024;
/** Longest line that is looked at whole, in bytes: records are far shorter. */
export const mostLineBytes = 64 * 1024;

/**
 * Reads a file of any size line by line.
 * @param take gets the number of the line, its bytes without the break, and whether it has none;
 *   the bytes are good for the call only
 * @throws the system's error when it can't be read
 */
export function readLines(
  path: string,
  take: (line: number, bytes: Uint8Array, torn: boolean) => void,
): void {
  scan(path, (line, bytes, torn) => {
    take(line, bytes, torn);
    return true;
  });
}

function scan(path: string, take: (line: number, bytes: Buffer, torn: boolean) => boolean): void {
  const file = openSync(path, "r");
  try {
    const chunk = Buffer.alloc(chunkBytes);
    let rest = Buffer.alloc(0);
    let line = 1;
    for (;;) {
      const size = readSync(file, chunk, 0, chunkBytes, null);
      if (size === 0) break;
      let from = 0;
      for (let to = chunk.indexOf(10); to >= 0 && to < size; to = chunk.indexOf(10, from)) {
        const part = chunk.subarray(from, to);
        if (!take(line, rest.byteLength === 0 ? part : Buffer.concat([rest, part]), false)) return;
        rest = Buffer.alloc(0);
        line += 1;
        from = to + 1;
      }
      // What no record can be is not kept.
      rest = Buffer.concat([rest, chunk.subarray(from, size)]).subarray(0, mostLineBytes);
    }
    if (rest.byteLength > 0) take(line, rest, true);
  } finally {
    closeSync(file);
  }
}

/** Most lines that are looked at to find a file's place in the chain. */
const mostPeeked = 1000;

/** Files of one chain, in the order of what they hold; those that hold no record come last. */
export function inChainOrder(paths: readonly string[]): readonly string[] {
  return paths
    .map((path) => ({ path, first: firstSeq(path) }))
    .sort((a, b) => a.first - b.first)
    .map(({ path }) => path);
}

function firstSeq(path: string): number {
  let first = Number.MAX_SAFE_INTEGER;
  scan(path, (line, bytes) => {
    const seq = seqOf(bytes);
    if (seq !== undefined) first = seq;
    return seq === undefined && line < mostPeeked;
  });
  return first;
}
