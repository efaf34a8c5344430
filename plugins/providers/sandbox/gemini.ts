import { isObject, toCount } from "../../../src/kit/json-member.ts";
import { dialect } from "../../dialects/gemini/index.ts";
import { type Echo, type Heard, hear, piecesOf, toEcho, toTokens } from "./echo.ts";
import { sampleOf } from "./schema-sample.ts";
import { newId, type Spoken, type Wire } from "./wire.ts";

type Json = Readonly<Record<string, unknown>>;

/** Gemini's answers, whole or in pieces. */
export const gemini: Wire = {
  dialect,
  surface: "gemini",
  speak({ json, model, stream, query }): Spoken {
    const heard = hearContents(json);
    if (heard === undefined) return { refused: noContents };
    const given = json.generationConfig ?? json.generation_config;
    const config: Json = isObject(given) ? given : {};
    const limit = Number(config.maxOutputTokens ?? config.max_output_tokens);
    const echo = shapedBy(config, toEcho(heard, toCount(limit)));
    if (!stream) return { whole: toChunk(model, newId(""), echo, echo.text, true) };
    const chunks = toChunks(model, echo);
    if (/[?&]alt=sse(?:&|$)/.test(query)) return { pieces: events(chunks) };
    return { pieces: list(chunks), type: "application/json; charset=UTF-8" };
  },
};

/** Gemini's count of tokens: an estimate, the same that an answer would report. */
export const geminiCount: Wire = {
  dialect,
  surface: "count_tokens",
  speak({ json }) {
    const inner = json.generateContentRequest ?? json.generate_content_request;
    const heard = hearContents(isObject(inner) ? inner : json);
    if (heard === undefined) return { refused: noContents };
    return { whole: { totalTokens: toTokens(heard.characters) } };
  },
};

const noContents =
  "`contents` must be a list with at least one content, such as " +
  '[{"role": "user", "parts": [{"text": "Hello"}]}].';

function hearContents(json: Json): Heard | undefined {
  const { contents } = json;
  if (!Array.isArray(contents)) return undefined;
  const messages = (contents as unknown[]).map((content) =>
    isObject(content) ? { role: content.role ?? "user", content: content.parts } : content,
  );
  const before = json.systemInstruction ?? json.system_instruction;
  return hear(messages, isObject(before) ? before.parts : before);
}

/** Where JSON is asked for, the same text inside of what fits the schema. */
function shapedBy(config: Json, echo: Echo): Echo {
  const type = config.responseMimeType ?? config.response_mime_type;
  if (type !== "application/json") return echo;
  const schema =
    config.responseJsonSchema ??
    config.response_json_schema ??
    config.responseSchema ??
    config.response_schema;
  return { ...echo, text: JSON.stringify(sampleOf(schema ?? anyText, echo.text)) };
}

const anyText = { type: "object", properties: { text: { type: "string" } } };

function toChunks(model: string, echo: Echo): readonly object[] {
  const id = newId("");
  const chunks = piecesOf(echo.text).map((text) => toChunk(model, id, echo, text, false));
  return [...chunks, toChunk(model, id, echo, "", true)];
}

/** Every chunk is shaped like a whole answer; only the last tells why it ended. */
function toChunk(model: string, id: string, echo: Echo, text: string, isLast: boolean): object {
  const { inputTokens, outputTokens, isCut } = echo;
  return {
    candidates: [
      {
        content: { parts: [{ text }], role: "model" },
        ...(isLast && { finishReason: isCut ? "MAX_TOKENS" : "STOP" }),
        index: 0,
      },
    ],
    usageMetadata: {
      promptTokenCount: inputTokens,
      ...(isLast && { candidatesTokenCount: outputTokens }),
      totalTokenCount: isLast ? inputTokens + outputTokens : inputTokens,
      promptTokensDetails: [{ modality: "TEXT", tokenCount: inputTokens }],
    },
    modelVersion: model,
    responseId: id,
  };
}

function* events(chunks: readonly object[]): Generator<string> {
  for (const chunk of chunks) yield `data: ${JSON.stringify(chunk)}\r\n\r\n`;
}

function* list(chunks: readonly object[]): Generator<string> {
  let before = "[";
  for (const chunk of chunks) {
    yield before + JSON.stringify(chunk, null, 2);
    before = ",\r\n";
  }
  yield "\n]\n";
}
