import type {
  NeutralMedia,
  NeutralMessage,
  NeutralPart,
  NeutralText,
} from "../../../src/contract/neutral.ts";
import { parse } from "../../../src/kit/json-member.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** Messages as the API takes them: none empty, results of tools before all else. */
export function writeMessages(messages: readonly NeutralMessage[]): object[] {
  const out: object[] = [];
  for (const { role, parts } of messages) {
    const content: object[] = [];
    for (const part of parts) {
      const block = writePart(part);
      if (block === undefined) continue;
      if (part.type === "tool_result") content.splice(resultsIn(content), 0, block);
      else content.push(block);
    }
    if (content.length > 0) out.push({ role, content });
  }
  return out;
}

function resultsIn(content: readonly object[]): number {
  const at = content.findIndex((block) => (block as { type: string }).type !== "tool_result");
  return at < 0 ? content.length : at;
}

/** A part as a content block; undefined: there is nothing in it, or it is another vendor's. */
function writePart(part: NeutralPart): object | undefined {
  switch (part.type) {
    case "text":
      return part.text === "" ? undefined : writeText(part);
    case "refusal":
      return part.text === "" ? undefined : { type: "text", text: part.text };
    case "tool_call":
      return {
        type: "tool_use",
        id: toId(part.id),
        name: part.name,
        input: part.custom ? { input: part.arguments } : toInput(part.arguments),
        ...cached(part),
      };
    case "tool_result":
      return {
        type: "tool_result",
        tool_use_id: toId(part.id),
        content: part.parts.filter(isFull).map((one) => writePart(one)),
        ...(part.isError && { is_error: true }),
        ...cached(part),
      };
    case "thinking":
      return writeThinking(part);
    default:
      return writeMedia(part);
  }
}

export function writeText({ text, cache }: NeutralText): object {
  return { type: "text", text, ...cached({ cache }) };
}

function cached({ cache }: { readonly cache?: boolean | undefined }): object {
  return cache ? { cache_control: { type: "ephemeral" } } : {};
}

function isFull(part: NeutralText | NeutralMedia): boolean {
  return part.type !== "text" || part.text !== "";
}

// Without the signature that it was given, a thought would be refused.
function writeThinking({ text, seal }: Extract<NeutralPart, { type: "thinking" }>) {
  if (seal?.origin !== "anthropic-messages") return undefined;
  if (seal.redacted) return { type: "redacted_thinking", data: seal.value };
  return { type: "thinking", thinking: text, signature: seal.value };
}

function toInput(text: string): unknown {
  const input = text.trim() === "" ? {} : parse(text);
  if (typeof input === "object" && input !== null && !Array.isArray(input)) return input;
  throw new Untranslatable("messages", "hold a tool call whose arguments are no JSON object");
}

/** Other APIs allow more characters; calls and results are changed alike. */
function toId(id: string): string {
  return /^[\w-]+$/.test(id) ? id : `id_${id.replace(/[^\w-]/g, "_")}`;
}

function writeMedia(media: NeutralMedia): object {
  const { type, mediaType, data, url, text, name } = media;
  const title = type === "document" && name !== undefined ? { title: name } : {};
  if (url !== undefined) return { type, source: { type: "url", url }, ...title, ...cached(media) };
  if (text !== undefined) {
    const source = { type: "text", media_type: "text/plain", data: text };
    return { type, source, ...title, ...cached(media) };
  }
  const source = { type: "base64", media_type: mediaType, data };
  return { type, source, ...title, ...cached(media) };
}
