import { isObject } from "./json-member.ts";
import { Untranslatable } from "./untranslatable.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** @throws Untranslatable when it is none */
export function toObject(value: unknown, field: string): JsonObject {
  if (isObject(value)) return value;
  throw new Untranslatable(field, "must be an object");
}

/** @throws Untranslatable when it is none */
export function toList(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  throw new Untranslatable(field, "must be a list");
}

/** @throws Untranslatable when it is none */
export function toText(value: unknown, field: string): string {
  if (typeof value === "string") return value;
  throw new Untranslatable(field, "must be a string");
}

/**
 * A string; undefined where it is absent or null.
 * @throws Untranslatable when it is something else
 */
export function mayText(value: unknown, field: string): string | undefined {
  return value === undefined || value === null ? undefined : toText(value, field);
}

/**
 * A number; undefined where it is absent or null.
 * @throws Untranslatable when it is something else
 */
export function mayNumber(value: unknown, field: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return value;
  throw new Untranslatable(field, "must be a number");
}

/**
 * True or false; undefined where it is absent or null.
 * @throws Untranslatable when it is something else
 */
export function mayFlag(value: unknown, field: string): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  throw new Untranslatable(field, "must be true or false");
}

/**
 * A list of strings, of which a single one may stand alone; undefined where it is absent or null.
 * @throws Untranslatable when it is something else
 */
export function mayTexts(value: unknown, field: string): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return [value];
  return toList(value, field).map((item, i) => toText(item, `${field}[${i}]`));
}

/** Whether a value says something: neither absent nor null. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/**
 * Refuses members that are not known: what can't be carried must not get lost.
 * @throws Untranslatable
 */
export function onlyKeys(value: JsonObject, known: ReadonlySet<string>, field: string): void {
  for (const key in value) {
    if (known.has(key) || !isGiven(value[key])) continue;
    throw new Untranslatable(`${field}.${key.slice(0, longestName)}`, unknownField);
  }
}

/** Longest part of an unknown name that is repeated to the client, in characters. */
const longestName = 64;

/** What is said of a field that no table has. */
export const unknownField =
  "is not known to this proxy, and the provider of that model speaks another API: leave it out";
