import { isSecretField, masked, maskText } from "./redact.ts";
import { Secret } from "./secret.ts";

/** Plain data that `JSON.stringify` takes as it is. */
export type Plain =
  | string
  | number
  | boolean
  | null
  | readonly Plain[]
  | { readonly [key: string]: Plain };

/** What one copy may hold; the last two stop a value that is wide at every depth. */
export const redactLimits = {
  stringCharacters: 1024,
  nameCharacters: 128,
  depth: 5,
  keys: 50,
  values: 1000,
  characters: 32_768,
} as const;

/** A text this long is looked at; the rest can't reach the copy. */
const windowCharacters = 4 * redactLimits.stringCharacters;

/** A key cut off by the window may be too short to be known: such a rest is dropped. */
const unsureCharacters = 64;

interface Walk {
  values: number;
  characters: number;
  /** Objects on the way from the root. */
  readonly open: Set<object>;
}

/** Masks, escapes nothing, and cuts a text to its limit. */
export function redactText(text: string, limit: number = redactLimits.stringCharacters): string {
  let result = maskText(text.slice(0, windowCharacters));
  if (text.length > windowCharacters) result = result.slice(0, -unsureCharacters);
  if (result.length <= limit && text.length <= windowCharacters) return result;
  return `${result.slice(0, limit - 1)}…`;
}

/** A bounded copy of any value as plain data, without its secrets; never throws. */
export function redactValue(value: unknown): Plain {
  return copy(value, 0, {
    values: redactLimits.values,
    characters: redactLimits.characters,
    open: new Set(),
  });
}

function copy(value: unknown, depth: number, walk: Walk): Plain {
  walk.values -= 1;
  if (walk.values < 0) return "…";
  switch (typeof value) {
    case "string": {
      if (walk.characters < 0) return "…";
      const text = redactText(value);
      walk.characters -= text.length;
      return text;
    }
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "bigint":
      return redactText(value.toString());
    case "undefined":
      return null;
    case "object":
      return value === null ? null : copyObject(value, depth, walk);
    default:
      return `[${typeof value}]`;
  }
}

function copyObject(value: object, depth: number, walk: Walk): Plain {
  if (value instanceof Secret) return masked;
  if (walk.open.has(value)) return "[circular]";
  if (depth > redactLimits.depth) return "[deep]";
  walk.open.add(value);
  try {
    return copyKind(value, depth, walk);
  } catch {
    // A getter, a proxy or toJSON that throws.
    return "[unreadable]";
  } finally {
    walk.open.delete(value);
  }
}

function copyKind(value: object, depth: number, walk: Walk): Plain {
  if (isError(value)) return copyError(value, depth, walk);
  if (Array.isArray(value)) return copyList(value, value.length, depth, walk);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return `[${value.byteLength} bytes]`;
  if (value instanceof Set) return copyList(value, value.size, depth, walk);
  if (value instanceof Map || value instanceof Headers || value instanceof URLSearchParams) {
    return copyPairs(
      [...value].map(([k, v]) => [String(k), () => v] as const),
      depth,
      walk,
    );
  }
  // Walking a boxed string would print it letter by letter.
  if (value instanceof String || value instanceof Number || value instanceof Boolean) {
    return copy(value.valueOf(), depth, walk);
  }
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return copy(value.toJSON(), depth + 1, walk);
  }
  return copyPairs(ownPairs(value), depth, walk);
}

function copyList(items: Iterable<unknown>, size: number, depth: number, walk: Walk): Plain {
  const list: Plain[] = [];
  for (const item of items) {
    if (list.length === redactLimits.keys || walk.values < 0) {
      list.push(`… ${size - list.length} more`);
      break;
    }
    list.push(copy(item, depth + 1, walk));
  }
  return list;
}

type Pair = readonly [name: string, read: () => unknown];

function ownPairs(value: object): Pair[] {
  return Object.keys(value).map((key) => [key, () => Reflect.get(value, key)]);
}

function copyPairs(pairs: readonly Pair[], depth: number, walk: Walk): Plain {
  // Without a prototype, a field named __proto__ is a field.
  const record: Record<string, Plain> = Object.create(null);
  let count = 0;
  for (const [key, read] of pairs) {
    if (count === redactLimits.keys || walk.values < 0) {
      record["…"] = `${pairs.length - count} more`;
      break;
    }
    count += 1;
    const name = redactText(key, redactLimits.nameCharacters);
    walk.characters -= name.length;
    try {
      const inner = read();
      if (inner === undefined) continue;
      record[name] =
        isSecretField(key, inner) && inner !== "" ? masked : copy(inner, depth + 1, walk);
    } catch {
      record[name] = "[unreadable]";
    }
  }
  return record;
}

function isError(value: object): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";
}

/** Name, message and frames first, then what the error carries; `cause` and `errors` are walked. */
function copyError(error: Error, depth: number, walk: Walk): Plain {
  const hidden = ["cause", "errors"].filter((key) => Object.hasOwn(error, key));
  const own = Object.keys(error).filter(
    (key) => !["name", "message", "stack", ...hidden].includes(key),
  );
  return copyPairs(
    [
      ["type", () => error.name],
      ["message", () => error.message],
      ["stack", () => framesOf(error.stack)],
      ...[...hidden, ...own].map((key): Pair => [key, () => Reflect.get(error, key)]),
    ],
    depth,
    walk,
  );
}

/** The stack repeats the message, which may be long and hold anything: only frames are kept. */
function framesOf(stack: unknown): string | undefined {
  if (typeof stack !== "string") return undefined;
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return frames.length === 0
    ? undefined
    : frames
        .slice(0, 8)
        .map((line) => line.trim())
        .join(" | ");
}
