import { toJsonSchema as convert, type JsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import { type Claimant, type ClaimNode, compileClaims } from "./claims.ts";
import { exampleLines } from "./example-lines.ts";
import { childSchemas, factsOf, isSecret, type WalkedSchema } from "./schema-walk.ts";

// Only build.ts imports this file: the converter is no dependency of the program.

type Properties = Record<string, JsonSchema>;
type Examples = NonNullable<JsonSchema["examples"]>;

/** Any scalar may also be a variable, whatever its type. */
const variable: JsonSchema = { type: "string", pattern: "\\$\\{" };
const variableRef: JsonSchema = { $ref: "#/$defs/variable" };

/** The JSON Schema (draft 2020-12) of all that the claimants read, for editors. */
export function toJsonSchema(claimants: readonly Claimant[]): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration of cliproxy",
    ...nodeSchema(compileClaims(claimants)),
    $defs: { variable },
  };
}

/**
 * The reference: every key with its description and its default or an example. All is commented
 * out; without the `#` before each key it is a configuration that loads.
 * @throws Error when a key needs an example that only its author can give
 */
export function toExampleYaml(claimants: readonly Claimant[]): string {
  return `${exampleLines(compileClaims(claimants)).join("\n")}\n`;
}

function nodeSchema(node: ClaimNode): JsonSchema {
  const { claim } = node;
  if (claim === undefined) {
    return { type: ["object", "null"], additionalProperties: false, ...below(node) };
  }
  const [first, ...others] = claim.schemas.map(leafSchema);
  const own = others.length === 0 ? (first ?? {}) : { anyOf: [first ?? {}, ...others] };
  if (node.names.size === 0 && node.star === undefined) return own;
  return merge(own, node);
}

function below(node: ClaimNode): JsonSchema {
  const properties: Properties = {};
  for (const [name, child] of node.names) {
    properties[name] = nodeSchema(child);
    if (child.claim === undefined || !isSecret(child.claim.schemas)) continue;
    properties[`${name}_file`] = twin(name);
  }
  return {
    ...(node.names.size > 0 && { properties }),
    ...(node.star !== undefined && { additionalProperties: nodeSchema(node.star) }),
  };
}

/** Adds what others own below a value to the schema of its owner. */
function merge(own: JsonSchema, node: ClaimNode): JsonSchema {
  if (own.items !== undefined && node.star !== undefined) {
    return { ...own, items: addProperties(own.items as JsonSchema, below(node.star)) };
  }
  return addProperties(own, below(node));
}

function addProperties(own: JsonSchema, more: JsonSchema): JsonSchema {
  const properties = { ...own.properties, ...more.properties };
  return { ...own, ...more, properties };
}

function twin(key: string): JsonSchema {
  return { type: "string", description: `Path of a file that holds \`${key}\`, instead of it.` };
}

function leafSchema(schema: WalkedSchema): JsonSchema {
  const { $schema: _, ...made } = convert(schema as unknown as GenericSchema, {
    target: "draft-2020-12",
    typeMode: "input",
    errorMode: "ignore",
    overrideSchema: ({ valibotSchema, jsonSchema }) => {
      const walked = valibotSchema as unknown as WalkedSchema;
      return walked.entries === undefined ? null : withTwins(walked, walked.entries, jsonSchema);
    },
  });
  return orVariable(describe(schema, made));
}

/** The converter stops at the first transformation, and descriptions stand after it. */
function describe(schema: WalkedSchema, made: JsonSchema): JsonSchema {
  const { description, examples } = factsOf(schema);
  return {
    ...made,
    ...(description !== undefined && { description }),
    ...(examples !== undefined && { examples: [...examples] as Examples }),
  };
}

function withTwins(
  schema: WalkedSchema,
  entries: Readonly<Record<string, WalkedSchema>>,
  made: JsonSchema,
): JsonSchema {
  const own = made.properties as Properties | undefined;
  const described = Object.entries(entries).map(([key, entry]) => {
    return [key, describe(entry, own?.[key] ?? {})] as const;
  });
  const secrets = Object.keys(entries).filter((key) => isSecret(childSchemas([schema], key)));
  const required = (made.required ?? []).filter((key) => !secrets.includes(key));
  const needed = (made.required ?? []).filter((key) => secrets.includes(key));
  const either = needed.map((key) => ({
    oneOf: [{ required: [key] }, { required: [`${key}_file`] }],
  }));
  const twins = Object.fromEntries(secrets.map((key) => [`${key}_file`, twin(key)]));
  const properties = { ...Object.fromEntries(described), ...twins };
  return { ...made, properties, required, ...(either.length > 0 && { allOf: either }) };
}

/** Lets `"${NAME}"` stand for every scalar that could otherwise not hold it. */
function orVariable(given: JsonSchema): JsonSchema {
  const schema = withoutOwnWords(given);
  const { properties, items, additionalProperties, anyOf, ...more } = schema;
  if (typeof schema.type === "string" && schema.type !== "object" && schema.type !== "array") {
    const { description, examples, default: fallback, ...rest } = schema;
    const limits = Object.keys(rest).filter((key) => !/^(type|minLength|maxLength)$/.test(key));
    if (schema.type === "string" && limits.length === 0) return schema;
    const about = {
      ...(description !== undefined && { description }),
      ...(examples !== undefined && { examples }),
      ...(fallback !== undefined && { default: fallback }),
    };
    return { ...about, anyOf: [rest, variableRef] };
  }
  if (schema.enum !== undefined || schema.const !== undefined) {
    const { description, ...rest } = schema;
    return { ...(description !== undefined && { description }), anyOf: [rest, variableRef] };
  }
  return {
    ...more,
    ...(properties !== undefined && { properties: mapValues(properties as Properties) }),
    ...(items !== undefined && { items: orVariable(items as JsonSchema) }),
    ...(anyOf !== undefined && { anyOf: (anyOf as JsonSchema[]).map(orVariable) }),
    ...(additionalProperties !== undefined && {
      additionalProperties:
        typeof additionalProperties === "object"
          ? orVariable(additionalProperties)
          : additionalProperties,
    }),
  };
}

/** Editors know neither our formats nor what is secret; their `duration` is that of ISO 8601. */
function withoutOwnWords(schema: JsonSchema): JsonSchema {
  const { format, secret: _, ...rest } = schema as JsonSchema & { secret?: boolean };
  if (format === "duration") return { ...rest, pattern: "^\\d+(ms|s|m|h|d)$|\\$\\{" };
  if (format === "bytes") return { ...rest, pattern: "^\\d+([KMG]i?)?B$|\\$\\{", minimum: 1 };
  return format === undefined || format === "port" ? rest : { ...rest, format };
}

function mapValues(properties: Properties): Properties {
  return Object.fromEntries(Object.entries(properties).map(([k, s]) => [k, orVariable(s)]));
}
