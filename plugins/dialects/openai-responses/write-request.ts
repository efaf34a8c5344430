import type {
  NeutralOutput,
  NeutralRequest,
  NeutralTool,
  NeutralToolChoice,
} from "../../../src/contract/neutral.ts";
import type { Told } from "../../../src/contract/translation.ts";
import { toOpenaiEffort } from "../../../src/kit/thinking-effort.ts";
import { writeInput } from "./write-items.ts";

/** Fewest tokens that the API takes as a limit. */
const leastTokens = 16;

/** OpenAI's models that think, whose thoughts come sealed if they are asked for. */
const thinking = /^(?:o\d|gpt-[5-9]|codex)/;

/** Writes a Responses request. */
export function writeRequest(request: NeutralRequest, model: string, told: Told): object {
  const { reasoning, temperature, topP, parallelTools, logprobs } = request;
  const system = request.system.map(({ text }) => text).join("\n\n");
  const effort = toOpenaiEffort(reasoning?.effort, reasoning?.budgetTokens);
  const include = toInclude(request, model);
  const text = {
    ...(request.output && { format: writeOutput(request.output) }),
    ...(request.verbosity !== undefined && { verbosity: request.verbosity }),
  };
  return {
    model,
    ...(request.stream && { stream: true }),
    // What the client sends again itself must not be kept by the vendor.
    store: false,
    ...(system !== "" && { instructions: system }),
    input: writeInput(request.messages),
    ...toLimit(request.maxOutputTokens, told),
    ...(request.tools.length > 0 && {
      tools: request.tools.map(writeTool),
      ...(request.toolChoice && { tool_choice: writeChoice(request.toolChoice, request.tools) }),
      ...(parallelTools !== undefined && { parallel_tool_calls: parallelTools }),
    }),
    ...(Object.keys(text).length > 0 && { text }),
    ...(effort !== undefined && {
      reasoning: { effort, ...(reasoning?.show && effort !== "none" && { summary: "auto" }) },
    }),
    ...(include.length > 0 && { include }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(logprobs !== undefined && logprobs > 0 && { top_logprobs: logprobs }),
    ...(request.user !== undefined && { user: request.user }),
    ...(request.cacheKey && { prompt_cache_key: request.cacheKey }),
  };
}

function toLimit(maxOutputTokens: number | undefined, told: Told): object {
  if (maxOutputTokens === undefined) return {};
  if (maxOutputTokens < leastTokens) told.changed.add("max_tokens");
  return { max_output_tokens: Math.max(leastTokens, maxOutputTokens) };
}

function toInclude({ reasoning, logprobs }: NeutralRequest, model: string): string[] {
  const thinks = thinking.test(model) || (reasoning !== undefined && reasoning.effort !== "none");
  return [
    ...(thinks ? ["reasoning.encrypted_content"] : []),
    ...(logprobs !== undefined ? ["message.output_text.logprobs"] : []),
  ];
}

function writeTool({ name, description, schema, strict, custom }: NeutralTool): object {
  const told = { name, ...(description !== undefined && { description }) };
  if (custom) return { type: "custom", ...told };
  return {
    type: "function",
    ...told,
    parameters: schema ?? { type: "object", properties: {} },
    // Left out it is true here, and many schemas would be refused.
    strict: strict ?? false,
  };
}

function writeChoice(choice: NeutralToolChoice, tools: readonly NeutralTool[]): unknown {
  if (choice.type !== "tool") return choice.type;
  const { name } = choice;
  const isCustom = tools.some((tool) => tool.name === name && tool.custom);
  return { type: isCustom ? "custom" : "function", name };
}

function writeOutput(output: NeutralOutput): object {
  if (output.type === "json") return { type: "json_object" };
  const { name, description, schema, strict } = output;
  return {
    type: "json_schema",
    name,
    ...(description !== undefined && { description }),
    schema,
    ...(strict !== undefined && { strict }),
  };
}
