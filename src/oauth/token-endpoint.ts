import { isLoopbackHost } from "../kit/loopback.ts";
import { readText } from "../kit/read-text.ts";
import { endpointProblem } from "../kit/token-url.ts";
import type { Pool, PoolAnswer, Runtime } from "../runtime/runtime.ts";
import { type TokenRequest, toHttp } from "./grant.ts";
import type { TokenFailure } from "./token-answer.ts";

/** Largest answer that is read, in bytes. */
export const answerBytes = 64 * 1024;
/** How long one request may take, its answer included, in milliseconds. */
export const requestMs = 30_000;
/** Longest that a server may put us off, in seconds. */
const longestRetrySeconds = 900;

/** What a token endpoint has answered, whatever it says. */
export interface EndpointAnswer {
  readonly status: number;
  readonly text: string;
  readonly retryAfterSeconds: number | undefined;
}

/** Posts to a token endpoint; never throws. */
export type Post = (
  request: TokenRequest,
  withinMs?: number,
) => Promise<EndpointAnswer | TokenFailure>;

/** Posts on a connection of its own: an hour lies between two of them. */
export function createPost(runtime: Pick<Runtime, "openPool">, allowInsecure = false): Post {
  return async (request, withinMs = requestMs) => {
    const problem = endpointProblem(request.url, allowInsecure);
    if (problem !== undefined) return { failed: "bad_address", detail: `the address ${problem}` };
    const environmentProxy = !isLoopbackHost(new URL(request.url).host);
    const pool = runtime.openPool({ idleSeconds: 5, environmentProxy });
    const abort = new AbortController();
    const answer = ask(pool, request, abort.signal);
    const late = new Promise<TokenFailure>((resolve) => {
      abort.signal.addEventListener("abort", () => resolve({ failed: "timeout" }), { once: true });
    });
    const timer = setTimeout(() => abort.abort(), withinMs);
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
      abort.abort();
      pool.close();
    }
  };
}

async function ask(
  pool: Pool,
  request: TokenRequest,
  signal: AbortSignal,
): Promise<EndpointAnswer | TokenFailure> {
  const { headers, body } = toHttp(request);
  let answer: PoolAnswer;
  try {
    answer = await pool.fetch(request.url, { method: "POST", headers, body, signal, fresh: true });
  } catch (error) {
    return { failed: "unreachable", detail: String((error as { code?: unknown }).code ?? "") };
  }
  const { status } = answer;
  // Never followed: what was posted is for this address.
  if (status >= 300 && status < 400) return { failed: "redirected", detail: `status ${status}` };
  let text: string | undefined;
  try {
    text = await readText(answer, answerBytes);
  } catch {
    return { failed: "bad_answer", detail: "the answer broke off, or is not UTF-8" };
  }
  if (text === undefined) {
    return {
      failed: "bad_answer",
      detail: `the answer is empty, or has over ${answerBytes} bytes`,
    };
  }
  return { status, text, retryAfterSeconds: retryAfter(answer.headers.get("retry-after")) };
}

function retryAfter(value: string | null): number | undefined {
  if (value === null || !/^\d{1,9}$/.test(value)) return undefined;
  return Math.min(Number(value), longestRetrySeconds);
}
