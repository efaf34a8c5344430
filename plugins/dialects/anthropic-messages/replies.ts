import type {
  NeutralPart,
  NeutralReply,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import { isObject, parse, toCount } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { unwrapSeal, wrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";

const stops: Readonly<Record<string, NeutralStop>> = {
  end_turn: "end",
  max_tokens: "length",
  stop_sequence: "stop_sequence",
  tool_use: "tools",
  pause_turn: "pause",
  refusal: "refusal",
  model_context_window_exceeded: "context",
};

/** A stop reason of Messages in the neutral form. */
export function readStop(reason: unknown): NeutralStop {
  return (typeof reason === "string" ? stops[reason] : undefined) ?? "end";
}

const reasons: Readonly<Record<NeutralStop, string>> = {
  end: "end_turn",
  length: "max_tokens",
  context: "model_context_window_exceeded",
  tools: "tool_use",
  stop_sequence: "stop_sequence",
  pause: "pause_turn",
  refusal: "refusal",
  filter: "refusal",
};

/** A neutral stop reason as Messages names it. */
export function writeStop(stop: NeutralStop): string {
  return reasons[stop];
}

/** Counts that stand beside each other, added up; undefined where there are none. */
export function readCounts(usage: unknown): NeutralUsage | undefined {
  if (!isObject(usage)) return undefined;
  const cachedTokens = toCount(usage.cache_read_input_tokens);
  const cacheWriteTokens = toCount(usage.cache_creation_input_tokens);
  const details = usage.output_tokens_details;
  return {
    inputTokens: toCount(usage.input_tokens) + cachedTokens + cacheWriteTokens,
    outputTokens: toCount(usage.output_tokens),
    cachedTokens,
    cacheWriteTokens,
    reasoningTokens: isObject(details) ? toCount(details.thinking_tokens) : 0,
  };
}

/** Usage as Messages tells it. */
export function writeCounts(usage: NeutralUsage | undefined): JsonObject {
  const { inputTokens = 0, cachedTokens = 0, cacheWriteTokens = 0 } = usage ?? {};
  const { outputTokens = 0, reasoningTokens = 0 } = usage ?? {};
  return {
    input_tokens: Math.max(0, inputTokens - cachedTokens - cacheWriteTokens),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedTokens,
    output_tokens: outputTokens,
    ...(reasoningTokens > 0 && { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  };
}

/** Reads a whole message. */
export function readReply(reply: JsonObject): NeutralReply {
  if (!Array.isArray(reply.content)) throw new BadAnswer("a message without content");
  const parts: NeutralPart[] = [];
  for (const block of reply.content as unknown[]) {
    const part = isObject(block) ? readBlock(block) : undefined;
    if (part !== undefined) parts.push(part);
  }
  return {
    parts,
    stop: readStop(reply.stop_reason),
    stopSequence: typeof reply.stop_sequence === "string" ? reply.stop_sequence : undefined,
    usage: readCounts(reply.usage),
  };
}

function readBlock(block: JsonObject): NeutralPart | undefined {
  const { type } = block;
  if (type === "text" && typeof block.text === "string") return { type, text: block.text };
  if (type === "tool_use" && typeof block.name === "string") {
    const id = typeof block.id === "string" ? block.id : "";
    return {
      type: "tool_call",
      id,
      name: block.name,
      arguments: JSON.stringify(block.input ?? {}),
    };
  }
  if (type === "thinking") {
    const text = typeof block.thinking === "string" ? block.thinking : "";
    const { signature } = block;
    if (typeof signature !== "string" || signature === "") return { type, text };
    return { type, text, seal: unwrapSeal(signature, "anthropic-messages") };
  }
  if (type === "redacted_thinking" && typeof block.data === "string") {
    const seal = { origin: "anthropic-messages", value: block.data, redacted: true };
    return { type: "thinking", text: "", seal };
  }
  return undefined;
}

/** Writes a whole message. */
export function writeReply(reply: NeutralReply, { request, id }: ReplyFrame): object {
  return {
    id: `msg_${id}`,
    type: "message",
    role: "assistant",
    model: request.model,
    content: reply.parts.map(writeBlock),
    stop_reason: writeStop(reply.stop),
    stop_sequence: reply.stopSequence ?? null,
    usage: writeCounts(reply.usage),
  };
}

function writeBlock(part: NeutralPart): object {
  switch (part.type) {
    case "tool_call":
      return { type: "tool_use", id: part.id, name: part.name, input: toInput(part.arguments) };
    case "thinking": {
      const signature = part.seal === undefined ? "" : wrapSeal(part.seal);
      return { type: "thinking", thinking: part.text, signature };
    }
    case "text":
    case "refusal":
      return { type: "text", text: part.text, citations: null };
    default:
      throw new BadAnswer(`a reply with ${part.type}`);
  }
}

function toInput(text: string): unknown {
  const input = text.trim() === "" ? {} : parse(text);
  if (isObject(input)) return input;
  throw new BadAnswer("arguments of a tool that are no JSON object");
}
