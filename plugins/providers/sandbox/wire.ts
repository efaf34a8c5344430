import { randomUUID } from "node:crypto";
import type { Echo } from "./echo.ts";

/** The sandbox has no clock: all its answers are of the day it was made. */
const created = Date.UTC(2026, 10, 25) / 1000;

/** An answer, before a dialect shapes it. */
export interface Reply {
  readonly model: string;
  readonly echo: Echo;
  /** Whether an OpenAI stream ends with its usage. */
  readonly withUsage: boolean;
}

/** A whole chat completion. */
export function chatReply({ model, echo }: Reply): object {
  const message = { role: "assistant", content: echo.text, refusal: null };
  return {
    id: newId("chatcmpl-"),
    object: "chat.completion",
    created,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishOf(echo) }],
    usage: chatUsage(echo),
  };
}

/** The events of a streamed chat completion. */
export function* chatEvents({ model, echo, withUsage }: Reply): Generator<string> {
  const head = { id: newId("chatcmpl-"), object: "chat.completion.chunk", created, model };
  const event = (delta: object, finish_reason: string | null): string =>
    toData({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...(withUsage && { usage: null }),
    });
  yield event({ role: "assistant", content: "", refusal: null }, null);
  for (const content of piecesOf(echo.text)) yield event({ content }, null);
  yield event({}, finishOf(echo));
  if (withUsage) yield toData({ ...head, choices: [], usage: chatUsage(echo) });
  yield "data: [DONE]\n\n";
}

/** A whole message. */
export function messageReply({ model, echo }: Reply): object {
  return {
    ...messageHead(model),
    content: [{ type: "text", text: echo.text }],
    stop_reason: stopOf(echo),
    usage: messageUsage(echo, echo.outputTokens),
  };
}

/** The events of a streamed message. */
export function* messageEvents({ model, echo }: Reply): Generator<string> {
  const message = { ...messageHead(model), usage: messageUsage(echo, 1) };
  yield toEvent({ type: "message_start", message });
  const block = { type: "text", text: "" };
  yield toEvent({ type: "content_block_start", index: 0, content_block: block });
  yield toEvent({ type: "ping" });
  for (const text of piecesOf(echo.text)) {
    const delta = { type: "text_delta", text };
    yield toEvent({ type: "content_block_delta", index: 0, delta });
  }
  yield toEvent({ type: "content_block_stop", index: 0 });
  const delta = { stop_reason: stopOf(echo), stop_sequence: null };
  const usage = { output_tokens: echo.outputTokens };
  yield toEvent({ type: "message_delta", delta, usage });
  yield toEvent({ type: "message_stop" });
}

function messageHead(model: string): object {
  return {
    id: newId("msg_"),
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
}

function messageUsage({ inputTokens }: Echo, outputTokens: number): object {
  return {
    input_tokens: inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens,
  };
}

function chatUsage({ inputTokens, outputTokens }: Echo): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

function finishOf({ isCut }: Echo): string {
  return isCut ? "length" : "stop";
}

function stopOf({ isCut }: Echo): string {
  return isCut ? "max_tokens" : "end_turn";
}

/** Words with the space before them, as models stream; long ones in parts. */
function piecesOf(text: string): readonly string[] {
  return text.match(/\s*\S{1,24}|\s+/gu) ?? [];
}

function toData(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function toEvent(data: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${data.type}\n${toData(data)}`;
}

function newId(prefix: string): string {
  return `${prefix}sandbox_${randomUUID().replaceAll("-", "")}`;
}
