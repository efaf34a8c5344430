import { Buffer } from "node:buffer";
import { basename, dirname, join } from "node:path";
import {
  auditLimits,
  type ChainHead,
  type ChainKey,
  emptyChain,
} from "../../src/kit/audit-chain.ts";
import { readCheckpoints } from "../../src/kit/audit-checkpoint.ts";
import { isLogName } from "../../src/kit/audit-files.ts";
import { readRecord } from "../../src/kit/audit-record.ts";
import type { Disk } from "./disk.ts";

/** Where a chain goes on after a start. */
export interface ChainEnd {
  readonly head: ChainHead;
  /** Bytes after the last line break of the current file: a write that was cut off. */
  readonly tornBytes: number;
  /** Records that a checkpoint has seen, and that no file holds. */
  readonly missing: number;
  /** The last whole line was changed, or not written with this key. */
  readonly isForeign: boolean;
}

/** So much of a file's end is read to find its last record, in bytes. */
export const tailBytes = 8 * (auditLimits.lineBytes + 1);
/** So much of the checkpoints' end is read, in bytes. */
const checkpointBytes = 4096;

/** Finds the end of the chain in the log, in those it was rotated to, and in the checkpoints. */
export function findChainEnd(
  path: string,
  checkpointPath: string,
  key: ChainKey,
  disk: Disk,
): ChainEnd {
  const own = readEnd(path, key, disk);
  const dir = dirname(path);
  const others = disk
    .list(dir)
    .filter((name) => isLogName(basename(path), name) && name !== basename(path))
    .map((name) => readEnd(join(dir, name), key, disk).head);
  const inFiles = [own.head, ...others].reduce(later);
  const tail = readTail(checkpointPath, checkpointBytes, disk).toString("latin1");
  const seen = readCheckpoints(tail, key).signed.reduce<ChainHead>(later, emptyChain);
  const { tornBytes, isForeign } = own;
  const missing = Math.max(0, seen.seq - inFiles.seq);
  return { head: later(inFiles, seen), tornBytes, missing, isForeign };
}

function later(a: ChainHead, b: ChainHead): ChainHead {
  return b.seq > a.seq ? { seq: b.seq, mac: b.mac } : a;
}

function readEnd(
  path: string,
  key: ChainKey,
  disk: Disk,
): { readonly head: ChainHead; readonly tornBytes: number; readonly isForeign: boolean } {
  const tail = readTail(path, tailBytes, disk);
  const end = tail.lastIndexOf(0x0a);
  const tornBytes = tail.byteLength - end - 1;
  const open = tornBytes === 0 ? undefined : readRecord(tail.subarray(end + 1), key);
  // Only its line break was cut off.
  if (open !== undefined) return { head: open, tornBytes: 0, isForeign: false };
  let isForeign = false;
  for (let to = end; to > 0; ) {
    const from = tail.lastIndexOf(0x0a, to - 1) + 1;
    const record = readRecord(tail.subarray(from, to), key);
    if (record !== undefined) return { head: record, tornBytes, isForeign };
    isForeign = true;
    to = from - 1;
  }
  return { head: emptyChain, tornBytes, isForeign };
}

/** The end of a file; nothing where there is none, or none that can be read. */
function readTail(path: string, bytes: number, disk: Disk): Buffer {
  try {
    const state = disk.stateAt(path);
    if (state === undefined || !state.isFile) return Buffer.alloc(0);
    const from = Math.max(0, state.size - bytes);
    const read = disk.read(path, from, Math.min(bytes, state.size));
    return Buffer.from(read.buffer, read.byteOffset, read.byteLength);
  } catch {
    return Buffer.alloc(0);
  }
}
