import { maskRandom } from "../kit/random-text.ts";
import { alternatives, choicesOf, factsOf, isSecret, type WalkedSchema } from "./schema-walk.ts";
import { nearest } from "./suggest.ts";
import type { ScalarTree } from "./tree.ts";

/** Longest text that is quoted where none belongs, in characters: `yes` or `80a`, but no key. */
const longestOdd = 8;

/**
 * Whether a value may be quoted in a message, a log or an excerpt. One in the wrong place may be a
 * secret that was pasted there, so text is quoted only where a schema takes text, or nearly does.
 */
export function mayQuote(scalar: ScalarTree, schemas: readonly WalkedSchema[]): boolean {
  const { value, variables, text } = scalar;
  if (scalar.isSecret || isSecret(schemas) || variables.length > 0) return false;
  const all = alternatives(schemas).filter(takesScalar);
  if (all.length === 0) return false;
  if (typeof value !== "string") return true;
  if (maskRandom(text) !== text) return false;
  if (text.length <= longestOdd || all.some(takesText)) return true;
  return nearest(text, all.flatMap(choicesOf)) !== undefined;
}

const scalars = new Set(["string", "number", "boolean", "picklist", "enum", "literal", "bigint"]);

/** A duration or a size is written as text, but not as any text. */
function takesText(schema: WalkedSchema): boolean {
  return schema.type === "string" && factsOf(schema).format === undefined;
}

function takesScalar({ type }: WalkedSchema): boolean {
  return scalars.has(type);
}
