import type { GenericSchema } from "valibot";
import type { SchemaFacts } from "../kit/schema.ts";

/** The parts of a valibot schema that a walk needs; every schema is one of these. */
export interface WalkedSchema {
  readonly kind: string;
  readonly type: string;
  readonly entries?: Readonly<Record<string, WalkedSchema>>;
  readonly wrapped?: WalkedSchema;
  readonly options?: readonly unknown[];
  readonly item?: WalkedSchema;
  readonly items?: readonly WalkedSchema[];
  readonly value?: WalkedSchema;
  readonly rest?: WalkedSchema;
  readonly getter?: (input: unknown) => WalkedSchema;
  readonly pipe?: readonly WalkedSchema[];
  readonly metadata?: SchemaFacts;
  readonly description?: string;
  readonly default?: unknown;
  readonly requirement?: unknown;
}

const unions = new Set(["union", "variant", "intersect"]);
const lists = new Set(["array", "tuple", "strict_tuple", "loose_tuple", "tuple_with_rest", "set"]);
const open = new Set(["any", "unknown", "custom", "loose_object", "object", "record", "map"]);

export function toWalked(schema: GenericSchema): WalkedSchema {
  return schema as unknown as WalkedSchema;
}

/** The schemas that a value may have to fulfil: wrappers undone, unions taken apart. */
export function alternatives(schemas: readonly WalkedSchema[]): WalkedSchema[] {
  return schemas.flatMap((schema): WalkedSchema[] => {
    if (schema.wrapped !== undefined) return alternatives([schema.wrapped]);
    if (unions.has(schema.type)) return alternatives(schema.options as readonly WalkedSchema[]);
    if (schema.type === "lazy" && schema.getter !== undefined) {
      return alternatives([schema.getter(undefined)]);
    }
    return [schema];
  });
}

/** The schemas of a child by its key; none when the key is not allowed or nothing is known. */
export function childSchemas(schemas: readonly WalkedSchema[], key: string): WalkedSchema[] {
  return alternatives(schemas).flatMap((schema): WalkedSchema[] => {
    const { entries, type, value, item, items, rest } = schema;
    if (entries !== undefined && Object.hasOwn(entries, key)) return [entries[key] as WalkedSchema];
    if (type === "record" && value !== undefined) return [value];
    if (item !== undefined) return [item];
    const found = items?.[Number(key)] ?? rest;
    return found === undefined ? [] : [found];
  });
}

/** The keys that the schemas name. */
export function namedKeys(schemas: readonly WalkedSchema[]): string[] {
  const keys = alternatives(schemas).flatMap(({ entries }) => Object.keys(entries ?? {}));
  return [...new Set(keys)];
}

/** Whether keys that no schema names are for valibot to judge. */
export function takesAnyKey(schemas: readonly WalkedSchema[]): boolean {
  const all = alternatives(schemas);
  return all.some(({ type, rest }) => open.has(type) || rest !== undefined) || !all.some(isMap);
}

/** Valibot takes a list for a map with the keys 0, 1, 2. */
export function wantsMapOnly(schemas: readonly WalkedSchema[]): boolean {
  const all = alternatives(schemas);
  return all.some(isMap) && !all.some(({ type }) => lists.has(type) || type === "any");
}

export function isMap({ entries, type }: WalkedSchema): boolean {
  return entries !== undefined || type === "record";
}

export function isSecret(schemas: readonly WalkedSchema[]): boolean {
  return [...schemas, ...alternatives(schemas)].some((s) => factsOf(s).secret === true);
}

/** What a schema says about itself, the outermost word first. */
export function factsOf(schema: WalkedSchema): SchemaFacts {
  let facts: SchemaFacts = schema.wrapped === undefined ? {} : factsOf(schema.wrapped);
  for (const item of schema.pipe ?? []) {
    if (item.kind === "schema") facts = { ...facts, ...factsOf(item) };
    else if (item.kind !== "metadata") continue;
    else if (item.metadata !== undefined) facts = { ...facts, ...item.metadata };
    else if (item.type === "description" && item.description !== undefined) {
      facts = { ...facts, description: item.description };
    }
  }
  return facts;
}

/** The values of a list of choices. */
export function choicesOf({ type, options, ...more }: WalkedSchema): string[] {
  if (type === "picklist" || type === "enum") return (options ?? []).map(String);
  return type === "literal" ? [String((more as { literal?: unknown }).literal)] : [];
}
