import type {
  NeutralLogprob,
  NeutralPart,
  NeutralReply,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import { isObject, toCount } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { readLogprobs } from "../../../src/kit/openai-logprobs.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { ReplyItems } from "./reply-items.ts";

/** Usage of Responses; undefined where there is none. */
export function readCounts(usage: unknown): NeutralUsage | undefined {
  if (!isObject(usage)) return undefined;
  const { input_tokens_details: inputs, output_tokens_details: outputs } = usage;
  return {
    inputTokens: toCount(usage.input_tokens),
    outputTokens: toCount(usage.output_tokens),
    cachedTokens: isObject(inputs) ? toCount(inputs.cached_tokens) : 0,
    cacheWriteTokens: 0,
    reasoningTokens: isObject(outputs) ? toCount(outputs.reasoning_tokens) : 0,
  };
}

function writeCounts(usage: NeutralUsage | undefined): object {
  const { inputTokens = 0, outputTokens = 0, cachedTokens = 0, reasoningTokens = 0 } = usage ?? {};
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  };
}

/** Why a response ended. */
export function readStop(response: JsonObject, hasCalls: boolean): NeutralStop {
  const { incomplete_details: details } = response;
  if (response.status !== "incomplete") return hasCalls ? "tools" : "end";
  const reason = isObject(details) ? details.reason : undefined;
  return reason === "content_filter" ? "filter" : "length";
}

/** Reads a whole response. */
export function readReply(response: JsonObject): NeutralReply {
  const { output, status } = response;
  if (!Array.isArray(output)) throw new BadAnswer("a response without output");
  if (status === "failed" || status === "cancelled") throw new BadAnswer("a response that failed");
  const logprobs: NeutralLogprob[] = [];
  const parts = (output as unknown[]).flatMap((item) =>
    isObject(item) ? readItem(item, logprobs) : [],
  );
  const hasCalls = parts.some(({ type }) => type === "tool_call");
  return {
    parts,
    stop: readStop(response, hasCalls),
    usage: readCounts(response.usage),
    logprobs: logprobs.length > 0 ? logprobs : undefined,
  };
}

function readItem(item: JsonObject, logprobs: NeutralLogprob[]): NeutralPart[] {
  switch (item.type) {
    case "message":
      return listOf(item.content).flatMap((part) => readSaid(part, logprobs));
    case "function_call":
    case "custom_tool_call":
      return readCall(item);
    case "reasoning":
      return readThought(item);
    default:
      return [];
  }
}

function listOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : [];
}

function readSaid(part: JsonObject, logprobs: NeutralLogprob[]): NeutralPart[] {
  if (part.type === "output_text" && typeof part.text === "string") {
    logprobs.push(...(readLogprobs(part.logprobs) ?? []));
    return part.text === "" ? [] : [{ type: "text", text: part.text }];
  }
  if (part.type === "refusal" && typeof part.refusal === "string") {
    return [{ type: "refusal", text: part.refusal }];
  }
  return [];
}

function readCall(item: JsonObject): NeutralPart[] {
  const { name, call_id: callId } = item;
  if (typeof name !== "string" || name === "") throw new BadAnswer("a call without a name");
  const custom = item.type === "custom_tool_call";
  const said = custom ? item.input : item.arguments;
  const id = typeof callId === "string" ? callId : "";
  const text = typeof said === "string" ? said : "";
  return [{ type: "tool_call", id, name, arguments: text, ...(custom && { custom }) }];
}

function readThought(item: JsonObject): NeutralPart[] {
  const text = [...listOf(item.summary), ...listOf(item.content)]
    .map((piece) => (typeof piece.text === "string" ? piece.text : ""))
    .filter((piece) => piece !== "")
    .join("\n\n");
  const { encrypted_content: value, id } = item;
  if (typeof value !== "string" || value === "") {
    return text === "" ? [] : [{ type: "thinking", text }];
  }
  const seal = { origin: "openai-responses", value, ...(typeof id === "string" && { id }) };
  return [{ type: "thinking", text, seal }];
}

/** Writes a whole response. */
export function writeReply(reply: NeutralReply, frame: ReplyFrame): object {
  const items = new ReplyItems(frame);
  const output = reply.parts.flatMap((part) => items.whole(part, reply.logprobs));
  return toResponse(frame, output, reply.stop, reply.usage);
}

/** How a stop is told: what was cut short is incomplete, and says why. */
const reasons: Readonly<Partial<Record<NeutralStop, string>>> = {
  length: "max_output_tokens",
  context: "max_output_tokens",
  refusal: "content_filter",
  filter: "content_filter",
};

/**
 * A response around its output.
 * @param stop undefined: it is still being made
 */
export function toResponse(
  { request, id, created }: ReplyFrame,
  output: readonly object[],
  stop: NeutralStop | undefined,
  usage: NeutralUsage | undefined,
): { readonly status: string; readonly [field: string]: unknown } {
  const reason = stop && reasons[stop];
  const ended = reason === undefined ? "completed" : "incomplete";
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: created,
    status: stop === undefined ? "in_progress" : ended,
    error: null,
    incomplete_details: reason === undefined ? null : { reason },
    instructions: null,
    max_output_tokens: request.maxOutputTokens ?? null,
    metadata: {},
    model: request.model,
    output,
    parallel_tool_calls: request.parallelTools ?? true,
    previous_response_id: null,
    reasoning: { effort: request.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: request.temperature ?? null,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: request.topP ?? null,
    truncation: "disabled",
    usage: stop === undefined ? null : writeCounts(usage),
    user: null,
  };
}
