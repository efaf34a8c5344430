import type {
  NeutralMedia,
  NeutralMessage,
  NeutralPart,
  NeutralText,
  NeutralThinking,
  NeutralToolCall,
  NeutralToolResult,
} from "../../../src/contract/neutral.ts";
import { toDataUrl } from "../../../src/kit/data-url.ts";
import { toErrorText } from "../../../src/kit/tool-error.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** The messages as the items of a conversation. */
export function writeInput(messages: readonly NeutralMessage[]): object[] {
  return messages.flatMap(({ role, parts }) => {
    const items: object[] = [];
    let content: object[] = [];
    const flush = (): void => {
      if (content.length > 0) items.push({ type: "message", role, content });
      content = [];
    };
    for (const part of parts) {
      const piece = role === "user" ? writeGiven(part) : writeSaid(part);
      if (piece !== undefined) {
        content.push(piece);
        continue;
      }
      const item = writeItem(part);
      if (item === undefined) continue;
      flush();
      items.push(item);
    }
    flush();
    return items;
  });
}

/** A part of a user's message; undefined: it is an item of its own. */
function writeGiven(part: NeutralPart): object | undefined {
  switch (part.type) {
    case "text":
    case "image":
    case "document":
    case "audio":
      return writeMedia(part);
    default:
      return undefined;
  }
}

/** A part of an assistant's message; undefined: it is an item of its own. */
function writeSaid(part: NeutralPart): object | undefined {
  if (part.type === "text") return { type: "output_text", text: part.text };
  if (part.type === "refusal") return { type: "refusal", refusal: part.text };
  return undefined;
}

/** Undefined for what is left out: the thoughts of another vendor. */
function writeItem(part: NeutralPart): object | undefined {
  switch (part.type) {
    case "tool_call":
      return writeCall(part);
    case "tool_result":
      return writeResult(part);
    case "thinking":
      return writeThought(part);
    default:
      throw new Untranslatable("messages", `hold ${part.type} said by the assistant`);
  }
}

function writeCall({ id, name, arguments: said, custom }: NeutralToolCall): object {
  if (custom) return { type: "custom_tool_call", call_id: id, name, input: said };
  return { type: "function_call", call_id: id, name, arguments: said === "" ? "{}" : said };
}

function writeResult({ id, parts, isError, custom }: NeutralToolResult): object {
  const type = custom ? "custom_tool_call_output" : "function_call_output";
  const texts = parts.filter((part) => part.type === "text");
  if (texts.length === parts.length) {
    const text = texts.map((part) => part.text).join("\n");
    return { type, call_id: id, output: toErrorText(text, isError) };
  }
  const output = parts.map(writeMedia);
  return {
    type,
    call_id: id,
    output: isError ? [{ type: "input_text", text: "Error:" }, ...output] : output,
  };
}

function writeThought({ text, seal }: NeutralThinking): object | undefined {
  if (seal?.origin !== "openai-responses") return undefined;
  return {
    type: "reasoning",
    ...(seal.id !== undefined && { id: seal.id }),
    summary: text === "" ? [] : [{ type: "summary_text", text }],
    encrypted_content: seal.value,
  };
}

function writeMedia(part: NeutralText | NeutralMedia): object {
  if (part.type === "text") return { type: "input_text", text: part.text };
  const { type, mediaType, data, url, text, name, detail } = part;
  if (text !== undefined) return { type: "input_text", text };
  if (type === "image") {
    const image_url = url ?? toDataUrl(mediaType, data ?? "");
    return { type: "input_image", image_url, detail: detail ?? "auto" };
  }
  if (url !== undefined) return { type: "input_file", file_url: url };
  const filename = name ?? "document.pdf";
  return { type: "input_file", filename, file_data: toDataUrl(mediaType, data ?? "") };
}
