import { type GenericSchema, safeParse } from "valibot";
import { alternatives, choicesOf, factsOf, isSecret, type WalkedSchema } from "./schema-walk.ts";

/**
 * A value for the reference: the default, the documented example, or one made from the type.
 * @param path dotted, with example names for `*`
 * @throws Error when the value is refused by its own schema
 */
export function exampleValue(schemas: readonly WalkedSchema[], path: readonly string[]): unknown {
  const [schema] = schemas;
  const value = chosenOrMade(schema, path);
  const refused =
    schema !== undefined &&
    !JSON.stringify(value)?.includes("${") &&
    !safeParse(schema as unknown as GenericSchema, value).success;
  if (!refused) return value;
  throw new Error(`${path.join(".")} needs an example: doc("…", { example: … })`);
}

/** Whether somebody chose the value, so that it is shown as it is. */
export function isChosen(schema: WalkedSchema | undefined): boolean {
  return defaultOf(schema) !== undefined || examplesOf(schema).length > 0;
}

function chosenOrMade(schema: WalkedSchema | undefined, path: readonly string[]): unknown {
  const chosen = defaultOf(schema);
  if (chosen !== undefined) return chosen;
  const [example] = examplesOf(schema);
  if (example !== undefined) return example;
  const [first] = schema === undefined ? [] : alternatives([schema]);
  return first === undefined ? "text" : made(first, path, factsOf(schema as WalkedSchema).format);
}

function examplesOf(schema: WalkedSchema | undefined): readonly unknown[] {
  if (schema === undefined) return [];
  const { examples } = factsOf(schema);
  return examples ?? alternatives([schema]).flatMap((s) => factsOf(s).examples ?? []);
}

/** The default, unless it is empty: that shows nobody how it is used. */
function defaultOf(schema: WalkedSchema | undefined): unknown {
  const given = schema?.default;
  const value = typeof given === "function" ? (given as () => unknown)() : given;
  const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
  return isEmpty || value === null ? undefined : value;
}

function made(schema: WalkedSchema, path: readonly string[], format: string | undefined): unknown {
  if (isSecret([schema])) {
    return `\${${path.slice(-2).join("_").toUpperCase().replace(/\W/g, "_")}}`;
  }
  const { entries, item, type, value } = schema;
  if (format === "duration") return "30s";
  if (format === "bytes") return "1MiB";
  if (format === "port") return 8080;
  if (entries !== undefined) {
    const all = Object.entries(entries).map(
      ([k, s]) => [k, chosenOrMade(s, [...path, k])] as const,
    );
    return Object.fromEntries(all);
  }
  if (type === "record") return { name: chosenOrMade(value, [...path, "name"]) };
  if (item !== undefined) return [chosenOrMade(item, path)];
  const [choice] = choicesOf(schema);
  if (choice !== undefined) return choice;
  if (type === "number") return leastOf(schema);
  return type === "boolean" ? false : "text";
}

function leastOf({ pipe = [] }: WalkedSchema): number {
  const bound = pipe.find((item) => item.type === "min_value")?.requirement;
  return typeof bound === "number" ? bound : 1;
}
