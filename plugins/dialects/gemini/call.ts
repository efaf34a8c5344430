import type { CalledRoute, FactValue } from "../../../src/contract/plugin.ts";
import type { CallFacts } from "../../../src/contract/policy.ts";
import { countProblem, maxTokensProblem } from "../../../src/kit/call-facts.ts";
import { defineFactKeys } from "../../../src/kit/fact-keys.ts";
import { type Fact, factProblems, scanFacts } from "../../../src/kit/json-facts.ts";
import { pathNameProblem, toPlainName } from "./model-name.ts";
import { namedModels, type Raw } from "./named-models.ts";

type Facts = (key: string) => FactValue;

/** Google takes every key in two spellings, and which of both would win nobody says. */
const spellings = [
  ["systemInstruction", "system_instruction"],
  ["generationConfig", "generation_config"],
  ["generateContentRequest", "generate_content_request"],
  ["toolConfig", "tool_config"],
  ["safetySettings", "safety_settings"],
  ["cachedContent", "cached_content"],
] as const;

/** The top-level keys of all requests, in both spellings. */
export const factKeys: readonly string[] = [
  ...["model", "contents", "content", "requests", "tools"],
  ...spellings.flat(),
];

const configKeys = defineFactKeys([
  ...["maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"],
]);

/** Reads a call; its model and its verb stand in the path. */
export function readCall(
  fact: Facts,
  bodyBytes: number,
  { surface, target = "" }: CalledRoute,
  raw: Raw,
): CallFacts | string {
  const colon = target.lastIndexOf(":");
  const model = toPlainName(target.slice(0, colon));
  const verb = target.slice(colon + 1);
  const wrong = pathNameProblem(model) ?? spellingProblem(fact) ?? otherModelProblem(model, raw);
  if (wrong !== undefined) return wrong;
  if (surface !== "gemini") return { model, stream: false, maxTokens: 0, bodyBytes, verb };
  const maxTokens = readLimit(raw("generationConfig") ?? raw("generation_config"));
  if (typeof maxTokens === "string") return maxTokens;
  return { model, stream: verb === "streamGenerateContent", maxTokens, bodyBytes, verb };
}

function spellingProblem(fact: Facts): string | undefined {
  for (const [camel, snake] of spellings) {
    if (fact(camel) !== undefined && fact(snake) !== undefined) return givenTwice(camel, snake);
  }
  return undefined;
}

function givenTwice(camel: string, snake: string): string {
  return `\`${camel}\` and \`${snake}\` are one key: send it once.`;
}

/** What was allowed is what goes upstream: a body may name no other model than the path. */
function otherModelProblem(model: string, raw: Raw): string | undefined {
  const named = namedModels(raw);
  if (typeof named === "string") return named;
  for (const { value, where } of named) {
    if (typeof value !== "string") return `\`${where}\` must be a string, or left out.`;
    if (toPlainName(value) === model) continue;
    return `\`${where}\` names another model than the path: send the same name, or leave it out.`;
  }
  return undefined;
}

/**
 * Most tokens that all candidates may have, from the bytes of a `generationConfig`.
 * @returns undefined where there is no limit; a sentence where it can't be read
 */
function readLimit(config: Uint8Array | undefined): number | string | undefined {
  if (config === undefined || config[0] === 0x6e) return undefined;
  if (config[0] !== 0x7b) return "`generationConfig` must be an object.";
  const scan = scanFacts(config, configKeys);
  if (!scan.ok) return `\`generationConfig\` can't be read: ${factProblems[scan.problem]}`;
  const { facts } = scan;
  const each = readNumber(facts, "maxOutputTokens", "max_output_tokens", maxTokensProblem);
  if (typeof each === "string") return each;
  const candidates = readNumber(facts, "candidateCount", "candidate_count", countProblem);
  if (typeof candidates === "string") return candidates;
  if (each === undefined) return undefined;
  return Math.min(each * (candidates ?? 1), Number.MAX_SAFE_INTEGER);
}

function readNumber(
  facts: ReadonlyMap<string, Fact>,
  camel: string,
  snake: string,
  problemOf: (key: string, value: unknown) => string | undefined,
): number | string | undefined {
  const [first, second] = [facts.get(camel), facts.get(snake)];
  if (first !== undefined && second !== undefined) return givenTwice(camel, snake);
  const fact = first ?? second;
  if (fact === undefined || fact.value === null) return undefined;
  const { value } = fact;
  // Google's JSON allows whole numbers in quotes.
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return problemOf(`generationConfig.${camel}`, number ?? "nested") ?? (number as number);
}
