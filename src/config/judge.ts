import { type GenericSchema, safeParse } from "valibot";
import { type Claim, type Claimant, claimsOf } from "./claims.ts";
import type { Fault } from "./fault.ts";
import { clip, type Reading } from "./reading.ts";
import { childSchemas, toWalked, type WalkedSchema } from "./schema-walk.ts";
import { locate, type Path, type Tree } from "./tree.ts";
import { customMessage, type Issue, type Wording, wordIssue } from "./wording.ts";

/**
 * Lets the schema of a claimant judge its share; what is wrong goes into `reading.faults`.
 * @returns what the schema makes of it, undefined when something is wrong
 */
export function judge(
  reading: Reading,
  root: Tree,
  claimant: Claimant,
  share: Record<string, unknown>,
): unknown {
  const result = safeParse(claimant.schema as GenericSchema, share);
  if (result.success) return result.output;
  for (const issue of result.issues.flatMap((i) => leaves(i, []))) {
    const path = yamlPath(claimant, issue.keys);
    if (reading.broken.some((broken) => related(broken, path))) continue;
    const fault = faultOf(root, claimant, issue, path);
    const known = reading.faults.some((f) => f.at === fault.at && f.message === fault.message);
    if (!known) reading.faults.push(fault);
  }
  return undefined;
}

/** An issue with the keys that lead to it, the local name first. */
interface Leaf {
  readonly issue: Issue;
  readonly keys: readonly string[];
}

/** Of a union, only the issues of the options that came further than the type. */
function leaves(issue: Issue, parents: readonly string[]): Leaf[] {
  const keys = [...parents, ...(issue.path ?? []).map(({ key }) => String(key))];
  const deeper = (issue.issues ?? []).filter((sub) => sub.path !== undefined);
  if (deeper.length === 0) return [{ issue, keys }];
  return deeper.flatMap((sub) => leaves(sub, keys));
}

function yamlPath(claimant: Claimant, keys: readonly string[]): Path {
  const [local, ...rest] = keys;
  const pattern = local === undefined ? undefined : claimant.keys[local];
  if (pattern === undefined) return commonPath(claimant);
  const path: string[] = [];
  for (const segment of pattern.split(".")) {
    const name = segment === "*" ? rest.shift() : segment;
    if (name === undefined) return path;
    path.push(name);
  }
  return [...path, ...rest];
}

/** What all paths of a claimant begin with. */
function commonPath(claimant: Claimant): Path {
  const [first = [], ...others] = claimsOf(claimant).map(({ segments }: Claim) => segments);
  const end = first.findIndex((s, i) => s === "*" || others.some((other) => other[i] !== s));
  return end < 0 ? first.slice(0, -1) : first.slice(0, end);
}

function related(a: Path, b: Path): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.every((segment, i) => segment === long[i]);
}

function faultOf(root: Tree, claimant: Claimant, { issue, keys }: Leaf, path: Path): Fault {
  const place = locate(root, path);
  const schemas = keys.reduce<WalkedSchema[]>(childSchemas, [toWalked(claimant.schema)]);
  const isKey = (issue.path?.at(-1) as { origin?: string } | undefined)?.origin === "key";
  if (isKey && issue.input !== undefined) {
    const message = customMessage(issue) ?? `\`${clip(keys.at(-1) ?? "")}\` is not allowed here`;
    return { at: place.keyAt, path, message, mend: "remove the key, or rename it" };
  }
  if (isKey || !place.found) {
    const at = locate(root, path.slice(0, -1)).keyAt;
    return { at, path, ...missing(path, schemas) };
  }
  const at = place.tree.kind === "scalar" ? place.tree.at : place.keyAt;
  return { at, path: place.path, ...wordIssue(issue, place.tree, schemas) };
}

function missing(path: Path, schemas: readonly WalkedSchema[]): Wording {
  const key = path.at(-1) ?? "";
  const example = childExample(schemas);
  return { message: `\`${key}\` is missing`, mend: `add \`${key}: ${example}\`` };
}

function childExample(schemas: readonly WalkedSchema[]): string {
  const example = schemas.flatMap(exampleIn)[0];
  const text = typeof example === "string" ? example : JSON.stringify(example);
  return text === undefined || text.length > 60 ? "…" : text;
}

function exampleIn(schema: WalkedSchema): unknown[] {
  return (schema.pipe ?? []).flatMap((item) => [...(item.metadata?.examples ?? [])]);
}
