import { Buffer } from "node:buffer";

/** How many places of a key are tried from the end before the whole is parsed. */
const maxTries = 8;

/** Farthest from the end that a member is cut out instead of parsing the whole, in bytes. */
const maxCutBytes = 16 * 1024;

/**
 * Reads a top-level member of a JSON object, best when it stands near the end: then nothing before
 * it is parsed.
 * @param json an object, or only the end of a long one
 * @returns the member's value; undefined when there is none or the text is no JSON
 */
export function readLastMember(json: Uint8Array, key: string): unknown {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.byteLength);
  const quoted = quotedKey(key);
  let at = bytes.lastIndexOf(quoted);
  for (let tries = 0; at >= 0 && tries < maxTries && bytes.length - at <= maxCutBytes; tries++) {
    // The rest after a top-level key closes exactly one object; after a deeper one it closes more
    // and does not parse. `\"usage"` would be the end of some string.
    const whole = bytes[at - 1] === 0x5c ? undefined : parse(`{${bytes.toString("utf8", at)}`);
    if (isObject(whole)) return whole[key];
    if (at === 0) return undefined;
    at = bytes.lastIndexOf(quoted, at - 1);
  }
  if (at < 0) return undefined;
  const whole = parse(bytes.toString("utf8"));
  return isObject(whole) && Object.hasOwn(whole, key) ? whole[key] : undefined;
}

/** Keys as they stand in JSON; there are as many as dialects have words for usage. */
const quotedKeys = new Map<string, Buffer>();

function quotedKey(key: string): Buffer {
  const known = quotedKeys.get(key);
  if (known !== undefined) return known;
  const quoted = Buffer.from(JSON.stringify(key));
  quotedKeys.set(key, quoted);
  return quoted;
}

/** Parses JSON; undefined when it is none. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Whether a parsed value has members. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A count that a provider reports: anything but a whole number from 0 counts as 0. */
export function toCount(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}

/** The `message` of an error object, as every vendor writes it. */
export function messageOf(error: unknown): string | undefined {
  return isObject(error) && typeof error.message === "string" ? error.message : undefined;
}
