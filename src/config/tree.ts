/** A YAML document with the place of everything; aliases share the tree of their anchor. */
export type Tree = MapTree | ListTree | ScalarTree;

export interface MapTree {
  readonly kind: "map";
  readonly at: number;
  /** How many trees this is, with all below, aliases counted each time. */
  readonly size: number;
  readonly entries: ReadonlyMap<string, Entry>;
}
export interface Entry {
  /** Offset of the key. */
  readonly at: number;
  readonly end: number;
  readonly tree: Tree;
}
export interface ListTree {
  readonly kind: "list";
  readonly at: number;
  readonly size: number;
  readonly items: readonly Tree[];
}
export interface ScalarTree {
  readonly kind: "scalar";
  readonly at: number;
  readonly end: number;
  readonly size: 1;
  /** Whether YAML gave it its type, since it was written without quotes. */
  readonly plain: boolean;
  /** As it was written, before expansion. */
  readonly source: string;
  value: string | number | boolean | null;
  /** Names of the variables that went in; what they held is shown nowhere. */
  variables: readonly string[];
  /** After expansion, before YAML's types: a secret is always text. */
  text: string;
  /** Used as a secret at one place, be it by an alias: then it is shown at none. */
  isSecret: boolean;
  /** A problem was reported: nothing more is to be said about it. */
  broken: boolean;
}

export type Path = readonly string[];

/** What a path leads to, or the deepest parent that there is. */
export interface Located {
  readonly found: boolean;
  /** Offset of the last key, or of the value where it has none. */
  readonly keyAt: number;
  readonly tree: Tree;
  /** The path as it is in the file: with `key_file` where `key` was asked for. */
  readonly path: Path;
}

export const emptyMap: MapTree = { kind: "map", at: 0, size: 1, entries: new Map() };

/** Walks from the root; an item of a list is found by its number or its `id`. */
export function locate(root: Tree, path: Path): Located {
  let tree = root;
  let keyAt = root.at;
  const walked: string[] = [];
  for (const segment of path) {
    const next = childOf(tree, segment);
    if (next === undefined) return { found: false, keyAt, tree, path: walked };
    keyAt = next.at;
    tree = next.tree;
    walked.push(next.name);
  }
  return { found: true, keyAt, tree, path: walked };
}

function childOf(
  tree: Tree,
  segment: string,
): { at: number; tree: Tree; name: string } | undefined {
  if (tree.kind === "map") {
    const name = tree.entries.has(segment) ? segment : `${segment}_file`;
    const entry = tree.entries.get(name);
    return entry === undefined ? undefined : { at: entry.at, tree: entry.tree, name };
  }
  if (tree.kind === "scalar") return undefined;
  const item = tree.items.find((i) => idOf(i) === segment) ?? tree.items[indexOf(segment)];
  return item === undefined ? undefined : { at: item.at, tree: item, name: segment };
}

function indexOf(segment: string): number {
  return /^\d{1,9}$/.test(segment) ? Number(segment) : -1;
}

/** The `id` of an item of a list. */
export function idOf(item: Tree): string | undefined {
  const id = item.kind === "map" ? item.entries.get("id")?.tree : undefined;
  if (id?.kind !== "scalar" || id.broken || id.value === null || id.text === "") return undefined;
  // Ids become keys of objects, and `__proto__` would write into every object.
  return id.text in Object.prototype ? undefined : id.text;
}

/** How a path names an item of a list: by its `id`, unless a variable, which is shown nowhere. */
export function segmentOf(item: Tree, index: number): string {
  const id = item.kind === "map" ? item.entries.get("id")?.tree : undefined;
  const isOpen = id?.kind === "scalar" && id.variables.length === 0 && !id.isSecret;
  return (isOpen ? idOf(item) : undefined) ?? String(index);
}

/** Reads a dotted path; keys may hold dots themselves, so the file decides where it is split. */
export function splitPath(root: Tree, dotted: string): string[] {
  const parts = dotted === "" ? [] : dotted.split(".");
  return longest(root, parts);
}

function longest(tree: Tree, parts: readonly string[]): string[] {
  let best: string[] | undefined;
  for (let n = 1; n <= parts.length; n++) {
    const name = parts.slice(0, n).join(".");
    const next = childOf(tree, name);
    if (next === undefined) continue;
    const rest = longest(next.tree, parts.slice(n));
    if (locate(next.tree, rest).found) return [name, ...rest];
    best ??= [name, ...rest];
  }
  return best ?? [...parts];
}

/** Names below a map, or ids below a list. */
export function childNames(tree: Tree): string[] {
  if (tree.kind === "map") return [...tree.entries.keys()];
  if (tree.kind === "list") return tree.items.map(idOf).filter((id) => id !== undefined);
  return [];
}

/** How a tree is called in a message. */
export function kindName(tree: Tree): string {
  if (tree.kind !== "scalar") return tree.kind === "map" ? "a map" : "a list";
  if (tree.value === null && tree.variables.length === 0) return "nothing";
  if (tree.variables.length > 0) return `the value of ${tree.variables.join(", ")}`;
  return typeof tree.value === "string" ? "text" : `a ${typeof tree.value}`;
}
