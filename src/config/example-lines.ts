import { Document, Scalar, visit } from "yaml";
import type { ClaimNode } from "./claims.ts";
import { exampleValue, isChosen } from "./example-value.ts";
import { alternatives, childSchemas, factsOf, isSecret, type WalkedSchema } from "./schema-walk.ts";

/** Widest line. */
const columns = 120;
/** Widest value that stays in the line of its key. */
const inlineColumns = 96;

/** Order of the sections; others follow by name. */
const sections = [
  ...["server", "auth", "providers", "routing", "management", "logging", "metrics", "state"],
  "policies",
];
/** What a `*` is called below a section. */
const starNames: Readonly<Record<string, string>> = { providers: "claude" };

const head = [
  "# Every key of the configuration, with its default or an example. To set one, remove the `#`",
  "# before it and before the sections around it. An unknown key stops the start.",
  "#   ${NAME} and ${NAME:-default} in a value are read from the environment.",
  "#   A secret may be in a file of its own: <key>_file instead of <key>.",
];

/** The lines of the reference. */
export function exampleLines(root: ClaimNode): string[] {
  const names = [...root.names.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const blocks = names.map((name) => ["", ...nodeLines(root.names.get(name), [name])]);
  return [...head, ...blocks.flat()];
}

function rank(section: string): number {
  const place = sections.indexOf(section);
  return place < 0 ? sections.length : place;
}

function nodeLines(node: ClaimNode | undefined, path: readonly string[]): string[] {
  if (node === undefined) return [];
  const { claim } = node;
  if (claim !== undefined) {
    const isAlone = node.names.size === 0 && node.star === undefined;
    return isAlone ? schemaLines(claim.schemas, path) : mergedLines(node, claim.schemas, path);
  }
  const children = childrenOf(node, path);
  const leaves = children.filter(([, child]) => child.claim !== undefined);
  const maps = children.filter(([, child]) => child.claim === undefined);
  const inner = [...leaves, ...maps].flatMap(([name, child]) => nodeLines(child, [...path, name]));
  return [`${indent(path)}#${path.at(-1)}:`, ...inner];
}

function childrenOf(node: ClaimNode, path: readonly string[]): [string, ClaimNode][] {
  const children = [...node.names];
  if (node.star !== undefined) children.push([starNames[path.at(-1) ?? ""] ?? "name", node.star]);
  return children;
}

/** A value, or one line for each key of a map that nobody gave an example for. */
function schemaLines(schemas: readonly WalkedSchema[], path: readonly string[]): string[] {
  const about = aboutLines(schemas, path);
  const all = alternatives(schemas);
  const [only] = all;
  if (all.length === 1 && only?.entries !== undefined && !isChosen(schemas[0])) {
    const keys = Object.keys(only.entries);
    const inner = keys.flatMap((key) => schemaLines(childSchemas([only], key), [...path, key]));
    return [...about, `${indent(path)}#${path.at(-1)}:`, ...inner];
  }
  return [...about, ...valueLines(exampleValue(schemas, path), path)];
}

/** A value whose owner leaves some keys to others: all in one example. */
function mergedLines(
  node: ClaimNode,
  schemas: readonly WalkedSchema[],
  path: readonly string[],
): string[] {
  const value = exampleValue(schemas, path);
  const lines = aboutLines(schemas, path);
  const about = (child: ClaimNode, below: readonly string[]): void => {
    for (const line of child.claim === undefined ? [] : aboutLines(child.claim.schemas, path)) {
      lines.push(line.replace("# ", `# ${below.join(".")}: `));
    }
    for (const [name, next] of child.names) about(next, [...below, name]);
  };
  for (const [name, child] of node.names) about(child, [name]);
  if (node.star !== undefined) about(node.star, []);
  const merged = Array.isArray(value)
    ? value.map((item) => withOthers(item, node.star, path))
    : withOthers(value, node, path);
  return [...lines, ...valueLines(merged, path)];
}

function withOthers(value: unknown, node: ClaimNode | undefined, path: readonly string[]): unknown {
  if (node === undefined || typeof value !== "object" || value === null) return value;
  const merged: Record<string, unknown> = { ...value };
  for (const [name, child] of node.names) {
    const below = [...path, name];
    merged[name] =
      child.claim === undefined
        ? withOthers(merged[name] ?? {}, child, below)
        : exampleValue(child.claim.schemas, below);
  }
  return merged;
}

function aboutLines(schemas: readonly WalkedSchema[], path: readonly string[]): string[] {
  const facts = [...schemas, ...alternatives(schemas)].map(factsOf);
  const { description = "" } = facts.find((f) => f.description !== undefined) ?? {};
  const twin = isSecret(schemas) ? `Or ${path.at(-1)}_file, the path of a file that holds it.` : "";
  const words = `${description} ${twin}`.trim().split(/\s+/);
  const lines: string[] = [];
  let line = "";
  for (const word of words) {
    const isFull = `${indent(path)}# ${line} ${word}`.length > columns - 20;
    if (isFull && line !== "") lines.push(line);
    line = isFull || line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].filter((l) => l !== "").map((l) => `${indent(path)}# ${l}`);
}

function valueLines(value: unknown, path: readonly string[]): string[] {
  const start = `${indent(path)}#${keyText(path.at(-1) ?? "")}:`;
  const inline = `${start} ${yamlText(value, true)}`;
  if (!inline.includes("\n") && inline.length <= inlineColumns) return [inline];
  if (typeof value !== "object") return [inline];
  const below = indent([...path, ""]);
  const lines = yamlText(value, false).split("\n");
  return [start, ...lines.map((line) => below + line.replace(/^( *)/, "$1#"))];
}

function keyText(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

function yamlText(value: unknown, flow: boolean): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Collection(_key, node) {
      node.flow = flow;
    },
    Scalar(_key, node) {
      // A variable without quotes would take the type of what it holds.
      if (typeof node.value !== "string" || !node.value.includes("${")) return;
      node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return document.toString({ lineWidth: flow ? 0 : columns - 24 }).trimEnd();
}

function indent(path: readonly string[]): string {
  return "  ".repeat(path.length - 1);
}
