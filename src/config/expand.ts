import type { Fault } from "./fault.ts";
import type { ScalarTree, Tree } from "./tree.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** Variables with a second spelling that is read too. */
const aliases: Readonly<Record<string, readonly string[]>> = {
  CLIPROXY_ENCRYPTION_KEY: ["CLIPRO_ENCRYPTION_KEY"],
};

export interface Expansion {
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
}

/** Text with its variables filled in, or what is wrong with it. */
type Filled =
  | { readonly ok: true; readonly text: string; readonly variables: readonly string[] }
  | { readonly ok: false; readonly message: string; readonly mend: string };

/**
 * Fills in variables, in scalar values only: no variable can add a key, an item or a comment.
 * @param root changed in place
 * @param env empty variables count as unset
 */
export function expandTree(root: Tree, env: Env): Expansion {
  const faults: Fault[] = contradictions(env).map((wrong) => ({ at: 0, path: [], ...wrong }));
  const warnings: Fault[] = [];
  const seen = new Set<Tree>();
  const walk = (tree: Tree, path: readonly string[]): void => {
    // Shared by an alias: done already, and expanding twice would expand what a variable holds.
    if (seen.has(tree)) return;
    seen.add(tree);
    if (tree.kind === "map") {
      for (const [key, entry] of tree.entries) walk(entry.tree, [...path, key]);
    } else if (tree.kind === "list") {
      for (const [i, item] of tree.items.entries()) walk(item, [...path, String(i)]);
    } else if (!tree.broken) {
      const wrong = expandScalar(tree, env);
      if (wrong !== undefined) {
        tree.broken = true;
        faults.push({ at: tree.at, path, ...wrong });
      }
      for (const name of tree.variables) {
        const warning = shortSpelling(name, env);
        const known = warnings.some((w) => w.message === warning?.message);
        if (warning !== undefined && !known) warnings.push({ at: tree.at, path, ...warning });
      }
    }
  };
  walk(root, []);
  return { faults, warnings };
}

function expandScalar(scalar: ScalarTree, env: Env): { message: string; mend: string } | undefined {
  if (!scalar.text.includes("${")) return oddNumber(scalar);
  const filled = fill(scalar.text, env);
  if (!filled.ok) return { message: filled.message, mend: filled.mend };
  const whole = /^\$\{[^}]*\}$/.test(scalar.text);
  scalar.text = filled.text;
  scalar.variables = filled.variables;
  scalar.value = scalar.plain && whole ? coreType(filled.text) : filled.text;
  return undefined;
}

/** Fills in the variables of one text. */
export function fill(text: string, env: Env): Filled {
  const variables: string[] = [];
  let wrong: Filled | undefined;
  const out = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (all, inner?: string, close?: string) => {
    if (inner === undefined) return "${";
    const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inner) ?? [];
    if (name === undefined || close === "" || fallback?.includes("${") === true) {
      wrong ??= malformed;
      return all;
    }
    variables.push(name);
    const value = lookUp(name, env) ?? fallback;
    if (value === undefined) wrong ??= unset(name, env);
    return value ?? "";
  });
  return wrong ?? { ok: true, text: out, variables };
}

const malformed: Filled = {
  ok: false,
  message: "`${` does not begin a variable here",
  mend: "write ${NAME} or ${NAME:-default} (no braces in the default), or $${ for a literal ${",
};

function unset(name: string, env: Env): Filled {
  const message = `the variable ${name} is ${env[name] === "" ? "empty" : "not set"}`;
  return { ok: false, message, mend: `set ${name}, or give a default: \${${name}:-value}` };
}

/** Both spellings of a name, the proper one first. */
function spellings(name: string): readonly string[] {
  for (const [proper, others] of Object.entries(aliases)) {
    if (name === proper || others.includes(name)) return [proper, ...others];
  }
  return [name];
}

function lookUp(name: string, env: Env): string | undefined {
  for (const spelling of spellings(name)) {
    const value = Object.hasOwn(env, spelling) ? env[spelling] : undefined;
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}

function shortSpelling(name: string, env: Env): { message: string; mend: string } | undefined {
  const [proper = name, ...others] = spellings(name);
  const used = others.find((other) => (env[other] ?? "") !== "");
  if (used === undefined || (env[proper] ?? "") !== "") return undefined;
  return { message: `${used} is read as ${proper}`, mend: `name the variable ${proper}` };
}

function contradictions(env: Env): { message: string; mend: string }[] {
  return Object.entries(aliases).flatMap(([proper, others]) =>
    others
      .filter((other) => (env[other] ?? "") !== "" && (env[proper] ?? "") !== "")
      .filter((other) => env[other] !== env[proper])
      .map((other) => ({
        message: `the variables ${proper} and ${other} are both set, and differ`,
        mend: `unset ${other}`,
      })),
  );
}

/** The type that YAML would give; an odd or inexact number stays text, which it may well be. */
function coreType(text: string): ScalarTree["value"] {
  if (/^(~|null|Null|NULL|)$/.test(text)) return null;
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  const isNumber = isDecimal(text) && isExact(text);
  return isNumber ? Number(text) : text;
}

/** Readers of 010, 0x10 and 1e3 differ about what they are; nobody needs them here. */
function oddNumber({ value, source }: ScalarTree): { message: string; mend: string } | undefined {
  if (typeof value !== "number" || (isDecimal(source) && isExact(source))) return undefined;
  const message = Number.isFinite(value)
    ? "numbers are written in plain decimal digits, at most 15 of them"
    : "a number must be finite";
  return { message, mend: "write it in digits, or in quotes if it is text" };
}

function isDecimal(text: string): boolean {
  return /^[-+]?(0|[1-9]\d*)(\.\d+)?$/.test(text);
}

function isExact(text: string): boolean {
  return text.replace(/\D/g, "").length <= 15;
}
