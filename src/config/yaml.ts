import { type Document, isAlias, isMap, isScalar, isSeq, type Node, parseDocument } from "yaml";
import { type Entry, emptyMap, type MapTree, type ScalarTree, type Tree } from "./tree.ts";
import { syntaxWording } from "./yaml-wording.ts";

/** Something wrong at an offset of the text. */
export interface Fault {
  readonly at: number;
  readonly path: readonly string[];
  readonly message: string;
  readonly mend: string;
}

export type ParsedYaml =
  | { readonly ok: true; readonly root: MapTree; readonly faults: readonly Fault[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Most UTF-16 units of a configuration. */
export const maxTextChars = 4 * 1024 * 1024;
/** Most nodes, those of aliases counted each time: an alias bomb has billions. */
export const maxNodes = 100_000;
/** Deepest nesting of maps and lists. */
export const maxDepth = 64;

/**
 * Parses a configuration: YAML 1.2 core, one document, a map with unique string keys.
 * @param text without byte order mark
 * @returns not ok when the text has no dependable structure
 */
export function parseYaml(text: string): ParsedYaml {
  const unfit = unfitText(text);
  if (unfit !== undefined) return { ok: false, faults: [unfit] };
  if (text.trim() === "") return { ok: true, root: emptyMap, faults: [] };
  let document: Document.Parsed;
  try {
    document = parse(text);
  } catch (error) {
    // Only deep nesting overflows the stack; anything else is a bug of ours.
    if (!(error instanceof RangeError)) throw error;
    return { ok: false, faults: [tooDeep(0, [])] };
  }
  const faults = syntaxFaults(document, text);
  if (faults.length > 0) return { ok: false, faults };
  return grow(document);
}

function parse(text: string): Document.Parsed {
  // `silent` would hide a second document; duplicates are found here, not in quadratic time there.
  return parseDocument(text, {
    logLevel: "error",
    merge: false,
    prettyErrors: false,
    resolveKnownTags: false,
    stringKeys: true,
    uniqueKeys: false,
  });
}

function unfitText(text: string): Fault | undefined {
  if (text.length > maxTextChars) {
    return fault(0, [], "the file is larger than 4 MiB", "is it the right file?");
  }
  const control = text.search(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/);
  if (control >= 0) {
    return fault(control, [], "a control character is not allowed here", "remove it");
  }
  const garbled = text.indexOf("\ufffd");
  if (garbled < 0) return undefined;
  return fault(garbled, [], "this is not valid UTF-8", "save the file as UTF-8");
}

function syntaxFaults(document: Document.Parsed, text: string): Fault[] {
  const faults: Fault[] = [];
  const version = document.directives.yaml;
  if (version.explicit === true && version.version !== "1.2") {
    // Version 1.1 would turn `yes` into true and merge `<<`.
    faults.push(fault(0, [], "only YAML 1.2 is read", "remove the %YAML line"));
  }
  const lines = new Set<number>();
  for (const error of [...document.errors, ...document.warnings]) {
    const at = Math.min(error.pos[0], text.length);
    const line = text.lastIndexOf("\n", at - 1);
    // One mistake makes several errors; the first of a line is the one to mend.
    const isEcho = error.code === "UNEXPECTED_TOKEN" && faults.length > 0;
    if (isEcho || lines.has(line)) continue;
    lines.add(line);
    faults.push(fault(at, [], ...syntaxWording(error.code, text, at)));
  }
  return faults;
}

interface Growth {
  readonly faults: Fault[];
  readonly anchors: Map<string, Tree>;
  /** Anchors of the collections that are being built. */
  readonly growing: Set<string>;
}

function grow(document: Document.Parsed): ParsedYaml {
  const growth: Growth = { faults: [], anchors: new Map(), growing: new Set() };
  const { contents } = document;
  const root = contents === null ? emptyMap : growNode(growth, contents, [], 0);
  const { faults } = growth;
  if (root.size > maxNodes) {
    const mend = "write out what the aliases (*name) stand for";
    return { ok: false, faults: [fault(root.at, [], "the file holds too many values", mend)] };
  }
  if (root.kind === "scalar" && root.value === null) return { ok: true, root: emptyMap, faults };
  if (root.kind === "map") return { ok: true, root, faults };
  const mend = "begin with a section, such as `server:`";
  return { ok: false, faults: [fault(root.at, [], "the file is not a map of sections", mend)] };
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
    ...{ source, text: isText ? value : source, variables: [], broken: false },
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
    if (wrong !== undefined) growth.faults.push(fault(keyAt, below, ...wrong));
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
  growth.faults.push(fault(at, path, message, "write the value itself"));
  return broken(at);
}

function sizeOf(trees: readonly Tree[]): number {
  return trees.reduce((sum, { size }) => sum + size, 1);
}

function empty(at: number): ScalarTree {
  const text = { plain: true, source: "", text: "", value: null, variables: [] };
  return { kind: "scalar", at, end: at, size: 1, broken: false, ...text };
}

function broken(at: number): ScalarTree {
  return { ...empty(at), broken: true };
}

function tooDeep(at: number, path: readonly string[]): Fault {
  const shown = path.slice(0, 3);
  return fault(at, shown, "maps and lists are nested too deeply", `use at most ${maxDepth} levels`);
}

function fault(at: number, path: readonly string[], message: string, mend: string): Fault {
  return { at, path, message, mend };
}
