import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from "yaml";
import { type Fault, toFault } from "./fault.ts";
import { type Entry, emptyMap, type MapTree, type ScalarTree, type Tree } from "./tree.ts";

export type ParsedYaml =
  | { readonly ok: true; readonly root: MapTree; readonly faults: readonly Fault[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Most nodes, those of aliases counted each time: an alias bomb has billions. */
export const maxNodes = 100_000;
/** Deepest nesting of maps and lists. */
export const maxDepth = 64;

interface Growth {
  readonly faults: Fault[];
  readonly anchors: Map<string, Tree>;
  /** Anchors of the collections that are being built. */
  readonly growing: Set<string>;
}

/** Turns what the parser made into a tree with places. */
export function growTree(document: Document.Parsed): ParsedYaml {
  const growth: Growth = { faults: [], anchors: new Map(), growing: new Set() };
  const { contents } = document;
  const root = contents === null ? emptyMap : growNode(growth, contents, [], 0);
  const { faults } = growth;
  if (root.size > maxNodes) {
    const mend = "write out what the aliases (*name) stand for";
    return { ok: false, faults: [toFault(root.at, [], "the file holds too many values", mend)] };
  }
  if (root.kind === "scalar" && root.value === null) return { ok: true, root: emptyMap, faults };
  if (root.kind === "map") return { ok: true, root, faults };
  const mend = "begin with a section, such as `server:`";
  return { ok: false, faults: [toFault(root.at, [], "the file is not a map of sections", mend)] };
}

function growNode(growth: Growth, node: Node, path: readonly string[], depth: number): Tree {
  const at = node.range?.[0] ?? 0;
  if (depth > maxDepth) {
    growth.faults.push(tooDeep(at, path));
    return broken(at);
  }
  if (isAlias(node)) return growAlias(growth, node.source, at, path);
  const anchor = (node as { anchor?: string }).anchor;
  if (anchor !== undefined) growth.growing.add(anchor);
  const tree = growPlain(growth, node, at, path, depth);
  if (anchor !== undefined) {
    growth.growing.delete(anchor);
    growth.anchors.set(anchor, tree);
  }
  return tree;
}

function growPlain(
  growth: Growth,
  node: Node,
  at: number,
  path: readonly string[],
  depth: number,
): Tree {
  if (isMap(node)) return growMap(growth, node.items, at, path, depth);
  if (isSeq(node)) {
    const items = node.items.map((item, i) =>
      growNode(growth, item as Node, [...path, String(i)], depth + 1),
    );
    return { kind: "list", at, size: sizeOf(items), items };
  }
  if (!isScalar(node)) return broken(at);
  const { value, source = "", type } = node;
  const plain = type === "PLAIN";
  const isText = typeof value === "string";
  return {
    ...{ kind: "scalar", at, end: Math.max(at, node.range?.[1] ?? at), size: 1, plain },
    ...{ source, text: isText ? value : source, variables: [], isSecret: false, broken: false },
    value: isText || typeof value === "number" || typeof value === "boolean" ? value : null,
  };
}

function growMap(
  growth: Growth,
  pairs: readonly { key: unknown; value: unknown }[],
  at: number,
  path: readonly string[],
  depth: number,
): Tree {
  const entries = new Map<string, Entry>();
  for (const { key, value } of pairs) {
    const name = isScalar(key) ? String(key.value ?? "") : "";
    const keyAt = (key as Node).range?.[0] ?? at;
    const end = (key as Node).range?.[1] ?? keyAt;
    const below = [...path, name];
    const wrong = unfitKey(name) ?? (entries.has(name) ? duplicate : undefined);
    if (wrong !== undefined) growth.faults.push(toFault(keyAt, below, ...wrong));
    const tree = value === null ? empty(end) : growNode(growth, value as Node, below, depth + 1);
    if (wrong === undefined) entries.set(name, { at: keyAt, end, tree });
  }
  return { kind: "map", at, size: sizeOf([...entries.values()].map((e) => e.tree)), entries };
}

const duplicate = ["this key is given twice", "keep one of the two"] as const;

function unfitKey(name: string): readonly [message: string, mend: string] | undefined {
  if (name === "<<") return ["merge keys are not read", "write out what `<<` would bring in"];
  if (name === "") return ["a key is empty", "give it a name"];
  if (name.includes("${")) return ["variables are not expanded in keys", "write the key itself"];
  // A provider named `constructor` would be looked up in the prototype of every object.
  if (name in Object.prototype) return ["this key is not allowed", "choose another name"];
  return undefined;
}

function growAlias(growth: Growth, name: string, at: number, path: readonly string[]): Tree {
  const tree = growth.anchors.get(name);
  if (tree !== undefined && !growth.growing.has(name)) return tree;
  const inside = growth.growing.has(name);
  const message = inside ? "an alias can't stand inside its own anchor" : "there is no such anchor";
  growth.faults.push(toFault(at, path, message, "write the value itself"));
  return broken(at);
}

function sizeOf(trees: readonly Tree[]): number {
  return trees.reduce((sum, { size }) => sum + size, 1);
}

function empty(at: number): ScalarTree {
  const text = { plain: true, source: "", text: "", value: null, variables: [] };
  return { kind: "scalar", at, end: at, size: 1, isSecret: false, broken: false, ...text };
}

function broken(at: number): ScalarTree {
  return { ...empty(at), broken: true };
}

export function tooDeep(at: number, path: readonly string[]): Fault {
  const shown = path.slice(0, 3);
  return toFault(
    at,
    shown,
    "maps and lists are nested too deeply",
    `use at most ${maxDepth} levels`,
  );
}
