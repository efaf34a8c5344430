import type { NeutralFeature, NeutralRequest, NeutralUse } from "../contract/neutral.ts";
import type { FieldRules, LimitRule, Told, Translation } from "../contract/translation.ts";
import { isObject } from "../kit/json-member.ts";
import { isGiven, unknownField } from "../kit/json-read.ts";
import { Untranslatable } from "../kit/untranslatable.ts";

/** Longest part of an unknown name that is repeated to the client, in characters. */
const longestName = 64;

/**
 * Judges the fields of a request by the table of its dialect.
 * @throws Untranslatable for one that is refused or not in the table
 */
export function judgeFields(
  body: Readonly<Record<string, unknown>>,
  fields: Translation["fields"],
  told: Told,
): void {
  for (const [path, rules] of Object.entries(fields)) {
    const object = path === "" ? body : body[path];
    if (isObject(object)) judgeObject(object, rules, told, path === "" ? "" : `${path}.`);
  }
}

function judgeObject(
  object: Readonly<Record<string, unknown>>,
  rules: FieldRules,
  told: Told,
  prefix: string,
): void {
  for (const key of Object.keys(object)) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule !== undefined && "as" in rule) continue;
    const value = object[key];
    if (!isGiven(value)) continue;
    if (rule === undefined) {
      throw new Untranslatable(prefix + key.slice(0, longestName), unknownField);
    }
    if (rule.idle?.includes(value) || isEmpty(value)) continue;
    if ("refuse" in rule) throw new Untranslatable(prefix + key, rule.refuse);
    told.dropped.add(prefix + key);
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/**
 * Judges what a request asks for by what the other dialect can hold.
 * @throws Untranslatable for what is refused
 */
export function judgeFeatures(
  request: NeutralRequest,
  fields: Translation["fields"],
  limits: Translation["limits"],
  told: Told,
): void {
  for (const [feature, rule] of Object.entries(limits) as [NeutralFeature, LimitRule][]) {
    const where = placeOf(request, feature, fields);
    if (where === undefined) continue;
    if ("refuse" in rule) throw new Untranslatable(where, rule.refuse);
    ("drop" in rule ? told.dropped : told.changed).add(where);
  }
}

/** Where a request asks for a feature, in its own dialect's words; undefined: it does not. */
function placeOf(
  request: NeutralRequest,
  feature: NeutralFeature,
  fields: Translation["fields"],
): string | undefined {
  const used = request.uses.get(feature as NeutralUse);
  if (used !== undefined) return used;
  const value = (request as unknown as Record<string, unknown>)[feature];
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return undefined;
  for (const [path, rules] of Object.entries(fields)) {
    for (const [key, rule] of Object.entries(rules)) {
      if ("as" in rule && rule.as === feature) return path === "" ? key : `${path}.${key}`;
    }
  }
  return feature;
}
