import { isObject, toCount } from "../../../src/kit/json-member.ts";
import { dialect } from "../../dialects/openai-chat/index.ts";
import { type Echo, hear, noMessages, piecesOf, toEcho } from "./echo.ts";
import { created, newId, toData, type Wire } from "./wire.ts";

/** OpenAI's Chat Completions. */
export const chat: Wire = {
  dialect,
  surface: "chat",
  speak({ json, model, stream }) {
    const heard = hear(json.messages, undefined);
    if (heard === undefined) return { refused: noMessages };
    const limit = toCount(json.max_completion_tokens) || toCount(json.max_tokens);
    const echo = toEcho(heard, limit);
    if (stream) return { pieces: events(model, echo, wantsUsage(json)) };
    return { whole: reply(model, echo) };
  },
};

/** Whether an OpenAI stream ends with its usage. */
export function wantsUsage({ stream_options: options }: Readonly<Record<string, unknown>>) {
  return isObject(options) && options.include_usage === true;
}

function reply(model: string, echo: Echo): object {
  const message = { role: "assistant", content: echo.text, refusal: null };
  return {
    id: newId("chatcmpl-"),
    object: "chat.completion",
    created,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishOf(echo) }],
    usage: usageOf(echo),
  };
}

function* events(model: string, echo: Echo, withUsage: boolean): Generator<string> {
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
  if (withUsage) yield toData({ ...head, choices: [], usage: usageOf(echo) });
  yield "data: [DONE]\n\n";
}

export function usageOf({ inputTokens, outputTokens }: Echo): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

export function finishOf({ isCut }: Echo): string {
  return isCut ? "length" : "stop";
}
