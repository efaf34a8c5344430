import { toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import type { AdminOperation } from "../contract/admin.ts";
import type { ErrorCode } from "../contract/errors.ts";
import { errorTable } from "../errors.ts";
import { adminRoot } from "./mount.ts";

// Only build.ts imports this file: the converter is no dependency of the program.

/** What any operation may refuse. */
const usual: readonly ErrorCode[] = [
  ...([
    "bad_request",
    "unauthenticated",
    "not_allowed",
    "address_not_allowed",
    "not_found",
  ] as const),
  ...(["method_not_allowed", "too_many_failures", "internal", "overloaded"] as const),
];
/** What a write may refuse beside that. */
const ofBodies: readonly ErrorCode[] = [
  ...(["body_too_large", "body_timeout", "unsupported_media_type", "unprocessable"] as const),
];

/** The OpenAPI 3.1 document of the management API. */
export function toOpenapi(operations: readonly AdminOperation[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) {
    const path = adminRoot + operation.path;
    const known = paths[path] ?? {};
    paths[path] = { ...known, [operation.method.toLowerCase()]: toItem(operation) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Management API of cliproxy", version },
    security: [{ bearer: [] }, { header: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        header: { type: "apiKey", in: "header", name: "X-Management-Key" },
      },
      schemas: { Error: errorSchema },
    },
  };
}

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "request_id"],
      properties: {
        code: { type: "string", enum: Object.keys(errorTable) },
        message: { type: "string" },
        request_id: { type: "string" },
      },
    },
  },
};

function toItem(operation: AdminOperation): object {
  const { id, summary, body } = operation;
  const parameters = [...pathParameters(operation), ...queryParameters(operation)];
  return {
    operationId: id,
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: true, content: jsonOf(body, "input") } }),
    responses: responses(operation),
  };
}

function pathParameters({ path }: AdminOperation): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters({ query }: AdminOperation): object[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = convert(query, "input") as {
    properties?: Record<string, object>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function responses({ status, reply, body, refusals }: AdminOperation): object {
  const codes = [...usual, ...(body === undefined ? [] : ofBodies), ...refusals];
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status: of } = errorTable[code];
    byStatus.set(of, [...(byStatus.get(of) ?? []), code]);
  }
  const good = {
    description: "Done.",
    ...(reply !== undefined && { content: jsonOf(reply, "output") }),
  };
  const bad = [...byStatus].map(([of, list]) => [
    String(of),
    {
      description: list.sort().join(", "),
      content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
    },
  ]);
  return Object.fromEntries([[String(status), good], ...bad]);
}

function jsonOf(schema: GenericSchema, typeMode: "input" | "output"): object {
  return { "application/json": { schema: convert(schema, typeMode) } };
}

function convert(schema: GenericSchema, typeMode: "input" | "output"): object {
  const { $schema: _dialect, ...rest } = toJsonSchema(schema, { typeMode, errorMode: "ignore" });
  return rest;
}
