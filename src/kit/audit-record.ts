import { Buffer } from "node:buffer";
import { type ChainHead, type ChainKey, macBytes, ownEvent } from "./audit-chain.ts";

/** A line of an audit log that was signed by the key. */
export interface ReadRecord extends ChainHead {
  readonly prev: string;
}

/** The end of every record; its quotes can't stand in a string, where they are escaped. */
const place = /,"seq":(\d{1,16}),"prev":"([0-9a-f]{64})","mac":"([0-9a-f]{64})"\}$/;
const placeBytes = macBytes + ',"seq":,"prev":""'.length + 16 + 64;

/**
 * Reads a record's place in the chain.
 * @param line its bytes, without the line break: other bytes may decode to the same text
 * @returns undefined when it is no record, or not one of this key
 */
export function readRecord(line: Uint8Array, key: ChainKey): ReadRecord | undefined {
  const found = placeOf(line);
  if (found === null) return undefined;
  const [, seq = "", prev = "", mac = ""] = found;
  if (key.record(line.subarray(0, line.byteLength - macBytes)) !== mac) return undefined;
  return { seq: Number(seq), prev, mac };
}

/** The number that a line claims to have in its chain, signed or not. */
export function seqOf(line: Uint8Array): number | undefined {
  const seq = placeOf(line)?.[1];
  return seq === undefined ? undefined : Number(seq);
}

function placeOf(line: Uint8Array): RegExpExecArray | null {
  const tail = Buffer.from(line.subarray(Math.max(0, line.byteLength - placeBytes)));
  return place.exec(tail.toString("latin1"));
}

/** What the log tells about itself. */
export interface OwnNote {
  readonly result: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const ownMark = Buffer.from(`"event_type":"${ownEvent}"`);

/** Reads what a record that is known to be authentic tells about the log; undefined for others. */
export function readOwnNote(line: Uint8Array): OwnNote | undefined {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  if (!bytes.includes(ownMark)) return undefined;
  const record = JSON.parse(bytes.toString("utf8")) as { event_type: string } & OwnNote;
  return record.event_type === ownEvent ? record : undefined;
}
