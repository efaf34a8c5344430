import type {
  NeutralOutput,
  NeutralReasoning,
  NeutralRequest,
  NeutralText,
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
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { isEffort, knownEfforts } from "../../../src/kit/thinking-effort.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";
import { readInput, type Seen } from "./read-items.ts";
import { readChoice, readTools } from "./read-tools.ts";

/** What a client asks to be told beside the reply, that other providers tell too. */
const logprobsWish = "message.output_text.logprobs";
const includable = new Set([logprobsWish, "reasoning.encrypted_content"]);

/** Reads a Responses request. */
export function readRequest(body: JsonObject, asked: Asked, told: Told): NeutralRequest {
  const seen: Seen = { uses: new Map(), calls: new Map(), told };
  const system: NeutralText[] = [];
  const instructions = mayText(body.instructions, "instructions");
  if (instructions) system.push({ type: "text", text: instructions });
  const messages = readInput(body.input, system, seen);
  const { toolChoice, tools } = readChoice(body.tool_choice, readTools(body.tools, seen));
  const text = isObject(body.text) ? body.text : {};
  return {
    ...asked,
    system,
    messages,
    tools,
    toolChoice,
    parallelTools: mayFlag(body.parallel_tool_calls, "parallel_tool_calls"),
    output: readOutput(text.format),
    reasoning: readReasoning(body.reasoning),
    maxOutputTokens: mayNumber(body.max_output_tokens, "max_output_tokens"),
    temperature: mayNumber(body.temperature, "temperature"),
    topP: mayNumber(body.top_p, "top_p"),
    logprobs: readLogprobsWish(body, told),
    verbosity: mayText(text.verbosity, "text.verbosity"),
    user: mayText(body.safety_identifier, "safety_identifier") ?? mayText(body.user, "user"),
    cacheKey: mayText(body.prompt_cache_key, "prompt_cache_key"),
    streamUsage: true,
    uses: seen.uses,
  };
}

function readLogprobsWish(body: JsonObject, told: Told): number | undefined {
  const wishes = mayTexts(body.include, "include") ?? [];
  if (wishes.some((wish) => !includable.has(wish))) told.dropped.add("include");
  const most = mayNumber(body.top_logprobs, "top_logprobs") ?? 0;
  return wishes.includes(logprobsWish) || most > 0 ? most : undefined;
}

function readReasoning(value: unknown): NeutralReasoning | undefined {
  if (!isGiven(value)) return undefined;
  const reasoning = toObject(value, "reasoning");
  const effort = mayText(reasoning.effort, "reasoning.effort");
  if (effort !== undefined && !isEffort(effort)) {
    throw new Untranslatable("reasoning.effort", `must be one of ${knownEfforts.join(", ")}`);
  }
  const summary =
    mayText(reasoning.summary, "reasoning.summary") ??
    mayText(reasoning.generate_summary, "reasoning.generate_summary");
  const show = summary !== undefined && summary !== "none";
  return effort === undefined && !show ? undefined : { effort, show };
}

function readOutput(value: unknown): NeutralOutput | undefined {
  if (!isGiven(value)) return undefined;
  const where = "text.format";
  const format = toObject(value, where);
  if (format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  if (format.type !== "json_schema") {
    throw new Untranslatable(`${where}.type`, "must be text, json_object or json_schema");
  }
  return {
    type: "schema",
    name: toText(format.name, `${where}.name`),
    description: mayText(format.description, `${where}.description`),
    schema: toObject(format.schema ?? {}, `${where}.schema`),
    strict: mayFlag(format.strict, `${where}.strict`),
  };
}
