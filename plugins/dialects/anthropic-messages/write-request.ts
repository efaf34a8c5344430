import type {
  NeutralOutput,
  NeutralRequest,
  NeutralTool,
  NeutralToolChoice,
} from "../../../src/contract/neutral.ts";
import type { Told } from "../../../src/contract/translation.ts";
import { limitSchema } from "../../../src/kit/strict-schema.ts";
import { nearestEffort, toBudget } from "../../../src/kit/thinking-effort.ts";
import { writeMessages, writeText } from "./write-parts.ts";

/** Messages must be given a limit: what older and newer models allow at least, in tokens. */
const defaultMaxTokens = { older: 8192, newer: 32_000 };

/** The least that thinking may be given, in tokens. */
const leastBudget = 1024;

/** By their names: from 4 on, those that decide how long they think, and those that must. */
const newer = /claude-(?:[a-z]+-)*(?:[4-9]|\d\d)(?:\D|$)/;
const adaptive = /claude-(?:[a-z]+-)*(?:4-[6-9](?:\D|$)|[5-9](?:\D|$)|\d\d(?:\D|$))/;
const unsampled = /claude-(?:[a-z]+-)*(?:4-[7-9](?:\D|$)|[5-9](?:\D|$)|\d\d(?:\D|$))/;

/** Keywords that a schema for structured output must not have. */
const refusedKeywords = new Set([
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties"],
  ...["$schema", "contains", "patternProperties", "not"],
]);

/** Writes a request to Messages. */
export function writeRequest(request: NeutralRequest, model: string, told: Told): object {
  const maxTokens =
    request.maxOutputTokens ??
    (newer.test(model) ? defaultMaxTokens.newer : defaultMaxTokens.older);
  const { thinking, effort } = toThinking(request, model, maxTokens, told);
  const format = request.output && toFormat(request.output, told);
  const isThinking = thinking !== undefined && thinking.type !== "disabled";
  return {
    model,
    max_tokens: maxTokens,
    ...(request.stream && { stream: true }),
    ...(request.cacheKey !== undefined && { cache_control: { type: "ephemeral" } }),
    ...(request.system.length > 0 && { system: request.system.map(writeText) }),
    messages: writeMessages(request.messages),
    ...(request.tools.length > 0 && { tools: request.tools.map(toTool) }),
    ...toChoice(request, isThinking, told),
    ...(thinking && { thinking }),
    ...((format || effort) && {
      output_config: { ...(effort && { effort }), ...(format && { format }) },
    }),
    ...toSampling(request, isThinking || unsampled.test(model), told),
    ...(request.stop && { stop_sequences: request.stop }),
    ...(request.user !== undefined && { metadata: { user_id: request.user } }),
  };
}

/** Thinking goes with no temperature but 1; the newest models take none at all. */
function toSampling(request: NeutralRequest, isFixed: boolean, told: Told): object {
  const { temperature, topP, topK } = request;
  if (isFixed) {
    if (temperature !== undefined && temperature !== 1) told.dropped.add("temperature");
    if (topP !== undefined && topP !== 1) told.dropped.add("top_p");
    if (topK !== undefined) told.dropped.add("top_k");
    return {};
  }
  // Both at once are refused by models from 4.1 on.
  if (temperature !== undefined && topP !== undefined) told.dropped.add("top_p");
  if (temperature !== undefined && temperature > 1) told.changed.add("temperature");
  return {
    ...(temperature !== undefined && { temperature: Math.min(temperature, 1) }),
    ...(topP !== undefined && temperature === undefined && { top_p: topP }),
    ...(topK !== undefined && { top_k: topK }),
  };
}

interface Thinking {
  readonly type: "enabled" | "adaptive" | "disabled";
  readonly budget_tokens?: number;
  readonly display?: "summarized" | "omitted";
}

const efforts = ["low", "medium", "high", "xhigh", "max"] as const;

function toThinking(
  request: NeutralRequest,
  model: string,
  maxTokens: number,
  told: Told,
): { readonly thinking?: Thinking; readonly effort?: string } {
  const { reasoning } = request;
  if (reasoning === undefined) return {};
  const { effort, budgetTokens } = reasoning;
  if (effort === "none" || budgetTokens === 0) return { thinking: { type: "disabled" } };
  if (effort === undefined && budgetTokens === undefined && !adaptive.test(model)) return {};
  if (lacksThoughts(request)) {
    // A call without the thoughts before it would be refused.
    told.dropped.add("reasoning");
    return {};
  }
  const display = reasoning.show === false ? "omitted" : "summarized";
  if (adaptive.test(model)) {
    const level = effort && nearestEffort(effort, efforts);
    return { thinking: { type: "adaptive", display }, ...(level && { effort: level }) };
  }
  const asked = budgetTokens ?? toBudget(effort ?? "medium");
  const wanted = Math.max(asked < 0 ? toBudget("medium") : asked, leastBudget);
  const budget = Math.min(wanted, maxTokens - leastBudget);
  if (budget < leastBudget) {
    told.dropped.add("reasoning");
    return {};
  }
  if (budget < wanted) told.changed.add("reasoning");
  return { thinking: { type: "enabled", budget_tokens: budget } };
}

/** Whether the running round of tools began without a sealed thought of this vendor's. */
function lacksThoughts({ messages }: NeutralRequest): boolean {
  const last = messages.at(-1);
  if (last?.role !== "user" || !last.parts.some(({ type }) => type === "tool_result")) return false;
  const caller = messages.findLast(({ role }) => role === "assistant");
  return !caller?.parts.some(
    (part) => part.type === "thinking" && part.seal?.origin === "anthropic-messages",
  );
}

function toChoice(request: NeutralRequest, isThinking: boolean, told: Told): object {
  if (request.tools.length === 0) return {};
  const single = request.parallelTools === false && { disable_parallel_tool_use: true };
  const choice = request.toolChoice;
  const isForced = choice?.type === "required" || choice?.type === "tool";
  if (choice === undefined || (isForced && isThinking)) {
    // Thinking and a forced tool exclude each other.
    if (choice !== undefined) told.changed.add("tool_choice");
    return single ? { tool_choice: { type: "auto", ...single } } : {};
  }
  if (choice.type === "none") return { tool_choice: { type: "none" } };
  return { tool_choice: { ...writeChoice(choice), ...single } };
}

function writeChoice(choice: NeutralToolChoice): object {
  if (choice.type === "tool") return choice;
  return { type: choice.type === "required" ? "any" : choice.type };
}

const noArguments = { type: "object", properties: {} };
const textArgument = {
  type: "object",
  properties: { input: { type: "string" } },
  required: ["input"],
};

function toTool({ name, description, schema, custom, cache, strict }: NeutralTool): object {
  const input = custom ? textArgument : (schema ?? noArguments);
  return {
    name,
    ...(description !== undefined && { description }),
    input_schema: input.type === "object" ? input : { ...input, type: "object" },
    ...(strict === true && { strict: true, input_schema: closed(input) }),
    ...(cache && { cache_control: { type: "ephemeral" } }),
  };
}

function closed(schema: Readonly<Record<string, unknown>>): object {
  return limitSchema(schema, refusedKeywords, true).schema;
}

function toFormat(output: NeutralOutput, told: Told): object | undefined {
  if (output.type === "json") {
    told.dropped.add("output.json");
    return undefined;
  }
  const { schema, dropped } = limitSchema(output.schema, refusedKeywords, true);
  for (const keyword of dropped) told.changed.add(`output.schema.${keyword}`);
  return { type: "json_schema", schema };
}
