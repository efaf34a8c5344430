import { Buffer, isUtf8 } from "node:buffer";
import { type FactKeys, findPlain, fold, isPlain } from "./fact-keys.ts";

/** Every reason to refuse a body, with the sentence for the client. */
export const factProblems = {
  bom: "The body starts with a byte order mark.",
  invalid_utf8: "The body is not valid UTF-8.",
  not_an_object: "The body is not a JSON object.",
  bad_token: "The body holds something that JSON does not allow there.",
  bad_string: "A string holds an unescaped control character or an unknown escape.",
  unbalanced: "A string, object or array is not closed, or is closed by the wrong bracket.",
  too_deep: "Objects and arrays are nested too deeply.",
  too_many_keys: "The object has too many keys.",
  trailing_bytes: "Something follows the JSON object.",
  duplicate_key: "A key is given twice.",
  case_variant_key: "A key differs from a known one only in ways that some parsers ignore.",
  ambiguous_value: "A value holds a character or a number that parsers read differently.",
} as const;

export type FactProblem = keyof typeof factProblems;

/** A top-level value (undefined for an object or array) and its bytes, quotes included. */
export interface Fact {
  readonly value: string | number | boolean | null | undefined;
  readonly start: number;
  readonly end: number;
}

export type FactScan<Name extends string = string> =
  | { readonly ok: true; readonly facts: ReadonlyMap<Name, Fact> }
  | { readonly ok: false; readonly problem: FactProblem; readonly offset: number };

/** The deepest nesting accepted, the outermost object included. */
export const maxDepth = 512;

/** The most top-level keys accepted: 1 MB full of them took 23 ms, five times a parse. */
export const maxKeys = 1024;

/** Of the plain typed array: Buffer's own takes longer to decide what it was asked. */
const { indexOf } = Uint8Array.prototype;

const control = /[\x00-\x1f]/;

// The bracket that closes each open level; shared, since a scan never yields.
const closers = new Uint8Array(maxDepth + 1);

interface Scanner {
  readonly bytes: Buffer;
  readonly keys: FactKeys;
  readonly facts: Map<string, Fact>;
  keyCount: number;
  /** The fact whose value comes next. */
  name: string | undefined;
  /** Set by the helper that returned -1. */
  problem: FactProblem;
  offset: number;
}

/**
 * Checks that a body is one JSON object and reads its top-level facts, without a parse.
 * @param body the bytes that go upstream
 * @param keys the keys to read, each allowed once and in its exact spelling
 */
export function scanFacts<Name extends string>(
  body: Uint8Array,
  keys: FactKeys<Name>,
): FactScan<Name> {
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) return refuse("bom", 0);
  if (!isUtf8(body)) return refuse("invalid_utf8", 0);
  const facts = new Map<Name, Fact>();
  const s: Scanner = {
    bytes: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    keys,
    facts,
    keyCount: 0,
    name: undefined,
    problem: "bad_token",
    offset: 0,
  };
  const end = objectEnd(s, skipSpace(s.bytes, 0));
  if (end < 0) return refuse(s.problem, s.offset);
  const rest = skipSpace(s.bytes, end);
  return rest < body.length ? refuse("trailing_bytes", rest) : { ok: true, facts };
}

/** The sentence for the client, with the byte that it is about. */
export function problemText(problem: FactProblem, offset: number): string {
  return `${factProblems[problem]} (byte ${offset})`;
}

// RFC 8259's grammar at every depth. Only what stands inside strings below depth 1 goes unchecked
// (wrong escapes, raw control characters): it can neither end a string nor touch a fact.
function objectEnd(s: Scanner, at: number): number {
  const { bytes } = s;
  if (bytes[at] !== 0x7b) return fail(s, "not_an_object", at);
  let i = at;
  let start = at;
  let depth = 0;
  for (;;) {
    if (depth > 0 && closers[depth] === 0x7d) {
      i = keyEnd(s, i, depth);
      if (i < 0) return -1;
    }
    if (depth === 1) start = i;
    const first = bytes[i];
    if (first === 0x7b || first === 0x5b) {
      if (depth === maxDepth) return fail(s, "too_deep", i);
      depth++;
      closers[depth] = first + 2;
      i = skipSpace(bytes, i + 1);
      if (bytes[i] !== first + 2) continue;
    } else {
      i = first === 0x22 ? stringEnd(s, i + 1) : scalarEnd(s, i);
      if (i < 0) return -1;
    }
    for (;;) {
      if (depth === 1 && !takeFact(s, start, i)) return -1;
      i = skipSpace(bytes, i);
      const next = bytes[i];
      if (next === 0x2c) {
        i = skipSpace(bytes, i + 1);
        break;
      }
      if (next !== closers[depth]) {
        return next === 0x7d || next === 0x5d ? fail(s, "unbalanced", i) : unexpected(s, i);
      }
      i++;
      depth--;
      if (depth === 0) return i;
    }
  }
}

/** Reads `"key" :` and returns where its value starts. */
function keyEnd(s: Scanner, at: number, depth: number): number {
  if (s.bytes[at] !== 0x22) return unexpected(s, at);
  const end = stringEnd(s, at + 1);
  if (end < 0 || (depth === 1 && !takeKey(s, at, end))) return -1;
  const colon = skipSpace(s.bytes, end);
  return s.bytes[colon] === 0x3a ? skipSpace(s.bytes, colon + 1) : unexpected(s, colon);
}

