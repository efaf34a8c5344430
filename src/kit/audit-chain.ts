/**
 * The audit log's record: one JSON line, the guide's fields first, then its place in the chain.
 * `mac` signs every byte before it, and `prev` is the `mac` of the record before: whoever changes,
 * removes or moves a line without the key is found out by the next one.
 */
import { Buffer } from "node:buffer";
import { createHmac, createSecretKey, hkdfSync } from "node:crypto";
import { escapeControls, maskText } from "./redact.ts";

/** What happened, before it has a place in the chain. */
export interface AuditEntry {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly type: string;
  readonly provider: string;
  readonly userId: string;
  readonly ip: string;
  readonly result: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
  readonly requestId: string;
}

/** The last record of a chain. */
export interface ChainHead {
  readonly seq: number;
  readonly mac: string;
}

/** Before the first record. */
export const emptyChain: ChainHead = { seq: 0, mac: "0".repeat(64) };

/** What the log tells about itself: gaps, repairs, files that were removed. */
export const ownEvent = "audit_log";

export const auditLimits = {
  /** Longest field as JSON, in bytes. */
  fieldBytes: 1024,
  /** Longest line, in bytes. */
  lineBytes: 8192,
  /** Most fields of `details`. */
  detailFields: 32,
} as const;

/** Signs records and checkpoints; neither signature can stand for the other. */
export interface ChainKey {
  /** @returns 64 hex digits */
  record(text: string | Uint8Array): string;
  /** @returns 64 hex digits */
  checkpoint(text: string): string;
}

/**
 * The keys of a chain, derived from one secret (RFC 5869).
 * @param secret at least 32 bytes, wherever they come from
 */
export function chainKeyOf(secret: Uint8Array): ChainKey {
  const signer = (purpose: string) => {
    const info = `cliproxy audit ${purpose} v1`;
    const key = createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", info, 32)));
    return (text: string | Uint8Array): string =>
      createHmac("sha256", key).update(text).digest("hex");
  };
  return { record: signer("record"), checkpoint: signer("checkpoint") };
}

/** Writes the record that follows `head`, without its line break. */
export function sealRecord(
  entry: AuditEntry,
  head: ChainHead,
  key: ChainKey,
  cache: FieldCache,
): { readonly line: string; readonly head: ChainHead } {
  const seq = head.seq + 1;
  const start =
    `{"timestamp":"${cache.timestamp(entry.atMs)}","event_type":${cache.json(entry.type)}` +
    `,"provider":${cache.json(entry.provider)},"user_id":${cache.json(entry.userId)}` +
    `,"ip":${cache.json(entry.ip)},"result":${cache.json(entry.result)},"details":{`;
  const end = `},"request_id":${idJson(entry.requestId)},"seq":${seq},"prev":"${head.mac}"`;
  const body = start + details(entry.details, cache, start.length + end.length) + end;
  const mac = key.record(body);
  return { line: `${body}${macStart}${mac}"}`, head: { seq, mac } };
}

const macStart = ',"mac":"';
/** Bytes of a line after those that its `mac` signs. */
export const macBytes = macStart.length + 64 + '"}'.length;

/** Room for the mac, and for the field that counts what was left out. */
const reserveBytes = macBytes + 32;

/** No character of a text has more bytes in UTF-8. */
const mostBytes = 3;

/** @param others characters of the rest of the line */
function details(fields: AuditEntry["details"], cache: FieldCache, others: number): string {
  let text = "";
  let count = 0;
  for (const name in fields) {
    text += `${count === 0 ? "" : ","}${cache.json(name)}:${valueJson(fields[name], cache)}`;
    count += 1;
  }
  // What fits even if each character is the longest needs no counting.
  const left = auditLimits.lineBytes - others * mostBytes - reserveBytes;
  const fits = text.length * mostBytes <= left && count <= auditLimits.detailFields;
  return fits ? text : boundedDetails(fields, cache, left);
}

function boundedDetails(fields: AuditEntry["details"], cache: FieldCache, room: number): string {
  let text = "";
  let left = room;
  let dropped = 0;
  let count = 0;
  for (const name in fields) {
    const part = `${text === "" ? "" : ","}${cache.json(name)}:${valueJson(fields[name], cache)}`;
    const size = sizeOf(part);
    count += 1;
    if (size > left || count > auditLimits.detailFields) {
      dropped += 1;
      continue;
    }
    text += part;
    left -= size;
  }
  return dropped === 0 ? text : `${text}${text === "" ? "" : ","}"dropped_fields":${dropped}`;
}

/** UTF-8 bytes; an upper bound where that is no more than a short text can have. */
function sizeOf(text: string): number {
  return text.length <= 64 ? text.length * 3 : Buffer.byteLength(text);
}

function valueJson(value: string | number | boolean | undefined, cache: FieldCache): string {
  if (typeof value === "string") return cache.json(value);
  // As JSON writes them, and much cheaper.
  if (typeof value === "boolean" || Number.isFinite(value)) return String(value);
  return "null";
}

/** Our own ids never repeat, so no cache helps, and hold nothing to mask or escape. */
function idJson(id: string): string {
  return isOwnId(id) ? `"${id}"` : fieldJson(id);
}

function isOwnId(id: string): boolean {
  if (id.length !== 40 || !id.startsWith("req_")) return false;
  for (let i = 4; i < 40; i++) {
    const c = id.charCodeAt(i);
    const isHex = (c >= 0x30 && c <= 0x39) || (c >= 0x61 && c <= 0x66);
    if (!isHex && c !== 0x2d) return false;
  }
  return true;
}

/** As JSON: masked, bounded, and without what moves a cursor or turns the reading direction. */
function fieldJson(text: string): string {
  const { fieldBytes } = auditLimits;
  const isShort = text.length <= fieldBytes;
  let plain = maskText(isShort ? text : text.slice(0, fieldBytes));
  let json = escapeControls(JSON.stringify(plain));
  if (isShort && Buffer.byteLength(json) <= fieldBytes) return json;
  do {
    plain = plain.slice(0, Math.floor(plain.length * 0.9));
    json = escapeControls(JSON.stringify(`${plain}…`));
  } while (Buffer.byteLength(json) > fieldBytes);
  return json;
}

/** Most texts that are remembered, and the longest of them in characters. */
const cacheLimits = { texts: 4096, characters: 128 } as const;

/** Users, providers, models and addresses repeat: each is masked and escaped once. */
export class FieldCache {
  #texts = new Map<string, string>();
  #atMs = Number.NaN;
  #timestamp = "";

  /** ISO 8601; a batch of records has few different ones. */
  timestamp(atMs: number): string {
    if (atMs !== this.#atMs) {
      this.#timestamp = new Date(atMs).toISOString();
      this.#atMs = atMs;
    }
    return this.#timestamp;
  }

  json(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const json = fieldJson(text);
    if (text.length > cacheLimits.characters) return json;
    if (this.#texts.size >= cacheLimits.texts) this.#texts = new Map();
    this.#texts.set(text, json);
    return json;
  }

  get size(): number {
    return this.#texts.size;
  }
}
