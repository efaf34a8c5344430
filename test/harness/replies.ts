/** Texts and token counts of a made-up reply, in the shapes of both vendors. */
export interface ReplyOptions {
  readonly text?: readonly string[];
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly cachedTokens?: number;
  readonly reasoningTokens?: number;
}

const defaults = {
  text: ["Hello", " from", " the", " fake", " upstream: naïve façade 🦊"],
  inputTokens: 11,
  outputTokens: 7,
  cachedTokens: 3,
  reasoningTokens: 2,
};

export function replyText(options: ReplyOptions = {}): string {
  return (options.text ?? defaults.text).join("");
}

function chatUsage(o: typeof defaults): object {
  return {
    prompt_tokens: o.inputTokens,
    completion_tokens: o.outputTokens,
    total_tokens: o.inputTokens + o.outputTokens,
    prompt_tokens_details: { cached_tokens: o.cachedTokens },
    completion_tokens_details: { reasoning_tokens: o.reasoningTokens },
  };
}

export function chatReply(model: string, options: ReplyOptions = {}): string {
  const o = { ...defaults, ...options } as typeof defaults;
  return JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    choices: [
      {
        index: 0,
        finish_reason: "stop",
        message: { role: "assistant", content: replyText(options), refusal: null },
      },
    ],
    usage: chatUsage(o),
  });
}

/** The events of a streamed chat completion, each with its blank line; the last is the terminal. */
export function chatEvents(model: string, options: ReplyOptions = {}): string[] {
  const o = { ...defaults, ...options } as typeof defaults;
  const event = (choices: unknown, more: object = {}): string =>
    `data: ${JSON.stringify({
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1,
      model,
      choices,
      ...more,
    })}\n\n`;
  const delta = (content: object, reason: string | null): unknown => [
    { index: 0, delta: content, finish_reason: reason },
  ];
  return [
    event(delta({ role: "assistant", content: "" }, null)),
    ...o.text.map((content) => event(delta({ content }, null))),
    event(delta({}, "stop")),
    event([], { usage: chatUsage(o) }),
    "data: [DONE]\n\n",
  ];
}

function messageUsage(o: typeof defaults, outputTokens: number): object {
  return {
    input_tokens: o.inputTokens,
    output_tokens: outputTokens,
    cache_read_input_tokens: o.cachedTokens,
    cache_creation_input_tokens: 0,
  };
}

export function messageReply(model: string, options: ReplyOptions = {}): string {
  const o = { ...defaults, ...options } as typeof defaults;
  return JSON.stringify({
    id: "msg_1",
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text: replyText(options) }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: messageUsage(o, o.outputTokens),
  });
}

/** The events of a streamed message, each with its blank line; the last is the terminal. */
export function messageEvents(model: string, options: ReplyOptions = {}): string[] {
  const o = { ...defaults, ...options } as typeof defaults;
  const event = (type: string, data: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
  return [
    event("message_start", {
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: messageUsage(o, 1),
      },
    }),
    event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    ...o.text.map((text) =>
      event("content_block_delta", { index: 0, delta: { type: "text_delta", text } }),
    ),
    event("content_block_stop", { index: 0 }),
    event("message_delta", {
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: o.outputTokens },
    }),
    event("message_stop", {}),
  ];
}

export function chatErrorEvent(message: string): string {
  return `data: ${JSON.stringify({ error: { message, type: "server_error", code: null } })}\n\n`;
}

export function messageErrorEvent(message: string): string {
  const data = { type: "error", error: { type: "overloaded_error", message } };
  return `event: error\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The model list in the shape of the vendor that is asked. */
export function modelList(ids: readonly string[], anthropic: boolean): string {
  if (!anthropic) {
    const data = ids.map((id) => ({ id, object: "model", created: 1, owned_by: "fake" }));
    return JSON.stringify({ object: "list", data });
  }
  const data = ids.map((id) => ({
    id,
    type: "model",
    display_name: id,
    created_at: "2026-01-01T00:00:00Z",
  }));
  const [first_id, last_id] = [ids[0] ?? null, ids.at(-1) ?? null];
  return JSON.stringify({ data, has_more: false, first_id, last_id });
}
