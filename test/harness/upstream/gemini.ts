import { vectorOf } from "./openai-embeddings.ts";
import {
  type Filled,
  fill,
  type ReplyOptions,
  replyText,
  thoughtSignature,
  toData,
} from "./reply-options.ts";

function usageOf(o: Filled): object {
  const audio = { modality: "AUDIO", tokenCount: o.audioInputTokens };
  const text = { modality: "TEXT", tokenCount: o.inputTokens - o.audioInputTokens };
  return {
    promptTokenCount: o.inputTokens,
    // Unlike elsewhere, thoughts are counted beside the answer.
    candidatesTokenCount: o.outputTokens - o.reasoningTokens,
    totalTokenCount: o.inputTokens + o.outputTokens,
    cachedContentTokenCount: o.cachedTokens,
    promptTokensDetails: [text, audio],
    cacheTokensDetails: [{ modality: "TEXT", tokenCount: o.cachedTokens }],
    candidatesTokensDetails: [{ modality: "AUDIO", tokenCount: o.audioOutputTokens }],
    thoughtsTokenCount: o.reasoningTokens,
  };
}

interface Part {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly functionCall?: object;
}

function partsOf(o: Filled, text: readonly string[]): Part[] {
  const { thought, tool } = o;
  const called = tool && {
    functionCall: { id: "call-1", name: tool.name, args: tool.input },
    thoughtSignature,
  };
  return [
    ...(thought === undefined ? [] : [{ text: thought, thought: true }]),
    ...text.map((piece) => ({ text: piece })),
    ...(called ? [called] : []),
  ];
}

function answerOf(model: string, parts: readonly Part[], more: object, finish?: string): object {
  const candidate = {
    content: { parts, role: "model" },
    ...(finish !== undefined && { finishReason: finish }),
    index: 0,
  };
  return { candidates: [candidate], ...more, modelVersion: model, responseId: "gemini-1" };
}

/** A whole answer of `generateContent`. */
export function generateReply(model: string, options: ReplyOptions = {}): string {
  const o = fill(options);
  const parts = partsOf(o, [replyText(options)]);
  const usage = { usageMetadata: usageOf(o) };
  return JSON.stringify(answerOf(model, parts, usage, o.isCut ? "MAX_TOKENS" : "STOP"));
}

/** The answers of one `streamGenerateContent`; the last has the finish reason and all counts. */
export function generateChunks(model: string, options: ReplyOptions = {}): object[] {
  const o = fill(options);
  const early = {
    usageMetadata: { promptTokenCount: o.inputTokens, totalTokenCount: o.inputTokens },
  };
  const chunks = partsOf(o, o.text).map((part) => answerOf(model, [part], early));
  const last = [{ text: "", thoughtSignature }];
  const finish = o.isCut ? "MAX_TOKENS" : "STOP";
  return [...chunks, answerOf(model, last, { usageMetadata: usageOf(o) }, finish)];
}

/** The same as events, for `alt=sse`; there is no terminal event beside the finish reason. */
export function generateEvents(model: string, options: ReplyOptions = {}): string[] {
  return generateChunks(model, options).map((chunk) => toData(chunk).replaceAll("\n", "\r\n"));
}

/** The same as pieces of one JSON array, spaced as the vendor does; the last closes it. */
export function generateArray(model: string, options: ReplyOptions = {}): string[] {
  const chunks = generateChunks(model, options).map((chunk) => JSON.stringify(chunk, null, 2));
  return [...chunks.map((chunk, i) => (i === 0 ? `[${chunk}` : `,\r\n${chunk}`)), "\n]\n"];
}

/** The answer of `countTokens`. */
export function geminiCount(options: ReplyOptions = {}): string {
  const { inputTokens, cachedTokens } = fill(options);
  return JSON.stringify({
    totalTokens: inputTokens,
    cachedContentTokenCount: cachedTokens,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: inputTokens }],
  });
}

/** The answer of `embedContent`. */
export function embedReply(options: ReplyOptions = {}): string {
  const { dimensions } = fill(options);
  return JSON.stringify({ embedding: { values: vectorOf(0, dimensions) } });
}

/** The answer of `batchEmbedContents`. */
export function batchEmbedReply(options: ReplyOptions = {}): string {
  const { count, dimensions } = fill(options);
  const embeddings = Array.from({ length: count }, (_, i) => ({ values: vectorOf(i, dimensions) }));
  return JSON.stringify({ embeddings });
}

function errorOf(status: number, message: string): object {
  const details =
    status === 429
      ? [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "7s" }]
      : [];
  return { error: { code: status, message, status: statuses[status] ?? "INTERNAL", details } };
}

const statuses: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  503: "UNAVAILABLE",
};

/** A Gemini error body. */
export function geminiError(status: number, message: string): string {
  return JSON.stringify(errorOf(status, message));
}

/** An error after a good start, as an event. */
export function geminiErrorEvent(message: string): string {
  return toData(errorOf(503, message));
}

/** An error after a good start, as the last element of the array. */
export function geminiErrorElement(message: string): string {
  return `,\r\n${JSON.stringify(errorOf(503, message), null, 2)}\n]\n`;
}

/** Gemini's model list. */
export function geminiModels(ids: readonly string[]): string {
  const models = ids.map((id) => ({
    name: `models/${id}`,
    version: "001",
    displayName: id,
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: ["generateContent", "countTokens"],
  }));
  return JSON.stringify({ models });
}
