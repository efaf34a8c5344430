import type { TokenRequest } from "./grant.ts";
import { readTokenAnswer, type TokenResult } from "./token-answer.ts";
import type { Post } from "./token-endpoint.ts";

/** Asks a token endpoint and reads what it answers; never throws. */
export async function askTokens(
  post: Post,
  request: TokenRequest,
  withinMs?: number,
): Promise<TokenResult> {
  const answer = await post(request, withinMs);
  if ("failed" in answer) return answer;
  const result = readTokenAnswer(answer.status, answer.text);
  const { retryAfterSeconds } = answer;
  if (!("failed" in result) || retryAfterSeconds === undefined) return result;
  return { ...result, retryAfterSeconds };
}
