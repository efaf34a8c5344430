import type {
  NeutralMedia,
  NeutralPart,
  NeutralText,
  NeutralToolResult,
  NeutralUse,
} from "../../../src/contract/neutral.ts";
import { readDataUrl } from "../../../src/kit/data-url.ts";
import {
  isGiven,
  type JsonObject,
  mayText,
  onlyKeys,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { readOpenaiAudio, readOpenaiImage } from "../../../src/kit/openai-media.ts";
import { unwrapSeal } from "../../../src/kit/thought-seal.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** What has been seen of a request so far. */
export interface Seen {
  readonly uses: Map<NeutralUse, string>;
  /** Tools by the ids of their calls. */
  readonly calls: Map<string, { readonly name: string; readonly custom?: boolean }>;
}

/** Content that may be text alone. */
export function readTexts(value: unknown, field: string): NeutralText[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  return toList(value, field).map((item, i) => {
    const part = toObject(item, `${field}[${i}]`);
    if (part.type !== "text") throw new Untranslatable(`${field}[${i}].type`, "must be text");
    return { type: "text", text: toText(part.text, `${field}[${i}].text`) };
  });
}

/** Content of a user's message. */
export function readContent(value: unknown, field: string, seen: Seen): NeutralPart[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  return toList(value, field).map((item, i) => {
    const where = `${field}[${i}]`;
    const part = toObject(item, where);
    switch (part.type) {
      case "text":
        return { type: "text", text: toText(part.text, `${where}.text`) };
      case "image_url":
        return readImage(toObject(part.image_url, `${where}.image_url`), where, seen);
      case "input_audio":
        seen.uses.set("audio", where);
        return readOpenaiAudio(part.input_audio, `${where}.input_audio`);
      case "file":
        return readFile(toObject(part.file, `${where}.file`), where, seen);
      default:
        throw new Untranslatable(`${where}.type`, "must be text, image_url, input_audio or file");
    }
  });
}

function readImage(image: JsonObject, where: string, seen: Seen): NeutralMedia {
  const read = readOpenaiImage(image.url, image.detail, `${where}.image_url`, "url");
  seen.uses.set("image", where);
  if (read.url !== undefined) seen.uses.set("image_url", where);
  return read;
}

function readFile(file: JsonObject, where: string, seen: Seen): NeutralMedia {
  seen.uses.set("document", where);
  const inline = readDataUrl(mayText(file.file_data, `${where}.file.file_data`) ?? "");
  if (inline === undefined) {
    throw new Untranslatable(
      `${where}.file`,
      "must hold `file_data` as a data: address: a stored file can't be read by another provider",
    );
  }
  return { type: "document", ...inline, name: mayText(file.filename, `${where}.file.filename`) };
}

const assistantKeys = new Set([
  ...["role", "content", "refusal", "tool_calls", "name", "annotations"],
  ...["reasoning_content", "reasoning_details", "audio", "function_call"],
]);

/** The parts of an assistant's message. */
export function readAssistant(message: JsonObject, where: string, seen: Seen): NeutralPart[] {
  onlyKeys(message, assistantKeys, where);
  if (isGiven(message.audio) || isGiven(message.function_call)) {
    throw new Untranslatable(
      where,
      "holds audio or the older `function_call`, which can't be sent on",
    );
  }
  const parts: NeutralPart[] = readThoughts(message, where, seen);
  const { content } = message;
  if (typeof content === "string") {
    if (content !== "") parts.push({ type: "text", text: content });
  } else if (isGiven(content)) {
    for (const [i, item] of toList(content, `${where}.content`).entries()) {
      const part = toObject(item, `${where}.content[${i}]`);
      const { type } = part;
      if (type !== "text" && type !== "refusal") {
        throw new Untranslatable(`${where}.content[${i}].type`, "must be text or refusal");
      }
      parts.push({ type, text: toText(part[type], `${where}.content[${i}].${type}`) });
    }
  }
  const refusal = mayText(message.refusal, `${where}.refusal`);
  if (refusal) parts.push({ type: "refusal", text: refusal });
  if (!isGiven(message.tool_calls)) return parts;
  for (const [i, item] of toList(message.tool_calls, `${where}.tool_calls`).entries()) {
    parts.push(
      readCall(toObject(item, `${where}.tool_calls[${i}]`), `${where}.tool_calls[${i}]`, seen),
    );
  }
  return parts;
}

function readCall(call: JsonObject, where: string, seen: Seen): NeutralPart {
  const id = toText(call.id, `${where}.id`);
  const custom = call.type === "custom";
  const made = toObject(custom ? call.custom : call.function, `${where}.function`);
  const name = toText(made.name, `${where}.function.name`);
  seen.calls.set(id, { name, custom });
  const text = toText(custom ? made.input : made.arguments, `${where}.function.arguments`);
  return { type: "tool_call", id, name, arguments: text, ...(custom && { custom }) };
}

/** What we gave a client to keep, in the form that other servers give thoughts in. */
function readThoughts(message: JsonObject, where: string, seen: Seen): NeutralPart[] {
  const parts: NeutralPart[] = [];
  if (isGiven(message.reasoning_details)) {
    for (const item of toList(message.reasoning_details, `${where}.reasoning_details`)) {
      const detail = toObject(item, `${where}.reasoning_details`);
      const text = mayText(detail.text, `${where}.reasoning_details.text`) ?? "";
      const value = mayText(detail.signature, `${where}.reasoning_details.signature`);
      const seal = value ? unwrapSeal(value, "openai-chat") : undefined;
      parts.push({ type: "thinking", text, seal });
    }
  } else if (typeof message.reasoning_content === "string" && message.reasoning_content !== "") {
    parts.push({ type: "thinking", text: message.reasoning_content });
  }
  if (parts.length > 0) seen.uses.set("thinking", where);
  return parts;
}

/** A tool's result, a message of its own here. */
export function readResult(message: JsonObject, where: string, seen: Seen): NeutralToolResult {
  const id = toText(message.tool_call_id, `${where}.tool_call_id`);
  const parts = readTexts(message.content, `${where}.content`);
  const call = seen.calls.get(id);
  return { type: "tool_result", id, name: call?.name, parts, isError: false, custom: call?.custom };
}
