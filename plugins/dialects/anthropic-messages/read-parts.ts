import type {
  NeutralMedia,
  NeutralPart,
  NeutralText,
  NeutralToolResult,
  NeutralUse,
} from "../../../src/contract/neutral.ts";
import type { Told } from "../../../src/contract/translation.ts";
import {
  isGiven,
  type JsonObject,
  mayFlag,
  mayText,
  onlyKeys,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { unwrapSeal } from "../../../src/kit/thought-seal.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** What has been seen of a request so far. */
export interface Seen {
  readonly uses: Map<NeutralUse, string>;
  /** Names of tools by the ids of their calls. */
  readonly names: Map<string, string>;
  readonly told: Told;
}

const textKeys = new Set(["type", "text", "cache_control", "citations"]);
const mediaKeys = new Set([
  ...["type", "source", "cache_control", "title", "context", "citations"],
]);
const callKeys = new Set(["type", "id", "name", "input", "cache_control", "caller"]);
const resultKeys = new Set([
  ...["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"],
]);

/** Content of a system prompt or of a system message. */
export function readTexts(value: unknown, field: string, seen: Seen): NeutralText[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  return toList(value, field).map((item, i) => {
    const part = readPart(item, `${field}[${i}]`, seen);
    if (part?.type === "text") return part;
    throw new Untranslatable(`${field}[${i}].type`, "must be text");
  });
}

/** Content of a message. */
export function readParts(value: unknown, field: string, seen: Seen): NeutralPart[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  const parts: NeutralPart[] = [];
  for (const [i, item] of toList(value, field).entries()) {
    const part = readPart(item, `${field}[${i}]`, seen);
    if (part !== undefined) parts.push(part);
  }
  return parts;
}

function readPart(item: unknown, where: string, seen: Seen): NeutralPart | undefined {
  const block = toObject(item, where);
  const cache = isGiven(block.cache_control) || undefined;
  if (cache) seen.uses.set("cache_hint", where);
  switch (block.type) {
    case "text":
      onlyKeys(block, textKeys, where);
      return { type: "text", text: toText(block.text, `${where}.text`), cache };
    case "image":
    case "document":
      onlyKeys(block, mediaKeys, where);
      return { ...readMedia(block, block.type, where, seen), cache };
    case "tool_use": {
      onlyKeys(block, callKeys, where);
      const id = toText(block.id, `${where}.id`);
      const name = toText(block.name, `${where}.name`);
      seen.names.set(id, name);
      const text = JSON.stringify(toObject(block.input ?? {}, `${where}.input`));
      return { type: "tool_call", id, name, arguments: text, cache };
    }
    case "tool_result":
      onlyKeys(block, resultKeys, where);
      return { ...readResult(block, where, seen), cache };
    case "thinking":
      return readThinking(block, where, seen);
    case "redacted_thinking": {
      seen.uses.set("thinking", where);
      const data = toText(block.data, `${where}.data`);
      return { type: "thinking", text: "", seal: unwrapSeal(data, "anthropic-messages", true) };
    }
    default:
      throw new Untranslatable(where, unknownBlock(block.type));
  }
}

function unknownBlock(type: unknown): string {
  return `has the type ${JSON.stringify(String(type).slice(0, 64))}, which can't be translated`;
}

function readThinking(block: JsonObject, where: string, seen: Seen): NeutralPart {
  seen.uses.set("thinking", where);
  const text = toText(block.thinking, `${where}.thinking`);
  const signature = mayText(block.signature, `${where}.signature`);
  if (!signature) return { type: "thinking", text };
  return { type: "thinking", text, seal: unwrapSeal(signature, "anthropic-messages") };
}

function readResult(block: JsonObject, where: string, seen: Seen): NeutralToolResult {
  const id = toText(block.tool_use_id, `${where}.tool_use_id`);
  const isError = mayFlag(block.is_error, `${where}.is_error`) ?? false;
  if (isError) seen.uses.set("tool_error", where);
  const content = isGiven(block.content) ? readParts(block.content, `${where}.content`, seen) : [];
  const parts: (NeutralText | NeutralMedia)[] = [];
  for (const part of content) {
    if (part.type === "image" || part.type === "document") seen.uses.set("media_result", where);
    else if (part.type !== "text") {
      throw new Untranslatable(`${where}.content`, "may hold text, images and documents alone");
    }
    parts.push(part);
  }
  return { type: "tool_result", id, name: seen.names.get(id), parts, isError };
}

function readMedia(
  block: JsonObject,
  type: "image" | "document",
  where: string,
  seen: Seen,
): NeutralMedia {
  const source = toObject(block.source, `${where}.source`);
  const name = mayText(block.title, `${where}.title`);
  seen.uses.set(type, where);
  switch (source.type) {
    case "base64": {
      const mediaType = toText(source.media_type, `${where}.source.media_type`);
      return { type, mediaType, data: toText(source.data, `${where}.source.data`), name };
    }
    case "url": {
      seen.uses.set(`${type}_url`, where);
      const mediaType = type === "image" ? "image/*" : "application/pdf";
      return { type, mediaType, url: toText(source.url, `${where}.source.url`), name };
    }
    case "text": {
      const text = toText(source.data, `${where}.source.data`);
      return { type, mediaType: "text/plain", text, name };
    }
    default:
      throw new Untranslatable(
        `${where}.source.type`,
        "must be base64, url or text: a file of Anthropic's can't be read by another provider",
      );
  }
}
