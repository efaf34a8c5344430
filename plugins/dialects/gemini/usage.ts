import type { Usage } from "../../../src/contract/types.ts";
import { isObject, readLastMember, toCount } from "../../../src/kit/json-member.ts";

const nothingSpent: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
};

/**
 * `inputTokens` is the prompt, cache reads counted in, and what tools gave back to the model;
 * `outputTokens` is the candidates and the thoughts, which Google counts beside each other.
 */
export function toUsage(usage: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const { promptTokenCount: prompt, candidatesTokenCount: candidates } = usage;
  const { totalTokenCount: total, thoughtsTokenCount } = usage;
  if (![prompt, candidates, total].some((count) => typeof count === "number")) return undefined;
  const thoughts = toCount(thoughtsTokenCount);
  return {
    inputTokens: toCount(prompt) + toCount(usage.toolUsePromptTokenCount),
    outputTokens: toCount(candidates) + thoughts,
    cachedTokens: toCount(usage.cachedContentTokenCount),
    reasoningTokens: thoughts,
  };
}

/** Usage of a whole reply, or of the end of a long one. */
export function readUsage(reply: Uint8Array): Usage | undefined {
  const usage = toUsage(readLastMember(reply, "usageMetadata"));
  if (usage !== undefined) return usage;
  // An answer that only counts has spent nothing, and says so; nothing said would be an estimate.
  return typeof readLastMember(reply, "totalTokens") === "number" ? nothingSpent : undefined;
}
