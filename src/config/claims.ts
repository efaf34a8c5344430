import type { GenericSchema } from "valibot";
import { alternatives, childSchemas, toWalked, type WalkedSchema } from "./schema-walk.ts";

/** One owner of a part of the configuration. */
export interface Claimant {
  readonly name: string;
  /** Local name to YAML path; `*` stands for each child of a map, or of a list by its `id`. */
  readonly keys: { readonly [local: string]: string };
  /** A strict object schema over the local names. */
  readonly schema: GenericSchema;
}

/** A claimed path with the schemas of the value that stands there. */
export interface Claim {
  readonly claimant: Claimant;
  readonly local: string;
  readonly segments: readonly string[];
  readonly schemas: readonly WalkedSchema[];
}

/** One step of all claimed paths together. */
export interface ClaimNode {
  readonly names: Map<string, ClaimNode>;
  star: ClaimNode | undefined;
  claim: Claim | undefined;
}

/** Where a walk through the YAML stands in the claims, with what each `*` stood for. */
export interface ClaimState {
  readonly node: ClaimNode;
  readonly captures: readonly string[];
}

/**
 * Merges the paths of all claimants.
 * @throws Error when a path has two owners or no schema, or two claimants have one name
 */
export function compileClaims(claimants: readonly Claimant[]): ClaimNode {
  const names = new Set(claimants.map(({ name }) => name));
  if (names.size !== claimants.length) throw new Error("two claimants have the same name");
  const root = emptyNode();
  const claims = claimants.flatMap(claimsOf);
  for (const claim of claims) {
    for (const other of claims) if (other !== claim) refuseOverlap(claim, other);
    let node = root;
    for (const segment of claim.segments) node = descend(node, segment);
    node.claim = claim;
  }
  return root;
}

/** The claims of one claimant, in its order. */
export function claimsOf(claimant: Claimant): Claim[] {
  return Object.entries(claimant.keys).map(([local, path]) => {
    const segments = path.split(".");
    let schemas = childSchemas([toWalked(claimant.schema)], local);
    for (const segment of segments) {
      if (segment === "*") schemas = childSchemas(schemas, segment);
    }
    if (schemas.length === 0 || segments.includes("")) {
      throw new Error(`${claimant.name} claims ${path}, but has no schema for it`);
    }
    return { claimant, local, segments, schemas };
  });
}

function emptyNode(): ClaimNode {
  return { names: new Map(), star: undefined, claim: undefined };
}

function descend(node: ClaimNode, segment: string): ClaimNode {
  if (segment === "*") {
    node.star ??= emptyNode();
    return node.star;
  }
  const next = node.names.get(segment) ?? emptyNode();
  node.names.set(segment, next);
  return next;
}

function refuseOverlap(outer: Claim, inner: Claim): void {
  const meets = outer.segments.every((segment, i) => {
    const other = inner.segments[i];
    return segment === other || segment === "*" || other === "*";
  });
  if (!meets || outer.segments.length > inner.segments.length) return;
  const rest = inner.segments.slice(outer.segments.length);
  if (rest.length > 0 && !declares(outer.schemas, rest)) return;
  const both = `${outer.claimant.name} and ${inner.claimant.name}`;
  throw new Error(`${both} both own ${inner.segments.join(".")}`);
}

/** Whether schemas name a path of their own, so that taking it away would change what they see. */
function declares(schemas: readonly WalkedSchema[], path: readonly string[]): boolean {
  const parents = path.slice(0, -1).reduce(childSchemas, [...schemas]);
  const last = path.at(-1) ?? "";
  return alternatives(parents).some(({ entries }) => Object.hasOwn(entries ?? {}, last));
}

export function startStates(root: ClaimNode): ClaimState[] {
  return [{ node: root, captures: [] }];
}

/** Follows the claims to a child; a name that is itself owned wins over a `*` beside it. */
export function step(states: readonly ClaimState[], key: string): ClaimState[] {
  const named: ClaimState[] = [];
  const starred: ClaimState[] = [];
  for (const { node, captures } of states) {
    const next = node.names.get(key);
    if (next !== undefined) named.push({ node: next, captures });
    if (node.star !== undefined) starred.push({ node: node.star, captures: [...captures, key] });
  }
  return named.some(({ node }) => node.claim !== undefined) ? named : [...named, ...starred];
}

export function claimIn(
  states: readonly ClaimState[],
): (ClaimState & { claim: Claim }) | undefined {
  for (const state of states) {
    if (state.node.claim !== undefined) return { ...state, claim: state.node.claim };
  }
  return undefined;
}

/** Whether something below is claimed. */
export function goesDeeper(states: readonly ClaimState[]): boolean {
  return states.some(({ node }) => node.names.size > 0 || node.star !== undefined);
}

/** The names that the claims know at this place. */
export function namesAt(states: readonly ClaimState[]): string[] {
  return [...new Set(states.flatMap(({ node }) => [...node.names.keys()]))];
}
