import type { Fault } from "./fault.ts";
import { mayQuote } from "./quotable.ts";
import {
  childSchemas,
  isSecret,
  namedKeys,
  takesAnyKey,
  type WalkedSchema,
  wantsMapOnly,
} from "./schema-walk.ts";
import { type ConfigIo, readSecretFile } from "./secret-file.ts";
import { nearest } from "./suggest.ts";
import type { Entry, MapTree, Path, ScalarTree, Tree } from "./tree.ts";

/** A secret that the configuration uses, and where it came from; never what it is. */
export interface SecretUse {
  /** Dotted YAML path. */
  readonly path: string;
  readonly from: "inline" | "variable" | "file";
  /** Name of the variable or path of the file. */
  readonly name: string | undefined;
}

/** What is gathered while a configuration is read. */
export interface Reading {
  readonly io: ConfigIo;
  readonly faults: Fault[];
  readonly warnings: Fault[];
  readonly secretsUsed: SecretUse[];
  /** Paths of which a problem was told: what follows from it is not told again. */
  readonly broken: Path[];
  /** Scalars that a schema knows and that may be no secrets: only these are ever quoted. */
  readonly shown: Set<Tree>;
  /** Names that are claimed right below a path. */
  claimedBelow(path: Path): readonly string[];
  /** Tells where else a key exists. */
  elsewhere(key: string): string | undefined;
}

/** Turns a tree into the value that its owner's schema will judge. */
export function toValue(
  reading: Reading,
  tree: Tree,
  schemas: readonly WalkedSchema[],
  path: Path,
): unknown {
  if (tree.kind === "scalar") return scalarValue(reading, tree, schemas, path);
  if (tree.kind === "map") return mapValue(reading, tree, schemas, path);
  if (wantsMapOnly(schemas)) {
    tell(reading, tree.at, path, "must be a map, but is a list", "write `key: value` lines");
    return undefined;
  }
  return tree.items.map((item, i) => {
    return toValue(reading, item, childSchemas(schemas, String(i)), [...path, String(i)]);
  });
}

function scalarValue(
  reading: Reading,
  scalar: ScalarTree,
  schemas: readonly WalkedSchema[],
  path: Path,
): unknown {
  if (scalar.broken) {
    reading.broken.push(path);
    return undefined;
  }
  if (!isSecret(schemas)) {
    if (mayQuote(scalar, schemas)) reading.shown.add(scalar);
    return scalar.value;
  }
  scalar.isSecret = true;
  const [variable] = scalar.variables;
  if (variable === undefined && scalar.value === null) return null;
  const from = variable === undefined ? "inline" : "variable";
  reading.secretsUsed.push({ path: path.join("."), from, name: variable });
  // A key that happens to look like a number is still a key.
  return variable === undefined ? scalar.value : scalar.text;
}

function mapValue(
  reading: Reading,
  map: MapTree,
  schemas: readonly WalkedSchema[],
  path: Path,
): unknown {
  const value: Record<string, unknown> = {};
  const anyKey = takesAnyKey(schemas);
  for (const [key, entry] of map.entries) {
    const below = [...path, key];
    const child = childSchemas(schemas, key);
    const base = child.length > 0 ? undefined : twinOf(key);
    if (base !== undefined && isSecret(childSchemas(schemas, base))) {
      const read = readTwin(reading, map, base, entry, below);
      if (read === undefined) reading.broken.push([...path, base]);
      else value[base] = read;
    } else if (child.length > 0 || anyKey) {
      const made = toValue(reading, entry.tree, child, below);
      if (made !== undefined) value[key] = made;
    } else {
      const known = [...withTwins(namedKeys(schemas), schemas), ...reading.claimedBelow(path)];
      tellUnknown(reading, entry, below, known);
    }
  }
  return value;
}

/** The key that a `*_file` key stands for. */
export function twinOf(key: string): string | undefined {
  return /^(.+)_file$/.exec(key)?.[1];
}

function withTwins(keys: readonly string[], schemas: readonly WalkedSchema[]): string[] {
  const twins = keys.filter((key) => isSecret(childSchemas(schemas, key)));
  return [...keys, ...twins.map((key) => `${key}_file`)];
}

/** Reads the file that a `*_file` key names; undefined after a problem. */
export function readTwin(
  reading: Reading,
  map: MapTree,
  base: string,
  entry: Entry,
  path: Path,
): string | undefined {
  const { tree } = entry;
  const key = `${base}_file`;
  if (map.entries.has(base)) {
    const message = `\`${base}\` and \`${key}\` are both given`;
    return tell(reading, entry.at, path, message, "keep one of the two");
  }
  if (tree.kind === "scalar" && tree.broken) return undefined;
  if (tree.kind !== "scalar" || typeof tree.value !== "string" || tree.value === "") {
    return tell(reading, tree.at, path, "must be the path of a file", "write it in quotes");
  }
  const read = readSecretFile(tree.value, shownPath(tree), reading.io);
  if (!read.ok) return tell(reading, tree.at, path, read.message, read.mend);
  if (read.warning !== undefined) reading.warnings.push({ at: tree.at, path, ...read.warning });
  reading.secretsUsed.push({ path: path.join("."), from: "file", name: tree.value });
  return read.text;
}

/** Whoever writes the secret itself where its path belongs must not find it in a log. */
function shownPath({ value, variables, source }: ScalarTree): string {
  if (variables.length > 0) return source.length > 200 ? "the file" : source;
  return typeof value === "string" && value.includes("/") ? value : "the file named here";
}

/** After so many problems it is another kind of file, and hints only cost time. */
const hintedFaults = 200;

/** Reports a key that nobody reads. */
export function tellUnknown(
  reading: Reading,
  entry: Entry,
  path: Path,
  known: readonly string[],
): void {
  const key = path.at(-1) ?? "";
  const message = `unknown key \`${clip(key)}\``;
  if (reading.faults.length > hintedFaults) {
    tell(reading, entry.at, path, message, "remove it");
    return;
  }
  const near = nearest(key, known);
  if (near !== undefined) {
    const hint = `${message}; did you mean \`${near}\`?`;
    tell(reading, entry.at, path, hint, `write \`${near}\`, or remove it`);
    return;
  }
  const place = reading.elsewhere(key);
  const list = known.slice(0, 12).join(", ");
  const allowed = known.length === 0 ? "remove it" : `remove it; known here: ${list}`;
  const mend = place === undefined ? allowed : `move it to ${place}, or remove it`;
  const hint = place === undefined ? "" : `; it exists at ${place}`;
  tell(reading, entry.at, path, message + hint, mend);
}

export function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

export function tell(
  reading: Reading,
  at: number,
  path: Path,
  message: string,
  mend: string,
): undefined {
  reading.faults.push({ at, path, message, mend });
  reading.broken.push(path);
  return undefined;
}