function takeKey(s: Scanner, start: number, end: number): boolean {
  if (++s.keyCount > maxKeys) return fail(s, "too_many_keys", start) > 0;
  s.name = undefined;
  if (isPlain(s.bytes, start + 1, end - 1)) {
    const found = findPlain(s.keys, s.bytes, start + 1, end - 1);
    if (found === "variant") return fail(s, "case_variant_key", start) > 0;
    s.name = found?.name;
  } else {
    const key = readString(s, start, end);
    if (key === undefined) return false;
    s.name = s.keys.exact.get(key);
    if (s.name === undefined && s.keys.folded.has(fold(key))) {
      return fail(s, "case_variant_key", start) > 0;
    }
  }
  return s.name === undefined || !s.facts.has(s.name) || fail(s, "duplicate_key", start) > 0;
}

function takeFact(s: Scanner, start: number, end: number): boolean {
  const first = s.bytes[start];
  let value: Fact["value"];
  if (first === 0x22) {
    if (s.name === undefined && isHarmless(s.bytes, start + 1, end - 1)) return true;
    value = readString(s, start, end);
    if (value === undefined) return false;
  }
  if (s.name === undefined) return true;
  if (first === 0x74 || first === 0x66) value = first === 0x74;
  else if (first === 0x6e) value = null;
  else if (first !== 0x22 && first !== 0x7b && first !== 0x5b) {
    value = readNumber(s.bytes, start, end);
  }
  const isText = typeof value === "string" && s.keys.texts.has(s.name);
  if (!isText && isAmbiguous(value, end - start)) return fail(s, "ambiguous_value", start) > 0;
  s.facts.set(s.name, { value, start, end });
  s.name = undefined;
  return true;
}

/** A short string without escapes and control characters: it is right as it stands. */
function isHarmless(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from > 64) return false;
  for (let i = from; i < to; i++) {
    const c = bytes[i] as number;
    if (c < 0x20 || c === 0x5c) return false;
  }
  return true;
}

/** Whole numbers, which nearly all are, need no string; 15 digits are exact. */
function readNumber(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9 || end - start > 15) {
      return Number(bytes.toString("latin1", start, end));
    }
    value = value * 10 + digit;
  }
  return value;
}

// C parsers stop at NUL; lone surrogates and integers past 2^53 come out differently everywhere.
function isAmbiguous(value: Fact["value"], size: number): boolean {
  // Both need an escape, which leaves a trace in the length; long plain text skips the slow test.
  if (typeof value === "string") return value.length < size - 2 && /[\0\p{Surrogate}]/u.test(value);
  return typeof value === "number" && !(Math.abs(value) <= Number.MAX_SAFE_INTEGER);
}

/** Decodes a string that starts and ends with its quotes; undefined if an escape is wrong. */
function readString(s: Scanner, start: number, end: number): string | undefined {
  const text = s.bytes.toString("utf8", start + 1, end - 1);
  if (control.test(text)) {
    fail(s, "bad_string", start);
    return undefined;
  }
  if (!text.includes("\\")) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    fail(s, "bad_string", start);
    return undefined;
  }
}

/** Returns where a string ends, given where its text starts. */
function stringEnd(s: Scanner, at: number): number {
  const { bytes } = s;
  let i = at;
  // Most strings are short keys and tags, for which a native call costs more than it saves.
  for (const stop = at + 16; i < stop; i++) {
    const c = bytes[i] as number;
    if (c === 0x22) return i + 1;
    if (c === 0x5c) break;
    if (c < 0x20) return fail(s, "bad_string", i);
  }
  for (;;) {
    const quote = indexOf.call(bytes, 0x22, i);
    if (quote < 0) return fail(s, "unbalanced", bytes.length);
    i = quote + 1;
    let before = quote - 1;
    while (bytes[before] === 0x5c) before--;
    if (((quote - before) & 1) === 1) return i;
  }
}

/** Returns where a number, `true`, `false` or `null` ends. */
function scalarEnd(s: Scanner, at: number): number {
  const { bytes } = s;
  const first = bytes[at];
  if (first === 0x74) return wordEnd(s, at, "true");
  if (first === 0x66) return wordEnd(s, at, "false");
  if (first === 0x6e) return wordEnd(s, at, "null");
  const whole = first === 0x2d ? at + 1 : at;
  let i = bytes[whole] === 0x30 ? whole + 1 : digitsEnd(bytes, whole);
  if (i > whole && bytes[i] === 0x2e) {
    const fraction = digitsEnd(bytes, i + 1);
    i = fraction > i + 1 ? fraction : whole;
  }
  if (i > whole && (bytes[i] === 0x65 || bytes[i] === 0x45)) {
    const sign = bytes[i + 1];
    const from = sign === 0x2b || sign === 0x2d ? i + 2 : i + 1;
    const power = digitsEnd(bytes, from);
    i = power > from ? power : whole;
  }
  return i > whole ? i : unexpected(s, at);
}

function wordEnd(s: Scanner, at: number, word: string): number {
  for (let i = 1; i < word.length; i++) {
    if (s.bytes[at + i] !== word.charCodeAt(i)) return unexpected(s, at + i);
  }
  return at + word.length;
}

function digitsEnd(bytes: Uint8Array, at: number): number {
  let i = at;
  while (((bytes[i] as number) ^ 0x30) <= 9) i++;
  return i;
}

function skipSpace(bytes: Uint8Array, at: number): number {
  let i = at;
  for (;;) {
    const c = bytes[i] as number;
    if (c !== 0x20 && (c > 0x20 || (c !== 0x0a && c !== 0x0d && c !== 0x09))) return i;
    i++;
  }
}

function unexpected(s: Scanner, at: number): -1 {
  return fail(s, at < s.bytes.length ? "bad_token" : "unbalanced", at);
}

/** Records why a helper gave up; compare with 0 for a boolean. */
function fail(s: Scanner, problem: FactProblem, offset: number): -1 {
  s.problem = problem;
  s.offset = offset;
  return -1;
}

function refuse(problem: FactProblem, offset: number): FactScan<never> {
  return { ok: false, problem, offset };
}
