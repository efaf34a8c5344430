import {
  type ClaimNode,
  type ClaimState,
  claimIn,
  goesDeeper,
  namesAt,
  startStates,
  step,
} from "./claims.ts";
import { type Reading, readTwin, tell, tellUnknown, toValue, twinOf } from "./reading.ts";
import { isSecret, namedKeys } from "./schema-walk.ts";
import {
  type Entry,
  idOf,
  kindName,
  type ListTree,
  type MapTree,
  type Path,
  segmentOf,
  type Tree,
} from "./tree.ts";

/** What each claimant gets, by its local names. */
export type Shares = Map<string, Record<string, unknown>>;

interface Split {
  readonly reading: Reading;
  readonly shares: Shares;
}

/** What is around a place: whether an owner above takes what is not claimed here. */
type Above = readonly ClaimState[] | undefined;

/** Gives every claimant its part of the tree, and reports the keys that nobody claims. */
export function splitTree(reading: Reading, root: MapTree, claims: ClaimNode): Shares {
  const shares: Shares = new Map();
  distribute({ reading, shares }, root, startStates(claims), [], undefined);
  return shares;
}

/** Hands out what is claimed at and below a place; returns what remains for an owner above. */
function distribute(
  split: Split,
  tree: Tree,
  states: readonly ClaimState[],
  path: Path,
  above: Above,
): Tree | undefined {
  const own = claimIn(states);
  const around = own === undefined ? above : states;
  let rest: Tree | undefined = tree;
  if (goesDeeper(states)) {
    if (tree.kind === "map") rest = splitMap(split, tree, states, path, around);
    else if (tree.kind === "list") rest = splitList(split, tree, states, path, around);
    else if (around === undefined && !tree.broken && tree.value !== null) {
      const message = `must be a map, but is ${kindName(tree)}`;
      tell(split.reading, tree.at, path, message, `known here: ${namesAt(states).join(", ")}`);
    }
  }
  if (own === undefined) return rest;
  if (rest !== undefined) {
    const value = toValue(split.reading, rest, own.claim.schemas, path);
    if (value !== undefined) place(split.shares, own, value);
  }
  return undefined;
}

function splitMap(
  split: Split,
  map: MapTree,
  states: readonly ClaimState[],
  path: Path,
  above: Above,
): Tree | undefined {
  const entries = new Map<string, Entry>();
  for (const [key, entry] of map.entries) {
    const below = [...path, key];
    const next = step(states, key);
    if (next.length > 0) {
      const rest = distribute(split, entry.tree, next, below, above);
      if (rest !== undefined) entries.set(key, { ...entry, tree: rest });
    } else if (!splitTwin(split, map, states, key, entry, below)) {
      if (above === undefined) tellUnknown(split.reading, entry, below, knownAt(states));
      else entries.set(key, entry);
    }
  }
  // All that stood here belongs to others: to the owner it is as if nothing stood here.
  if (entries.size === 0 && map.entries.size > 0) return undefined;
  return { ...map, entries };
}

/** Reads `<key>_file` where `<key>` is a claimed secret. */
function splitTwin(
  split: Split,
  map: MapTree,
  states: readonly ClaimState[],
  key: string,
  entry: Entry,
  path: Path,
): boolean {
  const base = twinOf(key);
  const own = base === undefined ? undefined : claimIn(step(states, base));
  if (base === undefined || own === undefined || !isSecret(own.claim.schemas)) return false;
  const text = readTwin(split.reading, map, base, entry, path);
  if (text === undefined) split.reading.broken.push([...path.slice(0, -1), base]);
  else place(split.shares, own, text);
  return true;
}

function splitList(
  split: Split,
  list: ListTree,
  states: readonly ClaimState[],
  path: Path,
  above: Above,
): Tree {
  const { reading } = split;
  const ids = new Set<string>();
  const items = list.items.map((item, i): Tree => {
    const id = idOf(item);
    const next = step(states, id ?? "");
    if (item.kind !== "map" || next.length === 0) {
      if (above === undefined) tell(reading, item.at, [...path, String(i)], ...needsId);
      return item;
    }
    const claimed = [...item.entries.keys()].some((key) => step(next, key).length > 0);
    if (above === undefined || claimed) {
      const repeated = id !== undefined && ids.has(id);
      if (repeated) tell(reading, item.at, [...path, String(i)], ...otherId);
      if (id === undefined) tell(reading, item.at, [...path, String(i)], ...needsId);
      if (repeated || id === undefined) return withoutClaimed(item, next);
    }
    if (id !== undefined) ids.add(id);
    const below = [...path, segmentOf(item, i)];
    return (
      distribute(split, above === undefined ? withoutId(item) : item, next, below, above) ?? item
    );
  });
  return { ...list, items };
}

const needsId = ["must be a map with a usable `id`", "write `id: <name>`"] as const;
const otherId = ["another entry has the same `id`", "give each its own"] as const;

function withoutClaimed(item: MapTree, states: readonly ClaimState[]): MapTree {
  const kept = [...item.entries].filter(([key]) => step(states, key).length === 0);
  return { ...item, entries: new Map(kept) };
}

/** Where no owner of the list asks for it, `id` only says which entry this is. */
function withoutId(item: MapTree): MapTree {
  return { ...item, entries: new Map([...item.entries].filter(([key]) => key !== "id")) };
}

function knownAt(states: readonly ClaimState[]): string[] {
  const names = namesAt(states);
  const twins = names.filter((name) => {
    const own = claimIn(step(states, name));
    return own !== undefined && isSecret(own.claim.schemas);
  });
  const nested = claimIn(states);
  const inner = nested === undefined ? [] : namedKeys(nested.claim.schemas);
  return [...names, ...twins.map((name) => `${name}_file`), ...inner];
}

/** Puts a value below the local name, one record for each `*`. */
function place(shares: Shares, own: NonNullable<ReturnType<typeof claimIn>>, value: unknown): void {
  const { claimant, local } = own.claim;
  const share = shares.get(claimant.name) ?? {};
  shares.set(claimant.name, share);
  const keys = [local, ...own.captures];
  const last = keys.pop() ?? local;
  let target = share;
  for (const key of keys) {
    target[key] ??= {};
    target = target[key] as Record<string, unknown>;
  }
  target[last] = value;
}
