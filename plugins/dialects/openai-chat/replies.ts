import type {
  NeutralPart,
  NeutralReply,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import { isObject, toCount } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { readLogprobs, writeLogprobs } from "../../../src/kit/openai-logprobs.ts";
import { wrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";

const stops: Readonly<Record<string, NeutralStop>> = {
  stop: "end",
  length: "length",
  tool_calls: "tools",
  function_call: "tools",
  content_filter: "filter",
};

/** A finish reason in the neutral form. */
export function readStop(reason: string): NeutralStop {
  return stops[reason] ?? "end";
}

const reasons: Readonly<Record<NeutralStop, string>> = {
  end: "stop",
  length: "length",
  context: "length",
  tools: "tool_calls",
  stop_sequence: "stop",
  pause: "stop",
  refusal: "content_filter",
  filter: "content_filter",
};

/** A neutral stop reason as Chat Completions names it. */
export function writeStop(stop: NeutralStop): string {
  return reasons[stop];
}

/** Usage of Chat Completions; undefined where there is none. */
export function readCounts(usage: unknown): NeutralUsage | undefined {
  if (!isObject(usage)) return undefined;
  const { prompt_tokens_details: inputs, completion_tokens_details: outputs } = usage;
  return {
    inputTokens: toCount(usage.prompt_tokens),
    outputTokens: toCount(usage.completion_tokens),
    cachedTokens: isObject(inputs) ? toCount(inputs.cached_tokens) : 0,
    cacheWriteTokens: 0,
    reasoningTokens: isObject(outputs) ? toCount(outputs.reasoning_tokens) : 0,
  };
}

/** Usage as Chat Completions tells it. */
export function writeCounts(usage: NeutralUsage | undefined): object {
  const { inputTokens = 0, outputTokens = 0, cachedTokens = 0, reasoningTokens = 0 } = usage ?? {};
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  };
}

/** Reads a whole completion. */
export function readReply(reply: JsonObject): NeutralReply {
  const choice = Array.isArray(reply.choices) ? (reply.choices as unknown[])[0] : undefined;
  const message = isObject(choice) ? choice.message : undefined;
  if (!isObject(choice) || !isObject(message))
    throw new BadAnswer("a completion without a message");
  const { content, refusal, reasoning_content: thoughts, reasoning } = message;
  const parts: NeutralPart[] = [];
  const thought = typeof thoughts === "string" ? thoughts : reasoning;
  if (typeof thought === "string" && thought !== "")
    parts.push({ type: "thinking", text: thought });
  if (typeof content === "string" && content !== "") parts.push({ type: "text", text: content });
  if (typeof refusal === "string" && refusal !== "") parts.push({ type: "refusal", text: refusal });
  const calls: unknown[] = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  for (const call of calls) {
    const part = isObject(call) ? readCall(call) : undefined;
    if (part !== undefined) parts.push(part);
  }
  const reason = typeof choice.finish_reason === "string" ? choice.finish_reason : "stop";
  const hasCalls = parts.some(({ type }) => type === "tool_call");
  return {
    parts,
    // Some servers say `stop` of a reply that calls tools; clients then would not run them.
    stop: hasCalls && reason === "stop" ? "tools" : readStop(reason),
    usage: readCounts(reply.usage),
    logprobs: readLogprobs(isObject(choice.logprobs) ? choice.logprobs.content : undefined),
  };
}

function readCall(call: JsonObject): NeutralPart | undefined {
  const id = typeof call.id === "string" ? call.id : "";
  const { function: made, custom } = call;
  if (isObject(custom) && typeof custom.name === "string" && typeof custom.input === "string") {
    return { type: "tool_call", id, name: custom.name, arguments: custom.input, custom: true };
  }
  if (!isObject(made) || typeof made.name !== "string") return undefined;
  const text = typeof made.arguments === "string" ? made.arguments : "";
  return { type: "tool_call", id, name: made.name, arguments: text };
}

/** Writes a whole completion. */
export function writeReply(reply: NeutralReply, { request, id, created }: ReplyFrame): object {
  const { parts, logprobs } = reply;
  const calls = parts.flatMap((part) => (part.type === "tool_call" ? [writeCall(part)] : []));
  const text = textOf(parts, "text");
  const refusal = textOf(parts, "refusal");
  const message = {
    role: "assistant",
    content: text === "" && (calls.length > 0 || refusal !== "") ? null : text,
    refusal: refusal === "" ? null : refusal,
    ...(calls.length > 0 && { tool_calls: calls }),
    ...writeThoughts(parts),
  };
  const told = logprobs && { content: writeLogprobs(logprobs), refusal: null };
  const finish_reason = writeStop(reply.stop);
  return {
    id: `chatcmpl-${id}`,
    object: "chat.completion",
    created,
    model: request.model,
    choices: [{ index: 0, message, logprobs: told ?? null, finish_reason }],
    usage: writeCounts(reply.usage),
  };
}

function textOf(parts: readonly NeutralPart[], type: "text" | "refusal"): string {
  return parts.map((part) => (part.type === type ? part.text : "")).join("");
}

function writeCall(part: Extract<NeutralPart, { type: "tool_call" }>): object {
  const { id, name, arguments: text } = part;
  if (part.custom) return { id, type: "custom", custom: { name, input: text } };
  return { id, type: "function", function: { name, arguments: text } };
}

/** Thoughts in the form that other servers of this API give them in. */
function writeThoughts(parts: readonly NeutralPart[]): object {
  const thoughts = parts.filter((part) => part.type === "thinking");
  if (thoughts.length === 0) return {};
  const text = thoughts.map((part) => part.text).join("");
  const sealed = thoughts.some(({ seal }) => seal !== undefined);
  return {
    ...(text !== "" && { reasoning_content: text }),
    ...(sealed && { reasoning_details: thoughts.map(writeThought) }),
  };
}

/** A thought that the client may give back, with what proves it. */
export function writeThought({ text, seal }: Extract<NeutralPart, { type: "thinking" }>): object {
  return { type: "reasoning.text", text, ...(seal && { signature: wrapSeal(seal) }) };
}
