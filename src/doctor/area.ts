import type { Finding, FindingKind } from "../contract/finding.ts";
import type { Facts } from "./facts.ts";

/** A field that is looked at: what may be found there, and the look itself. */
export interface Area {
  /** As `--only` takes it. */
  readonly name: string;
  /** One sentence for help and docs. */
  readonly summary: string;
  /** By id, which begins with the area's name. */
  readonly kinds: Readonly<Record<string, FindingKind>>;
  /** Facts in, findings out: it looks at nothing else. */
  check(facts: Facts): readonly Finding[];
}

/** A path as a shell takes it. */
export function quoted(path: string): string {
  return /^[\w./@%+:,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/** Permissions as `chmod` takes them. */
export function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
