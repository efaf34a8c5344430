import type { TextKind, TextPart } from "../contract/text.ts";
import { readDataUrl } from "../kit/data-url.ts";
import { isObject, parse } from "../kit/json-member.ts";
import { isImage } from "./image-bytes.ts";
import { countMembers, membersOf } from "./same-keys.ts";

export type JsonObject = Record<string, unknown>;

/** A text and where it is written back. */
export interface Place extends Omit<TextPart, "index"> {
  /** False: the text can't be put there. */
  write(text: string): boolean;
}

const kinds: Readonly<Record<string, TextKind>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
  model: "assistant",
  tool: "tool_result",
  function: "tool_result",
};
const systemKeys = new Set(["system", "instructions", "systemInstruction", "system_instruction"]);
const entryKeys = new Set(["messages", "input", "contents", "prompt", "content", "requests"]);
const textKeys = new Set(["text", "refusal", "thinking", "reasoning_content", "transcript"]);
const partKeys = new Set(["content", "parts", "summary", "output"]);
const callKeys = new Set(["input", "args", "functionCall", "function_call", "arguments"]);
const resultKeys = new Set(["functionResponse", "function_response"]);
const imageKeys = new Set(["image_url", "source", "inlineData", "inline_data"]);
/** Types of parts that say nothing beside what their members say. */
const plainTypes = new Set([
  "text",
  "input_text",
  "output_text",
  "message",
  "image_url",
  "function",
]);

/** Top-level members that hold the conversation: no parameters. */
export const isCarrier = (key: string): boolean => systemKeys.has(key) || entryKeys.has(key);

/** Finds every text of a body, of whatever dialect; what it does not know is shown as it is. */
export function findParts(root: JsonObject): Place[] {
  const places: Place[] = [];
  const rest: string[] = [];
  for (const key of Object.keys(root)) {
    if (systemKeys.has(key)) content(places, root, key, key, "system");
    else if (entryKeys.has(key)) content(places, root, key, key, "user");
    else if (key === "tools" || key === "functions") json(places, root, key, key, "tool");
    else if (key === "model" && typeof root[key] === "string") continue;
    else if (key === "stream" && typeof root[key] === "boolean") continue;
    else rest.push(key);
  }
  others(places, root, rest, "");
  return places;
}

/** A string, an object or a list of them. */
function content(
  places: Place[],
  holder: object,
  key: string | number,
  path: string,
  kind: TextKind,
): void {
  const value = (holder as JsonObject)[key];
  if (typeof value === "string") plain(places, holder, key, path, kind);
  else if (isTokens(value)) json(places, holder, key, path, "other");
  else if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) content(places, value, i, `${path}.${i}`, kind);
  } else if (isObject(value)) object(places, value as JsonObject, path, kind);
  else if (value !== null && value !== undefined) json(places, holder, key, path, "other");
}

/** A prompt that is given by the numbers of its tokens. */
function isTokens(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "number");
}

function object(places: Place[], item: JsonObject, path: string, around: TextKind): void {
  const { role, type } = item;
  const known = typeof role === "string" && Object.hasOwn(kinds, role) ? kinds[role] : undefined;
  const kind = known ?? kindOf(type, around);
  const rest: string[] = [];
  for (const key of Object.keys(item)) {
    const value = item[key];
    const at = `${path}.${key}`;
    if (key === "role" && known !== undefined) continue;
    if (key === "type" && typeof value === "string" && plainTypes.has(value)) continue;
    if (textKeys.has(key) && typeof value === "string") plain(places, item, key, at, kind);
    else if (partKeys.has(key) && isNest(value)) content(places, item, key, at, kind);
    else if (callKeys.has(key) && isNest(value)) call(places, item, key, at);
    else if (resultKeys.has(key) && isObject(value)) json(places, item, key, at, "tool_result");
    else if (key === "tool_calls" && Array.isArray(value)) toolCalls(places, value, at);
    else if (imageKeys.has(key) && isNest(value)) image(places, item, key, at);
    else rest.push(key);
  }
  others(places, item, rest, path);
}

function isNest(value: unknown): value is string | object {
  return typeof value === "string" || (typeof value === "object" && value !== null);
}

function kindOf(type: unknown, around: TextKind): TextKind {
  if (type === "tool_result" || type === "function_call_output") return "tool_result";
  if (type === "reasoning" || type === "thinking" || type === "output_text") return "assistant";
  return around;
}

