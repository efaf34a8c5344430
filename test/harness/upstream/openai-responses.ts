import { halves } from "./openai-chat.ts";
import {
  type Filled,
  fill,
  type ReplyOptions,
  replyText,
  thoughtSignature,
  toEvent,
} from "./reply-options.ts";

function usageOf(o: Filled): object {
  return {
    input_tokens: o.inputTokens,
    input_tokens_details: { cached_tokens: o.cachedTokens },
    output_tokens: o.outputTokens,
    output_tokens_details: { reasoning_tokens: o.reasoningTokens },
    total_tokens: o.inputTokens + o.outputTokens,
  };
}

function responseOf(model: string, o: Filled, status: string, output: readonly object[]): object {
  const isOver = status !== "in_progress";
  return {
    id: "resp_1",
    object: "response",
    created_at: 1,
    status,
    error: null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    instructions: null,
    max_output_tokens: null,
    model,
    output,
    parallel_tool_calls: true,
    previous_response_id: o.previousResponseId ?? null,
    reasoning: { effort: null, summary: null },
    store: true,
    temperature: 1,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: 1,
    truncation: "disabled",
    usage: isOver ? usageOf(o) : null,
    user: null,
    metadata: {},
  };
}

function outputOf(o: Filled): object[] {
  const { thought, tool } = o;
  const status = o.isCut ? "incomplete" : "completed";
  const message = {
    id: "msg_1",
    type: "message",
    status,
    role: "assistant",
    content: [{ type: "output_text", text: replyText(o), annotations: [] }],
  };
  const call = tool && {
    id: "fc_1",
    type: "function_call",
    status,
    call_id: "call_1",
    name: tool.name,
    arguments: JSON.stringify(tool.input),
  };
  return [
    ...(thought === undefined ? [] : [reasoningOf(thought)]),
    message,
    ...(call ? [call] : []),
  ];
}

function reasoningOf(thought: string): object {
  const summary = [{ type: "summary_text", text: thought }];
  return { id: "rs_1", type: "reasoning", summary, encrypted_content: thoughtSignature };
}

/** A whole response. */
export function responseReply(model: string, options: ReplyOptions = {}): string {
  const o = fill(options);
  return JSON.stringify(responseOf(model, o, o.isCut ? "incomplete" : "completed", outputOf(o)));
}

/**
 * The events of a streamed response, numbered from 0, each with its blank line; the last is the
 * terminal.
 */
export function responseEvents(model: string, options: ReplyOptions = {}): string[] {
  const o = fill(options);
  const output = outputOf(o);
  let number = 0;
  const event = (type: string, more: object): string =>
    toEvent({ type, sequence_number: number++, ...more });
  const running = responseOf(model, o, "in_progress", []);
  const status = o.isCut ? "incomplete" : "completed";
  return [
    event("response.created", { response: running }),
    event("response.in_progress", { response: running }),
    ...output.flatMap((item, index) => itemEvents(event, item, index, o)),
    event(`response.${status}`, { response: responseOf(model, o, status, output) }),
  ];
}

type ToEvent = (type: string, more: object) => string;

function itemEvents(event: ToEvent, item: object, output_index: number, o: Filled): string[] {
  const { id, type } = item as { id: string; type: string };
  const at = { item_id: id, output_index };
  const empty = { message: { content: [] }, reasoning: { summary: [] } }[type] ?? { arguments: "" };
  const added = { ...item, status: "in_progress", ...empty };
  const first = event("response.output_item.added", { output_index, item: added });
  const inner = type === "message" ? textEvents(event, at, o) : otherEvents(event, at, type, o);
  return [first, ...inner, event("response.output_item.done", { output_index, item })];
}

function textEvents(event: ToEvent, at: object, o: Filled): string[] {
  const here = { ...at, content_index: 0 };
  const part = { type: "output_text", text: "", annotations: [] };
  const text = replyText(o);
  return [
    event("response.content_part.added", { ...here, part }),
    ...o.text.map((delta) => event("response.output_text.delta", { ...here, delta, logprobs: [] })),
    event("response.output_text.done", { ...here, text, logprobs: [] }),
    event("response.content_part.done", { ...here, part: { ...part, text } }),
  ];
}

function otherEvents(event: ToEvent, at: object, type: string, o: Filled): string[] {
  if (type === "reasoning") {
    const here = { ...at, summary_index: 0 };
    const text = o.thought ?? "";
    const part = { type: "summary_text", text: "" };
    return [
      event("response.reasoning_summary_part.added", { ...here, part }),
      event("response.reasoning_summary_text.delta", { ...here, delta: text }),
      event("response.reasoning_summary_text.done", { ...here, text }),
      event("response.reasoning_summary_part.done", { ...here, part: { ...part, text } }),
    ];
  }
  const all = JSON.stringify(o.tool?.input ?? {});
  return [
    ...halves(all).map((delta) =>
      event("response.function_call_arguments.delta", { ...at, delta }),
    ),
    event("response.function_call_arguments.done", { ...at, arguments: all }),
  ];
}

/** An `error` event after a good start. */
export function responseErrorEvent(message: string, sequenceNumber = 4): string {
  const error = { code: "server_error", message, param: null };
  return toEvent({ type: "error", sequence_number: sequenceNumber, ...error });
}

/** The response's own terminal event for a failure. */
export function responseFailedEvent(model: string, message: string, sequenceNumber = 4): string {
  const failed = responseOf(model, fill({}), "failed", []);
  const response = { ...failed, error: { code: "server_error", message } };
  return toEvent({ type: "response.failed", sequence_number: sequenceNumber, response });
}
