import { halves } from "./openai-chat.ts";
import {
  type Filled,
  fill,
  type ReplyOptions,
  replyText,
  thoughtSignature,
  toEvent,
} from "./reply-options.ts";

function usageOf(o: Filled, outputTokens: number): object {
  return {
    input_tokens: o.inputTokens,
    output_tokens: outputTokens,
    cache_read_input_tokens: o.cachedTokens,
    cache_creation_input_tokens: o.cacheWriteTokens,
    cache_creation: {
      ephemeral_5m_input_tokens: o.cacheWriteTokens,
      ephemeral_1h_input_tokens: 0,
    },
    service_tier: "standard",
  };
}

function detailsOf(o: Filled): object {
  return { output_tokens_details: { thinking_tokens: o.reasoningTokens } };
}

function stopOf(o: Filled): string {
  if (o.isCut) return "max_tokens";
  return o.tool === undefined ? "end_turn" : "tool_use";
}

function headOf(model: string): object {
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
}

/** A whole message. */
export function messageReply(model: string, options: ReplyOptions = {}): string {
  const o = fill(options);
  const { thought, tool } = o;
  const content = [
    ...(thought === undefined
      ? []
      : [{ type: "thinking", thinking: thought, signature: thoughtSignature }]),
    { type: "text", text: replyText(options) },
    ...(tool ? [{ type: "tool_use", id: "toolu_1", ...tool }] : []),
  ];
  return JSON.stringify({
    ...headOf(model),
    content,
    stop_reason: stopOf(o),
    usage: { ...usageOf(o, o.outputTokens), ...detailsOf(o) },
  });
}

/** The events of a streamed message, each with its blank line; the last is the terminal. */
export function messageEvents(model: string, options: ReplyOptions = {}): string[] {
  const o = fill(options);
  const { thought, tool } = o;
  const blocks = [
    ...(thought === undefined ? [] : [thinkingDeltas(thought)]),
    textDeltas(o.text),
    ...(tool ? [toolDeltas(tool)] : []),
  ];
  const delta = { stop_reason: stopOf(o), stop_sequence: null };
  const usage = { output_tokens: o.outputTokens, ...detailsOf(o) };
  return [
    toEvent({ type: "message_start", message: { ...headOf(model), usage: usageOf(o, 1) } }),
    ...blocks.flatMap(([content_block, ...deltas], index) => [
      toEvent({ type: "content_block_start", index, content_block }),
      ...deltas.map((each) => toEvent({ type: "content_block_delta", index, delta: each })),
      toEvent({ type: "content_block_stop", index }),
    ]),
    toEvent({ type: "message_delta", delta, usage }),
    toEvent({ type: "message_stop" }),
  ];
}

type Block = readonly object[];

function textDeltas(pieces: readonly string[]): Block {
  return [{ type: "text", text: "" }, ...pieces.map((text) => ({ type: "text_delta", text }))];
}

function thinkingDeltas(thought: string): Block {
  return [
    { type: "thinking", thinking: "", signature: "" },
    { type: "thinking_delta", thinking: thought },
    { type: "signature_delta", signature: thoughtSignature },
  ];
}

function toolDeltas({ name, input }: NonNullable<ReplyOptions["tool"]>): Block {
  const parts = halves(JSON.stringify(input));
  return [
    { type: "tool_use", id: "toolu_1", name, input: {} },
    ...parts.map((partial_json) => ({ type: "input_json_delta", partial_json })),
  ];
}

/** The answer of `/v1/messages/count_tokens`. */
export function messageCount(options: ReplyOptions = {}): string {
  return JSON.stringify({ input_tokens: fill(options).inputTokens });
}

export const messagePing = 'event: ping\ndata: {"type": "ping"}\n\n';

export function messageErrorEvent(message: string): string {
  return toEvent({ type: "error", error: { type: "overloaded_error", message } });
}

/** An Anthropic error body. */
export function messageError(status: number, message: string): string {
  const type = errorTypes[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
  return JSON.stringify({ type: "error", error: { type, message }, request_id: "req_upstream_7" });
}

const errorTypes: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};