function toolCalls(places: Place[], calls: readonly unknown[], path: string): void {
  for (let i = 0; i < calls.length; i++) {
    const one = calls[i] as JsonObject;
    const at = `${path}.${i}`;
    if (!isObject(one) || !isObject(one.function)) json(places, calls, i, at, "tool_call");
    else {
      object(places, one.function as JsonObject, `${at}.function`, "tool_call");
      others(
        places,
        one,
        Object.keys(one).filter((key) => key !== "function"),
        at,
      );
    }
  }
}

/** Arguments are JSON, in a string or as they are; escapes in them hide nothing. */
function call(places: Place[], holder: JsonObject, key: string, path: string): void {
  const value = holder[key];
  if (typeof value !== "string") {
    json(places, holder, key, path, "tool_call");
    return;
  }
  const read = parse(value);
  if (!isObject(read) && !Array.isArray(read)) {
    plain(places, holder, key, path, "tool_call");
    return;
  }
  const write = (text: string): boolean => {
    if (!isLike(parse(text), read)) return false;
    holder[key] = text;
    return true;
  };
  places.push({ kind: "tool_call", path, text: JSON.stringify(read), json: true, write });
  // What a key given twice hides is to be seen in the string itself only.
  if (countMembers(value) !== membersOf(read)) plain(places, holder, key, path, "tool_call");
}

function plain(
  places: Place[],
  holder: object,
  key: string | number,
  path: string,
  kind: TextKind,
): void {
  const at = holder as JsonObject;
  const write = (text: string): boolean => {
    at[key] = text;
    return true;
  };
  places.push({ kind, path, text: String(at[key]), json: false, write });
}

function json(
  places: Place[],
  holder: object,
  key: string | number,
  path: string,
  kind: TextKind,
): void {
  const at = holder as JsonObject;
  const write = (text: string): boolean => {
    const read = parse(text);
    if (!isLike(read, at[key])) return false;
    at[key] = read;
    return true;
  };
  places.push({ kind, path, text: JSON.stringify(at[key]), json: true, write });
}

/** Members that have no kind of their own, as one object. */
function others(places: Place[], holder: JsonObject, keys: readonly string[], path: string): void {
  if (keys.length === 0) return;
  const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, holder[key]])));
  const write = (edited: string): boolean => {
    const read = parse(edited);
    if (!isObject(read)) return false;
    // What is shown elsewhere is changed there.
    const strange = Object.keys(read).some((key) => !keys.includes(key));
    if (strange) return false;
    for (const key of keys) delete holder[key];
    for (const key of Object.keys(read)) setMember(holder, key, read[key]);
    return true;
  };
  places.push({ kind: "other", path, text, json: true, write });
}

/** An address, or bytes: these are left out if they are an image, and shown if they only say so. */
function image(places: Place[], holder: JsonObject, key: string, path: string): void {
  const found: string[] = [];
  const shown = JSON.stringify(holder[key], (name, value: unknown) => {
    if (typeof value !== "string") return value;
    const inUrl = readDataUrl(value);
    const data = inUrl?.data ?? (name === "data" ? value : "");
    if (data === "" || !isImage(data)) return value;
    found.push(inUrl?.mediaType ?? "");
    return `${inUrl === undefined ? "" : `${inUrl.mediaType}, `}${data.length} characters`;
  });
  const value = holder[key];
  const own = isObject(value) ? (value.media_type ?? value.mimeType ?? value.mime_type) : "";
  const mediaType = found[0] === undefined ? undefined : found[0] || String(own ?? "");
  const isOne = mediaType !== undefined || key === "image_url" || isRemoteImage(holder, value);
  places.push({
    kind: isOne ? "image" : "other",
    path,
    text: shown,
    json: true,
    ...(mediaType !== undefined && { mediaType }),
    write: () => false,
  });
}

function isRemoteImage({ type }: JsonObject, source: unknown): boolean {
  return type === "image" && isObject(source) && source.type === "url";
}

function isLike(read: unknown, before: unknown): boolean {
  if (Array.isArray(before)) return Array.isArray(read);
  if (isObject(before)) return isObject(read);
  return read !== undefined && typeof read === typeof before;
}

/** Sets a member of any name: `__proto__` is one like the others. */
export function setMember(holder: JsonObject, key: string, value: unknown): void {
  const whole = { value, writable: true, enumerable: true, configurable: true };
  Object.defineProperty(holder, key, whole);
}
