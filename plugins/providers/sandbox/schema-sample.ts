import { isObject, toCount } from "../../../src/kit/json-member.ts";

/** Deepest nesting of what is made up. */
const maxDepth = 16;

/** Most values that are made up: a schema may ask for more than a process can hold. */
export const maxValues = 256;

/**
 * Makes up a value that fits a JSON schema, in Google's spelling or the standard's: clients that
 * ask for JSON try again and again when they get plain text.
 * @param text what its strings say
 */
export function sampleOf(schema: unknown, text: string): unknown {
  return make(schema, { text, left: maxValues }, 0);
}

interface Making {
  readonly text: string;
  /** How many values may still be made. */
  left: number;
}

function make(schema: unknown, making: Making, depth: number): unknown {
  if (!isObject(schema) || depth >= maxDepth || making.left-- <= 0) return null;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0] as unknown;
  const choices = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(choices)) return make(choices[0], making, depth + 1);
  const type: unknown = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (String(type ?? "object").toLowerCase()) {
    case "string":
      return making.text;
    case "boolean":
      return false;
    case "integer":
    case "number":
      return toCount(schema.minimum) || 1;
    case "array":
      return toCount(Number(schema.minItems)) > 0 ? [make(schema.items, making, depth + 1)] : [];
    case "object":
      return makeObject(schema.properties, making, depth);
    default:
      return null;
  }
}

function makeObject(properties: unknown, making: Making, depth: number): object {
  const made: [string, unknown][] = [];
  for (const [key, schema] of Object.entries(isObject(properties) ? properties : {})) {
    if (making.left <= 0) break;
    made.push([key, make(schema, making, depth + 1)]);
  }
  return Object.fromEntries(made);
}
