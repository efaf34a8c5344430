import type {
  NeutralMessage,
  NeutralOutput,
  NeutralReasoning,
  NeutralRequest,
  NeutralText,
  NeutralTool,
  NeutralToolChoice,
} from "../../../src/contract/neutral.ts";
import type { Asked, Told } from "../../../src/contract/translation.ts";
import { isObject } from "../../../src/kit/json-member.ts";
import {
  isGiven,
  type JsonObject,
  mayFlag,
  mayNumber,
  mayText,
  mayTexts,
  onlyKeys,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";
import { readParts, readTexts, type Seen } from "./read-parts.ts";

/** Reads a request to Messages. */
export function readRequest(body: JsonObject, asked: Asked, told: Told): NeutralRequest {
  const seen: Seen = { uses: new Map(), names: new Map(), told };
  const system: NeutralText[] = [];
  if (isGiven(body.system)) system.push(...readTexts(body.system, "system", seen));
  const messages = readMessages(body.messages, system, seen);
  const choice = isGiven(body.tool_choice) ? toObject(body.tool_choice, "tool_choice") : undefined;
  const config = isObject(body.output_config) ? body.output_config : {};
  return {
    ...asked,
    system,
    messages,
    tools: readTools(body.tools, choice, seen),
    toolChoice: choice && readChoice(choice),
    parallelTools: choice?.disable_parallel_tool_use === true ? false : undefined,
    output: readOutput(config.format ?? body.output_format),
    reasoning: readReasoning(body.thinking, config.effort),
    maxOutputTokens: mayNumber(body.max_tokens, "max_tokens"),
    temperature: mayNumber(body.temperature, "temperature"),
    topP: mayNumber(body.top_p, "top_p"),
    topK: mayNumber(body.top_k, "top_k"),
    stop: mayTexts(body.stop_sequences, "stop_sequences"),
    user: isObject(body.metadata) ? mayText(body.metadata.user_id, "metadata.user_id") : undefined,
    cacheKey: isGiven(body.cache_control) ? "" : undefined,
    streamUsage: true,
    uses: seen.uses,
  };
}

const messageKeys = new Set(["role", "content"]);

function readMessages(value: unknown, system: NeutralText[], seen: Seen): NeutralMessage[] {
  const messages: NeutralMessage[] = [];
  for (const [i, item] of toList(value, "messages").entries()) {
    const where = `messages[${i}]`;
    const message = toObject(item, where);
    onlyKeys(message, messageKeys, where);
    const { role } = message;
    if (role === "system") {
      if (i > 0) seen.uses.set("late_system", where);
      system.push(...readTexts(message.content, `${where}.content`, seen));
    } else if (role === "user" || role === "assistant") {
      messages.push({ role, parts: readParts(message.content, `${where}.content`, seen) });
    } else throw new Untranslatable(`${where}.role`, "must be user, assistant or system");
  }
  return messages;
}

const toolKeys = new Set([
  ...["type", "name", "description", "input_schema", "cache_control", "strict"],
  ...["eager_input_streaming", "input_examples", "allowed_callers", "defer_loading"],
]);

function readTools(value: unknown, choice: JsonObject | undefined, seen: Seen): NeutralTool[] {
  if (!isGiven(value)) return [];
  const tools: NeutralTool[] = [];
  for (const [i, item] of toList(value, "tools").entries()) {
    const where = `tools[${i}]`;
    const tool = toObject(item, where);
    if (isGiven(tool.type) && tool.type !== "custom") {
      if (choice?.name === tool.name) throw new Untranslatable(where, serverTool);
      seen.told.dropped.add(`tools.${String(tool.type).slice(0, 64)}`);
      continue;
    }
    onlyKeys(tool, toolKeys, where);
    if (isGiven(tool.cache_control)) seen.uses.set("cache_hint", where);
    const strict = mayFlag(tool.strict, `${where}.strict`);
    if (strict === true) seen.uses.set("strict_tool", where);
    tools.push({
      name: toText(tool.name, `${where}.name`),
      description: mayText(tool.description, `${where}.description`),
      schema: toObject(tool.input_schema, `${where}.input_schema`),
      strict,
      cache: isGiven(tool.cache_control) || undefined,
    });
  }
  return tools;
}

const serverTool =
  "is a tool that Anthropic's servers run, and the provider of that model has none like it";

function readChoice(choice: JsonObject): NeutralToolChoice | undefined {
  switch (choice.type) {
    case "auto":
      return undefined;
    case "any":
      return { type: "required" };
    case "none":
      return { type: "none" };
    case "tool":
      return { type: "tool", name: toText(choice.name, "tool_choice.name") };
    default:
      throw new Untranslatable("tool_choice.type", "must be auto, any, none or tool");
  }
}

function readOutput(value: unknown): NeutralOutput | undefined {
  if (!isGiven(value)) return undefined;
  const format = toObject(value, "output_config.format");
  if (format.type !== "json_schema") {
    throw new Untranslatable("output_config.format.type", "must be json_schema");
  }
  const schema = toObject(format.schema, "output_config.format.schema");
  return { type: "schema", name: "reply", schema, strict: true };
}

const efforts = new Set(["low", "medium", "high", "xhigh", "max"]);

function readReasoning(value: unknown, effort: unknown): NeutralReasoning | undefined {
  const level = mayText(effort, "output_config.effort");
  if (level !== undefined && !efforts.has(level)) {
    throw new Untranslatable("output_config.effort", "must be low, medium, high, xhigh or max");
  }
  const known = level as NeutralReasoning["effort"];
  if (!isGiven(value)) return level === undefined ? undefined : { effort: known };
  const thinking = toObject(value, "thinking");
  const show = thinking.display !== "omitted";
  switch (thinking.type) {
    case "disabled":
      return { effort: "none" };
    case "adaptive":
      return { effort: known, show };
    case "enabled":
      return {
        effort: known,
        budgetTokens: mayNumber(thinking.budget_tokens, "thinking.budget_tokens"),
        show,
      };
    default:
      throw new Untranslatable("thinking.type", "must be enabled, adaptive or disabled");
  }
}
