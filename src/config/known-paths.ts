import { type Claimant, claimsOf } from "./claims.ts";
import { alternatives, childSchemas, type WalkedSchema } from "./schema-walk.ts";

/** Deepest schema that is searched; lazy schemas have no end. */
const searchedDepth = 8;

/** The path that a misplaced key has elsewhere, when there is just one. */
export function elsewhereIn(claimants: readonly Claimant[], key: string): string | undefined {
  const found = new Set<string>();
  for (const claim of claimants.flatMap(claimsOf)) {
    claim.segments.forEach((segment, i) => {
      if (segment === key) found.add(claim.segments.slice(0, i + 1).join("."));
    });
    search(claim.schemas, claim.segments, key, found);
  }
  const [only, second] = found;
  return second === undefined ? only : undefined;
}

function search(
  schemas: readonly WalkedSchema[],
  path: readonly string[],
  key: string,
  found: Set<string>,
  depth = 0,
): void {
  if (depth > searchedDepth) return;
  for (const { entries, item, type, value } of alternatives(schemas)) {
    if (item !== undefined) search([item], [...path, "*"], key, found, depth + 1);
    if (type === "record" && value !== undefined) {
      search([value], [...path, "*"], key, found, depth + 1);
    }
    for (const name of Object.keys(entries ?? {})) {
      const below = [...path, name];
      if (name === key) found.add(below.join("."));
      search(childSchemas(schemas, name), below, key, found, depth + 1);
    }
  }
}
