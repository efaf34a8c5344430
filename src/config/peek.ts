import { type Env, expandTree } from "./expand.ts";
import { locate, type Tree } from "./tree.ts";
import { parseYaml } from "./yaml.ts";

/**
 * Reads a part of a configuration before it is known who claims it; what is wrong with it, loading
 * it will tell.
 * @param path from the root
 * @returns plain data, undefined where there is nothing that can be read
 */
export function peekConfig(text: string, env: Env, path: readonly string[]): unknown {
  const parsed = parseYaml(text.replace(/^\ufeff/, ""));
  if (!parsed.ok) return undefined;
  expandTree(parsed.root, env);
  const place = locate(parsed.root, path);
  return place.found ? toPlain(place.tree, 0) : undefined;
}

/** Deepest level that is read: an alias may stand below itself. */
const deepest = 16;

function toPlain(tree: Tree, depth: number): unknown {
  if (depth > deepest) return undefined;
  if (tree.kind === "scalar") return tree.broken ? undefined : tree.value;
  if (tree.kind === "list") return tree.items.map((item) => toPlain(item, depth + 1));
  const plain: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of tree.entries) plain[key] = toPlain(entry.tree, depth + 1);
  return plain;
}
