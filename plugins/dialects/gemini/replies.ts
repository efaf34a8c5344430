import type {
  NeutralLogprob,
  NeutralPart,
  NeutralReply,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import { isObject, parse } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { unwrapSeal, wrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { toUsage } from "./usage.ts";

const stops: Readonly<Record<string, NeutralStop>> = {
  STOP: "end",
  MAX_TOKENS: "length",
  SAFETY: "filter",
  RECITATION: "filter",
  BLOCKLIST: "filter",
  PROHIBITED_CONTENT: "filter",
  SPII: "filter",
  IMAGE_SAFETY: "filter",
  LANGUAGE: "filter",
};

/** A finish reason in the neutral form; a call of a tool ends with a plain stop here. */
export function readStop(reason: unknown, hasCalls: boolean): NeutralStop {
  const stop = (typeof reason === "string" ? stops[reason] : undefined) ?? "end";
  return stop === "end" && hasCalls ? "tools" : stop;
}

const reasons: Readonly<Record<NeutralStop, string>> = {
  end: "STOP",
  length: "MAX_TOKENS",
  context: "MAX_TOKENS",
  tools: "STOP",
  stop_sequence: "STOP",
  pause: "STOP",
  refusal: "SAFETY",
  filter: "SAFETY",
};

/** A neutral stop reason as Gemini names it. */
export function writeStop(stop: NeutralStop): string {
  return reasons[stop];
}

/** Usage in the neutral form. */
export function readCounts(usage: unknown): NeutralUsage | undefined {
  const counted = toUsage(usage);
  return counted && { ...counted, cacheWriteTokens: 0 };
}

/** Usage as Gemini tells it: thoughts beside the candidates. */
export function writeCounts(usage: NeutralUsage | undefined): object {
  const { inputTokens = 0, outputTokens = 0, cachedTokens = 0, reasoningTokens = 0 } = usage ?? {};
  return {
    promptTokenCount: inputTokens,
    candidatesTokenCount: Math.max(0, outputTokens - reasoningTokens),
    totalTokenCount: inputTokens + outputTokens,
    ...(cachedTokens > 0 && { cachedContentTokenCount: cachedTokens }),
    ...(reasoningTokens > 0 && { thoughtsTokenCount: reasoningTokens }),
  };
}

/** The first candidate; undefined where there is none. */
export function firstCandidate({ candidates }: JsonObject): JsonObject | undefined {
  const first = Array.isArray(candidates) ? (candidates as unknown[])[0] : undefined;
  return isObject(first) ? first : undefined;
}

/** Whether the prompt itself was blocked. */
export function isBlocked({ promptFeedback }: JsonObject): boolean {
  return isObject(promptFeedback) && typeof promptFeedback.blockReason === "string";
}

/** Parts of a candidate, as the provider sends them. */
export function readCandidate(candidate: JsonObject): NeutralPart[] {
  const { content } = candidate;
  const list =
    isObject(content) && Array.isArray(content.parts) ? (content.parts as unknown[]) : [];
  return list.flatMap((part) => (isObject(part) ? readPart(part) : []));
}

function readPart(part: JsonObject): NeutralPart[] {
  const { text, thoughtSignature: signature, functionCall: call } = part;
  const isSealed = typeof signature === "string" && signature !== "";
  const seal = isSealed ? unwrapSeal(signature, "gemini") : undefined;
  if (part.thought === true) {
    return [{ type: "thinking", text: typeof text === "string" ? text : "", seal }];
  }
  const read: NeutralPart[] = seal === undefined ? [] : [{ type: "thinking", text: "", seal }];
  if (typeof text === "string" && text !== "") read.push({ type: "text", text });
  if (isObject(call) && typeof call.name === "string") {
    const id = typeof call.id === "string" ? call.id : "";
    const args = JSON.stringify(call.args ?? {});
    read.push({ type: "tool_call", id, name: call.name, arguments: args });
  }
  return read;
}

/** Reads a whole reply. */
export function readReply(reply: JsonObject): NeutralReply {
  const candidate = firstCandidate(reply);
  const usage = readCounts(reply.usageMetadata);
  if (candidate === undefined) {
    if (isBlocked(reply)) return { parts: [], stop: "filter", usage };
    throw new BadAnswer("a reply without a candidate");
  }
  const parts = readCandidate(candidate);
  const hasCalls = parts.some(({ type }) => type === "tool_call");
  const logprobs = readLogprobs(candidate.logprobsResult);
  return { parts, stop: readStop(candidate.finishReason, hasCalls), usage, logprobs };
}

/** Log probabilities: what was chosen, and the best at each place beside it. */
export function readLogprobs(value: unknown): NeutralLogprob[] | undefined {
  if (!isObject(value) || !Array.isArray(value.chosenCandidates)) return undefined;
  const tops = Array.isArray(value.topCandidates) ? (value.topCandidates as unknown[]) : [];
  return (value.chosenCandidates as unknown[]).flatMap((item, i) => {
    const token = readToken(item);
    const top = tops[i];
    const list =
      isObject(top) && Array.isArray(top.candidates) ? (top.candidates as unknown[]) : [];
    return token === undefined
      ? []
      : [{ ...token, top: list.flatMap((one) => readToken(one) ?? []) }];
  });
}

function readToken(item: unknown) {
  if (!isObject(item)) return undefined;
  const { token, logProbability: logprob } = item;
  return typeof token === "string" && typeof logprob === "number" ? { token, logprob } : undefined;
}

/** Log probabilities as Gemini lists them. */
export function writeLogprobs(list: readonly NeutralLogprob[]): object {
  const write = ({ token, logprob }: { readonly token: string; readonly logprob: number }) => ({
    token,
    logProbability: logprob,
  });
  return {
    chosenCandidates: list.map(write),
    topCandidates: list.map(({ top }) => ({ candidates: top.map(write) })),
  };
}

/** A part of a reply, as Gemini writes it. */
export function writePart(part: NeutralPart): object {
  switch (part.type) {
    case "text":
    case "refusal":
      return { text: part.text };
    case "thinking": {
      const sealed = part.seal && { thoughtSignature: wrapSeal(part.seal) };
      return { text: part.text, thought: true, ...sealed };
    }
    case "tool_call": {
      const args = part.arguments.trim() === "" ? {} : parse(part.arguments);
      if (!isObject(args)) throw new BadAnswer("arguments of a tool that are no JSON object");
      return { functionCall: { id: part.id, name: part.name, args } };
    }
    default:
      throw new BadAnswer(`a reply with ${part.type}`);
  }
}

/** Writes a whole reply. */
export function writeReply(reply: NeutralReply, { request, id }: ReplyFrame): object {
  const candidate = {
    content: { role: "model", parts: reply.parts.map(writePart) },
    finishReason: writeStop(reply.stop),
    index: 0,
    ...(reply.logprobs && { logprobsResult: writeLogprobs(reply.logprobs) }),
  };
  return {
    candidates: [candidate],
    usageMetadata: writeCounts(reply.usage),
    modelVersion: request.model,
    responseId: id,
  };
}
