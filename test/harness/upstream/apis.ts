import {
  messageCount,
  messageError,
  messageErrorEvent,
  messageEvents,
  messagePing,
  messageReply,
} from "./anthropic-messages.ts";
import {
  batchEmbedReply,
  embedReply,
  geminiCount,
  geminiError,
  geminiErrorElement,
  geminiErrorEvent,
  generateArray,
  generateEvents,
  generateReply,
} from "./gemini.ts";
import {
  chatErrorEvent,
  chatEvents,
  chatReply,
  completionEvents,
  completionReply,
  openaiError,
} from "./openai-chat.ts";
import { embeddingsReply } from "./openai-embeddings.ts";
import { responseErrorEvent, responseEvents, responseReply } from "./openai-responses.ts";
import type { Received } from "./received.ts";
import type { ReplyOptions } from "./reply-options.ts";

/** One endpoint of a vendor, and all that it can say. */
export interface Api {
  readonly vendor: "openai" | "anthropic" | "gemini";
  reply(model: string, options: ReplyOptions): string;
  /** Pieces of a streamed answer, the terminal one last; absent: it never streams. */
  readonly events?: (model: string, options: ReplyOptions) => string[];
  /** Of the pieces, how many the end is made of: without them the answer is not complete. */
  readonly endPieces?: number;
  /** Content type of the stream, where it holds no events. */
  readonly streamType?: string;
  /** What tells of a failure after a good start. */
  readonly errorPiece?: (message: string) => string;
  /** What may stand between the events and means nothing. */
  readonly ping?: string;
  error(status: number, message: string): string;
}

const chat: Api = {
  vendor: "openai",
  reply: chatReply,
  events: chatEvents,
  endPieces: 3,
  errorPiece: chatErrorEvent,
  error: openaiError,
};
const completions: Api = { ...chat, reply: completionReply, events: completionEvents };
const responses: Api = {
  vendor: "openai",
  reply: responseReply,
  events: responseEvents,
  endPieces: 1,
  errorPiece: responseErrorEvent,
  error: openaiError,
};
const embeddings: Api = { vendor: "openai", reply: embeddingsReply, error: openaiError };
const messages: Api = {
  vendor: "anthropic",
  reply: messageReply,
  events: messageEvents,
  endPieces: 3,
  errorPiece: messageErrorEvent,
  ping: messagePing,
  error: messageError,
};
const countTokens: Api = {
  vendor: "anthropic",
  reply: (_model, options) => messageCount(options),
  error: messageError,
};
const generateSse: Api = {
  vendor: "gemini",
  reply: generateReply,
  events: generateEvents,
  endPieces: 1,
  errorPiece: geminiErrorEvent,
  error: geminiError,
};
const generateJson: Api = {
  ...generateSse,
  events: generateArray,
  endPieces: 2,
  streamType: "application/json; charset=UTF-8",
  errorPiece: geminiErrorElement,
};
const geminiCounting: Api = {
  vendor: "gemini",
  reply: (_model, options) => geminiCount(options),
  error: geminiError,
};
const embedding: Api = { ...geminiCounting, reply: (_model, options) => embedReply(options) };
const batch: Api = { ...geminiCounting, reply: (_model, options) => batchEmbedReply(options) };

const byPath: readonly (readonly [end: RegExp, api: Api])[] = [
  [/\/chat\/completions$/, chat],
  [/\/completions$/, completions],
  [/\/responses$/, responses],
  [/\/embeddings$/, embeddings],
  [/\/messages$/, messages],
  [/\/messages\/count_tokens$/, countTokens],
  [/:generateContent$/, generateSse],
  [/:countTokens$/, geminiCounting],
  [/:embedContent$/, embedding],
  [/:batchEmbedContents$/, batch],
];

/** The endpoint that a request calls; chat where the path is unknown. */
export function apiOf(request: Received): Api {
  const { path } = request;
  if (path.endsWith(":streamGenerateContent")) return request.isAltSse ? generateSse : generateJson;
  const known = byPath.find(([end]) => end.test(path))?.[1];
  if (known !== undefined) return known;
  if (request.header("x-goog-api-key") !== undefined) return geminiCounting;
  return request.isMessages ? messages : chat;
}

/** The whole answer to a request. */
export function replyOf(request: Received, options: ReplyOptions = {}): string {
  return apiOf(request).reply(request.model, { ...askedOf(request), ...options });
}

/** The pieces of the streamed answer to a request. */
export function piecesOf(request: Received, options: ReplyOptions = {}): string[] {
  const { events } = apiOf(request);
  if (events === undefined) throw new Error(`${request.path} does not stream`);
  return events(request.model, { ...askedOf(request), ...options });
}

/** What the request itself says about its answer. */
function askedOf({ json }: Received): ReplyOptions {
  const {
    previous_response_id: previousResponseId,
    encoding_format: encoding,
    dimensions,
    requests,
  } = json;
  const many = requests ?? (Array.isArray(json.input) ? json.input : undefined);
  return {
    ...(previousResponseId !== undefined && { previousResponseId }),
    ...(encoding !== undefined && { encoding }),
    ...(dimensions !== undefined && { dimensions }),
    ...(many !== undefined && { count: many.length }),
  };
}
