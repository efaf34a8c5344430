import type { BaseIssue } from "valibot";
import { mayQuote } from "./quotable.ts";
import { clip } from "./reading.ts";
import { alternatives, choicesOf, factsOf, isSecret, type WalkedSchema } from "./schema-walk.ts";
import { nearest } from "./suggest.ts";
import { kindName, type ScalarTree, type Tree } from "./tree.ts";

export type Issue = BaseIssue<unknown>;
export interface Wording {
  readonly message: string;
  readonly mend: string;
}

const kinds: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  tuple: "a list",
  object: "a map",
  strict_object: "a map",
  loose_object: "a map",
  record: "a map",
  integer: "a whole number",
  safe_integer: "a whole number",
  finite: "a finite number",
  url: "a URL",
  ip: "an IP address",
  ipv4: "an IPv4 address",
  ipv6: "an IPv6 address",
  email: "an email address",
  iso_date: "a date such as 2027-01-31",
  iso_date_time: "a time such as 2027-01-31T12:00",
  iso_timestamp: "a time such as 2027-01-31T12:00:00Z",
  non_empty: "something that is not empty",
};

/** What counts in the limits of the length of something. */
const bounds: Readonly<Record<string, readonly [before: string, after: string]>> = {
  min_value: ["at least ", ""],
  max_value: ["at most ", ""],
  gt_value: ["more than ", ""],
  lt_value: ["less than ", ""],
  min_length: ["at least ", " long"],
  max_length: ["at most ", " long"],
  length: ["exactly ", " long"],
};

const formats: Readonly<Record<string, readonly [kind: string, mend: string]>> = {
  duration: ["a duration", "write a whole number and ms, s, m, h or d, such as `30s`"],
  bytes: ["a size", "write `64KiB`, `10MB`, or a whole number of bytes above 0"],
  port: ["a port", "write a whole number from 0 to 65535"],
};

/**
 * Our own words for an issue of valibot, whose words hold the value.
 * @param tree what stands in the file
 * @param schemas what is known of the place
 */
export function wordIssue(issue: Issue, tree: Tree, schemas: readonly WalkedSchema[]): Wording {
  const facts = [...schemas, ...alternatives(schemas)].map(factsOf);
  const format = facts.find((f) => f.format !== undefined)?.format;
  const [kind, formatMend] = formats[format ?? ""] ?? [];
  const custom = customMessage(issue);
  const mend = formatMend ?? mendFor(issue, tree, schemas);
  if (custom !== undefined) return { message: custom, mend };
  const expected = kind ?? expectedBy(issue, schemas);
  return { message: `must be ${expected}${shown(tree, schemas)}`, mend };
}

/** The words that the author of the schema chose. */
export function customMessage({ message }: Issue): string | undefined {
  return /^Invalid [^:]*: (Expected|Received) /.test(message) ? undefined : message;
}

function expectedBy(issue: Issue, schemas: readonly WalkedSchema[]): string {
  const { type, requirement, expected } = issue;
  if (type === "union" || type === "variant") {
    const all = alternatives(schemas).map((s) => kinds[s.type] ?? choicesOf(s).join(" or "));
    return [...new Set(all)].filter((kind) => kind !== "").join(" or ") || "something else";
  }
  const choices = alternatives(schemas).flatMap(choicesOf);
  if (choices.length > 0) return choices.length > 1 ? `one of ${choices.join(", ")}` : `${choices}`;
  const bound = bounds[type];
  if (bound !== undefined) return `${bound[0]}${String(requirement)}${bound[1]}`;
  if (type === "regex") return "of another form";
  return kinds[type] ?? (issue.kind === "schema" && expected !== null ? expected : "valid");
}

function shown(tree: Tree, schemas: readonly WalkedSchema[]): string {
  if (tree.kind !== "scalar" || tree.value === null) return `, but is ${kindName(tree)}`;
  if (tree.isSecret || isSecret(schemas)) return "";
  if (tree.variables.length > 0) return `, which ${kindName(tree)} is not`;
  if (tree.value === "") return ", but is empty text";
  if (!mayQuote(tree, schemas)) return `, but is ${kindName(tree)}`;
  return `, but is \`${clip(String(tree.value))}\``;
}

function mendFor(issue: Issue, tree: Tree, schemas: readonly WalkedSchema[]): string {
  if (tree.kind === "scalar") {
    const special = mendScalar(issue, tree, schemas);
    if (special !== undefined) return special;
  }
  if (issue.type === "array") return "write it as a list: [a, b]";
  if (issue.kind === "schema" && kinds[issue.type] === "a map") return "write `key: value` lines";
  const bound = bounds[issue.type];
  if (bound !== undefined) return `write ${bound[0]}${String(issue.requirement)}${bound[1]}`;
  const { examples } =
    alternatives(schemas)
      .map(factsOf)
      .find((f) => f.examples) ?? {};
  const example = JSON.stringify(examples?.[0]);
  const isShort = example !== undefined && example.length <= 80;
  return isShort ? `write something like ${example}` : "correct the value";
}

function mendScalar(
  issue: Issue,
  { value, plain, text, variables }: ScalarTree,
  schemas: readonly WalkedSchema[],
): string | undefined {
  const [variable] = variables;
  if (value === null) return "give it a value, or remove the key";
  if (issue.type === "boolean") return "write true or false, without quotes";
  if (issue.type === "number" && typeof value === "string") {
    return variable === undefined ? "write digits, without quotes" : `set ${variable} to digits`;
  }
  if (issue.type === "string" && typeof value !== "string" && plain) return "put it in quotes";
  const choices = alternatives(schemas).flatMap(choicesOf);
  if (choices.length === 0) return undefined;
  // Saying what is near to a hidden value would tell what it is.
  const near = variable === undefined ? nearest(text, choices) : undefined;
  return near === undefined ? "choose one of them" : `did you mean \`${near}\`?`;
}
