import { type Filled, fill, type ReplyOptions, replyText, toData } from "./reply-options.ts";

const done = "data: [DONE]\n\n";

function usageOf(o: Filled): object {
  return {
    prompt_tokens: o.inputTokens,
    completion_tokens: o.outputTokens,
    total_tokens: o.inputTokens + o.outputTokens,
    prompt_tokens_details: { cached_tokens: o.cachedTokens, audio_tokens: o.audioInputTokens },
    completion_tokens_details: {
      reasoning_tokens: o.reasoningTokens,
      audio_tokens: o.audioOutputTokens,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function finishOf(o: Filled): string {
  if (o.isCut) return "length";
  return o.tool === undefined ? "stop" : "tool_calls";
}

/** A whole chat completion. */
export function chatReply(model: string, options: ReplyOptions = {}): string {
  const o = fill(options);
  const { tool, thought } = o;
  const call = tool && {
    id: "call_1",
    type: "function",
    function: { name: tool.name, arguments: JSON.stringify(tool.input) },
  };
  const message = {
    role: "assistant",
    content: replyText(options),
    refusal: null,
    // Not OpenAI's own, but of many servers that speak its API.
    ...(thought !== undefined && { reasoning_content: thought }),
    ...(call && { tool_calls: [call] }),
  };
  return JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    choices: [{ index: 0, finish_reason: finishOf(o), logprobs: null, message }],
    usage: usageOf(o),
    service_tier: "default",
    system_fingerprint: "fp_1",
  });
}

/** The events of a streamed chat completion, each with its blank line; the last is the terminal. */
export function chatEvents(model: string, options: ReplyOptions = {}): string[] {
  const o = fill(options);
  const event = (choices: unknown, more: object = {}): string =>
    toData({
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1,
      model,
      choices,
      ...more,
    });
  const delta = (content: object, reason: string | null): unknown => [
    { index: 0, delta: content, finish_reason: reason },
  ];
  const toolDelta = (more: object): string =>
    event(delta({ tool_calls: [{ index: 0, ...more }] }, null));
  const { tool, thought } = o;
  const called = tool && [
    toolDelta({ id: "call_1", type: "function", function: { name: tool.name, arguments: "" } }),
    ...halves(JSON.stringify(tool.input)).map((part) =>
      toolDelta({ function: { arguments: part } }),
    ),
  ];
  return [
    event(delta({ role: "assistant", content: "" }, null)),
    ...(thought === undefined ? [] : [event(delta({ reasoning_content: thought }, null))]),
    ...o.text.map((content) => event(delta({ content }, null))),
    ...(called ?? []),
    event(delta({}, finishOf(o))),
    event([], { usage: usageOf(o) }),
    done,
  ];
}

/** Arguments of a tool come in pieces that are no JSON by themselves. */
export function halves(text: string): readonly string[] {
  const middle = Math.ceil(text.length / 2);
  return [text.slice(0, middle), text.slice(middle)];
}

export function chatErrorEvent(message: string): string {
  return toData({ error: { message, type: "server_error", code: null } });
}

function completionHead(model: string): object {
  return { id: "cmpl-1", object: "text_completion", created: 1, model };
}

/** A whole reply of the older Completions API. */
export function completionReply(model: string, options: ReplyOptions = {}): string {
  const o = fill(options);
  const finish = o.isCut ? "length" : "stop";
  const choice = { text: replyText(options), index: 0, logprobs: null, finish_reason: finish };
  return JSON.stringify({ ...completionHead(model), choices: [choice], usage: usageOf(o) });
}

/** The events of a streamed reply of the older Completions API; the last is the terminal. */
export function completionEvents(model: string, options: ReplyOptions = {}): string[] {
  const o = fill(options);
  const head = completionHead(model);
  const event = (text: string, reason: string | null): string =>
    toData({ ...head, choices: [{ text, index: 0, logprobs: null, finish_reason: reason }] });
  return [
    ...o.text.map((text) => event(text, null)),
    event("", o.isCut ? "length" : "stop"),
    toData({ ...head, choices: [], usage: usageOf(o) }),
    done,
  ];
}

/** An OpenAI error body; embeddings, Responses and model lists share it. */
export function openaiError(status: number, message: string): string {
  const [type, code] = errorTypes[status] ?? ["server_error", null];
  return JSON.stringify({ error: { message, type, param: null, code } });
}

const errorTypes: Readonly<Record<number, readonly [type: string, code: string | null]>> = {
  400: ["invalid_request_error", null],
  401: ["invalid_request_error", "invalid_api_key"],
  403: ["invalid_request_error", "unsupported_country_region_territory"],
  404: ["invalid_request_error", "model_not_found"],
  429: ["requests", "rate_limit_exceeded"],
};
