import { isObject, toCount } from "../../../src/kit/json-member.ts";
import { dialect } from "../../dialects/anthropic-messages/index.ts";
import { type Echo, hear, noMessages, piecesOf, toEcho } from "./echo.ts";
import { newId, toEvent, type Wire } from "./wire.ts";

/** Anthropic's Messages. */
export const messages: Wire = {
  dialect,
  surface: "messages",
  speak({ json, model, stream }) {
    const heard = hear(json.messages, json.system);
    if (heard === undefined) return { refused: noMessages };
    if (isObject(json.thread) && json.thread.type === "continue") return noThread;
    const echo = toEcho(heard, toCount(json.max_tokens));
    return stream ? { pieces: events(model, echo) } : { whole: reply(model, echo) };
  },
};

/** The sandbox remembers nothing; told so, the official SDK sends all of the messages again. */
const noThread = {
  status: 404,
  error: {
    type: "error",
    error: {
      type: "not_found_error",
      message: "The sandbox keeps no threads: send all messages.",
      details: { error_code: "thread_not_found" },
    },
    request_id: null,
  },
};

function reply(model: string, echo: Echo): object {
  return {
    ...headOf(model),
    content: [{ type: "text", text: echo.text }],
    stop_reason: stopOf(echo),
    usage: usageOf(echo, echo.outputTokens),
  };
}

function* events(model: string, echo: Echo): Generator<string> {
  const message = { ...headOf(model), usage: usageOf(echo, 1) };
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

function headOf(model: string): object {
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

function usageOf({ inputTokens }: Echo, outputTokens: number): object {
  return {
    input_tokens: inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens,
  };
}

function stopOf({ isCut }: Echo): string {
  return isCut ? "max_tokens" : "end_turn";
}
