import type {
  NeutralMedia,
  NeutralPart,
  NeutralText,
  NeutralUse,
} from "../../../src/contract/neutral.ts";
import { readDataUrl } from "../../../src/kit/data-url.ts";
import { type JsonObject, mayText, toList, toObject, toText } from "../../../src/kit/json-read.ts";
import { readOpenaiAudio, readOpenaiImage } from "../../../src/kit/openai-media.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

type Uses = Map<NeutralUse, string>;

/** Content that may be text alone. */
export function readTexts(value: unknown, field: string): NeutralText[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  return toList(value, field).map((item, i) => {
    const part = toObject(item, `${field}[${i}]`);
    if (part.type !== "input_text" && part.type !== "output_text") {
      throw new Untranslatable(`${field}[${i}].type`, "must be input_text");
    }
    return { type: "text", text: toText(part.text, `${field}[${i}].text`) };
  });
}

/** What the assistant said before. */
export function readSaid(value: unknown, field: string): NeutralPart[] {
  if (typeof value === "string") return value === "" ? [] : [{ type: "text", text: value }];
  return toList(value, field).map((item, i) => {
    const where = `${field}[${i}]`;
    const part = toObject(item, where);
    switch (part.type) {
      case "output_text":
      case "input_text":
        return { type: "text", text: toText(part.text, `${where}.text`) };
      case "refusal":
        return { type: "refusal", text: toText(part.refusal, `${where}.refusal`) };
      default:
        throw new Untranslatable(`${where}.type`, "must be output_text or refusal");
    }
  });
}

/** Content of a user's message, or of a tool's result. */
export function readContent(
  value: unknown,
  field: string,
  uses: Uses,
): (NeutralText | NeutralMedia)[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  return toList(value, field).map((item, i) => {
    const where = `${field}[${i}]`;
    const part = toObject(item, where);
    switch (part.type) {
      case "input_text":
      case "output_text":
        return { type: "text", text: toText(part.text, `${where}.text`) };
      case "input_image":
        return readImage(part, where, uses);
      case "input_file":
        return readFile(part, where, uses);
      case "input_audio":
        uses.set("audio", where);
        return readOpenaiAudio(part.input_audio, `${where}.input_audio`);
      default:
        throw new Untranslatable(`${where}.type`, "must be input_text, input_image or input_file");
    }
  });
}

function readImage(part: JsonObject, where: string, uses: Uses): NeutralMedia {
  if (typeof part.file_id === "string") throw new Untranslatable(`${where}.file_id`, storedFile);
  const image = readOpenaiImage(part.image_url, part.detail, where, "image_url");
  uses.set("image", where);
  if (image.url !== undefined) uses.set("image_url", where);
  return image;
}

function readFile(part: JsonObject, where: string, uses: Uses): NeutralMedia {
  if (typeof part.file_id === "string") throw new Untranslatable(`${where}.file_id`, storedFile);
  uses.set("document", where);
  const name = mayText(part.filename, `${where}.filename`);
  const url = mayText(part.file_url, `${where}.file_url`);
  if (url !== undefined) {
    uses.set("document_url", where);
    return { type: "document", mediaType: "application/pdf", url, name };
  }
  const inline = readDataUrl(toText(part.file_data, `${where}.file_data`));
  if (inline === undefined) {
    throw new Untranslatable(`${where}.file_data`, "must be a data: address with base64");
  }
  return { type: "document", ...inline, name };
}

const storedFile = "names what only OpenAI has stored: send the file itself as a data: address";
