import { isObject } from "./json-member.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Deepest schema that is walked; a deeper one goes up as it is. */
const maxDepth = 64;

/** Keywords that hold one schema, many by name, and a list of them. */
const single = new Set(["items", "not", "additionalProperties", "contains"]);
const named = new Set(["properties", "$defs", "definitions", "patternProperties"]);
const listed = new Set(["anyOf", "allOf", "oneOf", "prefixItems"]);

/**
 * A schema without the keywords that a provider does not take.
 * @param drop keywords left out wherever they stand
 * @param close whether objects must say that they hold nothing else
 * @returns the schema, and the keywords that were left out
 */
export function limitSchema(
  schema: Schema,
  drop: ReadonlySet<string>,
  close: boolean,
): { readonly schema: Schema; readonly dropped: ReadonlySet<string> } {
  const dropped = new Set<string>();
  const walk = (value: unknown, depth: number): unknown => {
    if (!isObject(value) || depth > maxDepth) return value;
    const out: Record<string, unknown> = {};
    for (const [key, member] of Object.entries(value)) {
      if (drop.has(key)) dropped.add(key);
      else if (single.has(key)) out[key] = walk(member, depth + 1);
      else if (listed.has(key) && Array.isArray(member)) {
        out[key] = member.map((one) => walk(one, depth + 1));
      } else if (named.has(key) && isObject(member)) {
        out[key] = Object.fromEntries(
          Object.entries(member).map(([name, one]) => [name, walk(one, depth + 1)]),
        );
      } else out[key] = member;
    }
    const isObjectSchema = out.type === "object" || isObject(out.properties);
    if (close && isObjectSchema && out.additionalProperties !== false) {
      if (out.additionalProperties !== undefined) dropped.add("additionalProperties");
      out.additionalProperties = false;
    }
    return out;
  };
  return { schema: walk(schema, 0) as Schema, dropped };
}
