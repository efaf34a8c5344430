import { isObject } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";

/** Deepest schema that is walked; what is deeper stays as it is. */
const maxDepth = 64;

/** Google's older form of a schema as JSON schema: types in small letters, no `nullable`. */
export function toJsonSchema(schema: JsonObject, depth = 0): JsonObject {
  if (depth > maxDepth) return schema;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "type" && typeof value === "string") {
      const type = value.toLowerCase();
      out.type = schema.nullable === true ? [type, "null"] : type;
    } else if (key === "properties" && isObject(value)) {
      const inner = Object.entries(value).map(([name, one]) => [name, walk(one, depth)]);
      out.properties = Object.fromEntries(inner);
    } else if (key === "items") out.items = walk(value, depth);
    else if (key === "anyOf" && Array.isArray(value)) {
      out.anyOf = value.map((one) => walk(one, depth));
    } else if (key !== "nullable" && key !== "propertyOrdering") out[key] = value;
  }
  return out;
}

function walk(value: unknown, depth: number): unknown {
  return isObject(value) ? toJsonSchema(value, depth + 1) : value;
}
