import type {
  NeutralMessage,
  NeutralOutput,
  NeutralReasoning,
  NeutralRequest,
  NeutralTool,
  NeutralToolChoice,
} from "../../../src/contract/neutral.ts";
import type { Asked, Told } from "../../../src/contract/translation.ts";
import { isObject } from "../../../src/kit/json-member.ts";
import {
  isGiven,
  type JsonObject,
  mayNumber,
  mayText,
  mayTexts,
  onlyKeys,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";
import { readParts, readSystem, type Seen } from "./read-parts.ts";
import { toJsonSchema } from "./schema.ts";

/** Reads a Gemini request. */
export function readRequest(body: JsonObject, asked: Asked, told: Told): NeutralRequest {
  const seen: Seen = { uses: new Map(), open: [], count: 0 };
  const config = isObject(body.generationConfig) ? body.generationConfig : {};
  const where = "generationConfig";
  for (const modality of mayTexts(config.responseModalities, `${where}.responseModalities`) ?? []) {
    if (!/^text$/i.test(modality)) {
      throw new Untranslatable(`${where}.responseModalities`, 'must be ["TEXT"], or left out');
    }
  }
  return {
    ...asked,
    system: isGiven(body.systemInstruction) ? readSystem(body.systemInstruction) : [],
    messages: readContents(body.contents, seen),
    tools: readTools(body.tools, told),
    toolChoice: readChoice(body.toolConfig),
    output: readOutput(config),
    reasoning: readThinking(config.thinkingConfig),
    maxOutputTokens: toNumber(config.maxOutputTokens, `${where}.maxOutputTokens`),
    temperature: mayNumber(config.temperature, `${where}.temperature`),
    topP: mayNumber(config.topP, `${where}.topP`),
    topK: mayNumber(config.topK, `${where}.topK`),
    stop: mayTexts(config.stopSequences, `${where}.stopSequences`),
    seed: mayNumber(config.seed, `${where}.seed`),
    presencePenalty: mayNumber(config.presencePenalty, `${where}.presencePenalty`) || undefined,
    frequencyPenalty: mayNumber(config.frequencyPenalty, `${where}.frequencyPenalty`) || undefined,
    logprobs:
      config.responseLogprobs === true
        ? (mayNumber(config.logprobs, `${where}.logprobs`) ?? 0)
        : undefined,
    streamUsage: true,
    uses: seen.uses,
  };
}

/** Google's JSON allows whole numbers in quotes. */
function toNumber(value: unknown, field: string): number | undefined {
  const isQuoted = typeof value === "string" && /^\d{1,15}$/.test(value);
  return mayNumber(isQuoted ? Number(value) : value, field);
}

const contentKeys = new Set(["role", "parts"]);

function readContents(value: unknown, seen: Seen): NeutralMessage[] {
  return toList(value, "contents").map((item, i) => {
    const where = `contents[${i}]`;
    const content = toObject(item, where);
    onlyKeys(content, contentKeys, where);
    const role = content.role === "model" ? "assistant" : "user";
    return { role, parts: readParts(content.parts, `${where}.parts`, seen) };
  });
}

const toolKeys = new Set([
  ...["name", "description", "parameters", "parametersJsonSchema", "behavior"],
  ...["response", "responseJsonSchema"],
]);

function readTools(value: unknown, told: Told): NeutralTool[] {
  if (!isGiven(value)) return [];
  const tools: NeutralTool[] = [];
  for (const [i, item] of toList(value, "tools").entries()) {
    const group = toObject(item, `tools[${i}]`);
    for (const [kind, content] of Object.entries(group)) {
      if (kind !== "functionDeclarations") {
        told.dropped.add(`tools.${kind.slice(0, 64)}`);
        continue;
      }
      for (const [j, one] of toList(content, `tools[${i}].${kind}`).entries()) {
        const where = `tools[${i}].${kind}[${j}]`;
        const made = toObject(one, where);
        onlyKeys(made, toolKeys, where);
        tools.push({
          name: toText(made.name, `${where}.name`),
          description: mayText(made.description, `${where}.description`),
          schema: readSchema(made.parametersJsonSchema, made.parameters, where),
        });
      }
    }
  }
  return tools;
}

function readSchema(plain: unknown, google: unknown, where: string): JsonObject | undefined {
  if (isGiven(plain)) return toObject(plain, `${where}.parametersJsonSchema`);
  return isGiven(google) ? toJsonSchema(toObject(google, `${where}.parameters`)) : undefined;
}

function readChoice(value: unknown): NeutralToolChoice | undefined {
  const config = isObject(value) ? value.functionCallingConfig : undefined;
  if (!isObject(config)) return undefined;
  const names = mayTexts(config.allowedFunctionNames, "toolConfig.allowedFunctionNames") ?? [];
  if (config.mode === "NONE") return { type: "none" };
  if (config.mode !== "ANY") return undefined;
  const [name] = names;
  if (name === undefined) return { type: "required" };
  if (names.length === 1) return { type: "tool", name };
  throw new Untranslatable("toolConfig.allowedFunctionNames", "may name one tool, or none");
}

function readOutput(config: JsonObject): NeutralOutput | undefined {
  const where = "generationConfig";
  const type = mayText(config.responseMimeType, `${where}.responseMimeType`) ?? "text/plain";
  if (type === "text/plain") return undefined;
  if (type !== "application/json") {
    throw new Untranslatable(`${where}.responseMimeType`, "must be text/plain or application/json");
  }
  const schema = readSchema(config.responseJsonSchema, config.responseSchema, where);
  return schema === undefined ? { type: "json" } : { type: "schema", name: "reply", schema };
}

function readThinking(value: unknown): NeutralReasoning | undefined {
  if (!isObject(value)) return undefined;
  const where = "generationConfig.thinkingConfig";
  const level = mayText(value.thinkingLevel, `${where}.thinkingLevel`)?.toLowerCase();
  const budgetTokens = mayNumber(value.thinkingBudget, `${where}.thinkingBudget`);
  const show = value.includeThoughts === true;
  if (level === undefined) return { budgetTokens, show };
  if (level === "minimal" || level === "low" || level === "medium" || level === "high") {
    return { effort: level, show };
  }
  throw new Untranslatable(`${where}.thinkingLevel`, "must be minimal, low, medium or high");
}
