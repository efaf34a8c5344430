import type {
  NeutralMessage,
  NeutralOutput,
  NeutralPart,
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
import { isEffort, knownEfforts } from "../../../src/kit/thinking-effort.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";
import { readAssistant, readContent, readResult, readTexts, type Seen } from "./read-parts.ts";

/** Reads a Chat Completions request. */
export function readRequest(body: JsonObject, asked: Asked, told: Told): NeutralRequest {
  const seen: Seen = { uses: new Map(), calls: new Map() };
  const system: NeutralText[] = [];
  const messages = readMessages(body.messages, system, seen);
  const options = isObject(body.stream_options) ? body.stream_options : {};
  checkModalities(body.modalities);
  const effort = mayText(body.reasoning_effort, "reasoning_effort");
  return {
    ...asked,
    system,
    messages,
    tools: readTools(body.tools, seen, told),
    toolChoice: readChoice(body.tool_choice),
    parallelTools: mayFlag(body.parallel_tool_calls, "parallel_tool_calls") ?? undefined,
    output: readOutput(body.response_format),
    reasoning: effort === undefined ? undefined : { effort: toEffort(effort), show: true },
    maxOutputTokens: readLimit(body),
    temperature: mayNumber(body.temperature, "temperature"),
    topP: mayNumber(body.top_p, "top_p"),
    topK: mayNumber(body.top_k, "top_k"),
    stop: mayTexts(body.stop, "stop"),
    seed: mayNumber(body.seed, "seed"),
    presencePenalty: mayNumber(body.presence_penalty, "presence_penalty") || undefined,
    frequencyPenalty: mayNumber(body.frequency_penalty, "frequency_penalty") || undefined,
    logprobs:
      body.logprobs === true ? (mayNumber(body.top_logprobs, "top_logprobs") ?? 0) : undefined,
    verbosity: mayText(body.verbosity, "verbosity"),
    user: mayText(body.safety_identifier, "safety_identifier") ?? mayText(body.user, "user"),
    cacheKey: mayText(body.prompt_cache_key, "prompt_cache_key"),
    streamUsage: options.include_usage === true,
    uses: seen.uses,
  };
}

/** Of the two names of the limit the larger is the bound, as for the policies. */
function readLimit(body: JsonObject): number | undefined {
  const older = mayNumber(body.max_tokens, "max_tokens");
  const newer = mayNumber(body.max_completion_tokens, "max_completion_tokens");
  return Math.max(older ?? 0, newer ?? 0) || undefined;
}

function checkModalities(value: unknown): void {
  for (const modality of mayTexts(value, "modalities") ?? []) {
    if (modality !== "text")
      throw new Untranslatable("modalities", 'must be ["text"], or left out');
  }
}

function toEffort(effort: string): (typeof knownEfforts)[number] {
  if (isEffort(effort)) return effort;
  throw new Untranslatable("reasoning_effort", `must be one of ${knownEfforts.join(", ")}`);
}

function readMessages(value: unknown, system: NeutralText[], seen: Seen): NeutralMessage[] {
  const messages: { role: NeutralMessage["role"]; parts: NeutralPart[] }[] = [];
  // Neighbours of one role are one message: results of parallel calls belong together.
  const add = (role: NeutralMessage["role"], parts: readonly NeutralPart[]): void => {
    const last = messages.at(-1);
    if (last?.role === role) last.parts.push(...parts);
    else messages.push({ role, parts: [...parts] });
  };
  for (const [i, item] of toList(value, "messages").entries()) {
    const where = `messages[${i}]`;
    const message = toObject(item, where);
    switch (message.role) {
      case "system":
      case "developer":
        if (messages.length > 0) seen.uses.set("late_system", where);
        system.push(...readTexts(message.content, `${where}.content`));
        break;
      case "user":
        add("user", readContent(message.content, `${where}.content`, seen));
        break;
      case "assistant":
        add("assistant", readAssistant(message, where, seen));
        break;
      case "tool":
        add("user", [readResult(message, where, seen)]);
        break;
      default:
        throw new Untranslatable(
          `${where}.role`,
          "must be system, developer, user, assistant or tool",
        );
    }
  }
  return messages;
}

const toolKeys = new Set(["name", "description", "parameters", "strict"]);

function readTools(value: unknown, seen: Seen, told: Told): NeutralTool[] {
  if (!isGiven(value)) return [];
  return toList(value, "tools").map((item, i) => {
    const where = `tools[${i}]`;
    const tool = toObject(item, where);
    if (tool.type === "custom") return readCustom(tool.custom, `${where}.custom`, seen, told);
    if (tool.type !== "function")
      throw new Untranslatable(`${where}.type`, "must be function or custom");
    const made = toObject(tool.function, `${where}.function`);
    onlyKeys(made, toolKeys, `${where}.function`);
    const strict = mayFlag(made.strict, `${where}.function.strict`);
    if (strict === true) seen.uses.set("strict_tool", where);
    return {
      name: toText(made.name, `${where}.function.name`),
      description: mayText(made.description, `${where}.function.description`),
      schema: isGiven(made.parameters)
        ? toObject(made.parameters, `${where}.function.parameters`)
        : undefined,
      strict,
    };
  });
}

function readCustom(value: unknown, where: string, seen: Seen, told: Told): NeutralTool {
  const custom = toObject(value, where);
  seen.uses.set("custom_tool", where);
  if (isObject(custom.format) && custom.format.type !== "text") told.dropped.add(`${where}.format`);
  return {
    name: toText(custom.name, `${where}.name`),
    description: mayText(custom.description, `${where}.description`),
    custom: true,
  };
}

function readChoice(value: unknown): NeutralToolChoice | undefined {
  if (!isGiven(value) || value === "auto") return undefined;
  if (value === "none" || value === "required") return { type: value };
  const choice = toObject(value, "tool_choice");
  const named = choice.type === "custom" ? choice.custom : choice.function;
  if (choice.type !== "function" && choice.type !== "custom") {
    throw new Untranslatable("tool_choice", "must be auto, none, required or the name of one tool");
  }
  const name = toText(isObject(named) ? named.name : undefined, `tool_choice.${choice.type}.name`);
  return { type: "tool", name };
}

function readOutput(value: unknown): NeutralOutput | undefined {
  if (!isGiven(value)) return undefined;
  const format = toObject(value, "response_format");
  if (format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  if (format.type !== "json_schema") {
    throw new Untranslatable("response_format.type", "must be text, json_object or json_schema");
  }
  const where = "response_format.json_schema";
  const made = toObject(format.json_schema, where);
  return {
    type: "schema",
    name: toText(made.name, `${where}.name`),
    description: mayText(made.description, `${where}.description`),
    schema: toObject(made.schema ?? {}, `${where}.schema`),
    strict: mayFlag(made.strict, `${where}.strict`),
  };
}
