import type { Dialect, FactValue, Problem, StreamReader } from "../../../src/contract/plugin.ts";
import type { CallFacts } from "../../../src/contract/policy.ts";
import type { Usage } from "../../../src/contract/types.ts";
import {
  countProblem,
  maxTokensProblem,
  modelProblem,
  streamProblem,
} from "../../../src/kit/call-facts.ts";
import { isObject, parse, readLastMember, toCount } from "../../../src/kit/json-member.ts";
import { toOpenaiError, toOpenaiModel, toOpenaiModels } from "../../../src/kit/openai-shapes.ts";
import { EventWatcher } from "../../../src/kit/sse.ts";
import { translation } from "./translation.ts";

/**
 * OpenAI's Chat Completions, and what speaks like it: the older Completions, and Embeddings.
 *
 * Usage: `inputTokens` is `prompt_tokens`, which counts cache reads in; `cachedTokens` and
 * `reasoningTokens` are parts of the input and of the output.
 */
export const dialect: Dialect = {
  name: "openai-chat",
  routes: [
    { method: "POST", path: "/v1/chat/completions", surface: "chat" },
    { method: "POST", path: "/v1/completions", surface: "completions" },
    { method: "POST", path: "/v1/embeddings", surface: "embeddings" },
    { method: "GET", path: "/v1/models", surface: "models" },
    { method: "GET", path: "/v1/models/:target{.+}", surface: "models" },
  ],
  recognises: (header) => {
    if (header("anthropic-version") !== null) return false;
    return header("x-api-key") === null || header("authorization") !== null;
  },
  factKeys: [
    ...["model", "stream", "max_tokens", "max_completion_tokens", "n", "best_of"],
    ...["messages", "tools", "functions", "prompt", "suffix", "input"],
  ],
  textKeys: ["prompt", "suffix", "input"],
  readCall: (fact, bodyBytes, { surface }) => {
    if (surface === "embeddings") return readEmbeddings(fact, bodyBytes);
    return surface === "completions" ? readCompletion(fact, bodyBytes) : readChat(fact, bodyBytes);
  },
  translation,
  error: (problem) => JSON.stringify(toError(problem)),
  readUsage: (reply) => toUsage(readLastMember(reply, "usage")),
  readStream: () => new ChatReader(),
  listModels: (models) => JSON.stringify(toOpenaiModels(models)),
  oneModel: (model) => JSON.stringify(toOpenaiModel(model)),
};

type Facts = (key: string) => FactValue;

function readChat(fact: Facts, bodyBytes: number): CallFacts | string {
  const older = fact("max_tokens");
  const newer = fact("max_completion_tokens");
  const wrong =
    maxTokensProblem("max_tokens", older) ?? maxTokensProblem("max_completion_tokens", newer);
  // Providers differ in which of the two they obey, so the larger one is the bound.
  const limit = Math.max(toCount(older), toCount(newer)) || undefined;
  return wrong ?? toCall(fact, bodyBytes, limit, 1);
}

function readCompletion(fact: Facts, bodyBytes: number): CallFacts | string {
  const asked = fact("max_tokens");
  const best = fact("best_of");
  const wrong =
    // With 0 and `echo`, the tokens of the prompt are rated and none is added.
    (asked === 0 ? undefined : maxTokensProblem("max_tokens", asked)) ??
    (best === 0 ? undefined : countProblem("best_of", best));
  const each = typeof asked === "number" ? asked : defaultMaxTokens;
  // A list may hold many prompts, each with a reply of its own: then there is no bound.
  const isList = typeof fact("prompt") === "symbol";
  const limit = isList && each > 0 ? undefined : each;
  return wrong ?? toCall(fact, bodyBytes, limit, toCount(best));
}

/** What the API says where `max_tokens` is absent. */
const defaultMaxTokens = 16;

/**
 * @param limit most tokens of one reply
 * @param leastReplies how many are made, if `n` does not ask for more
 */
function toCall(
  fact: Facts,
  bodyBytes: number,
  limit: number | undefined,
  leastReplies: number,
): CallFacts | string {
  const model = fact("model");
  const stream = fact("stream");
  const replies = fact("n");
  const wrong = modelProblem(model) ?? streamProblem(stream) ?? countProblem("n", replies);
  if (wrong !== undefined) return wrong;
  const count = Math.max(1, toCount(replies), leastReplies);
  const maxTokens =
    limit === undefined ? undefined : Math.min(limit * count, Number.MAX_SAFE_INTEGER);
  return { model: model as string, stream: stream === true, maxTokens, bodyBytes };
}

function readEmbeddings(fact: Facts, bodyBytes: number): CallFacts | string {
  const model = fact("model");
  const wrong = modelProblem(model);
  if (wrong !== undefined) return wrong;
  if (fact("stream") === true) return "Embeddings come whole: leave `stream` out.";
  return { model: model as string, stream: false, maxTokens: 0, bodyBytes };
}

const marker = /"(?:usage|error)"(?!\s*:\s*null)|\[DONE\]|event: ?error/;

class ChatReader extends EventWatcher implements StreamReader {
  #usage: Usage | undefined = undefined;
  #done = false;
  #failed = false;

  constructor() {
    super(marker);
  }

  get usage(): Usage | undefined {
    return this.lost ? undefined : this.#usage;
  }

  end(): "complete" | "truncated" | "error" {
    if (this.#failed) return "error";
    // Some servers leave out the blank line after it; no client waits for that.
    return this.#done || isDone(this.rest()?.data) ? "complete" : "truncated";
  }

  // The blank line ends what is half written: the SDK then fails on that, else on this. No [DONE]
  // follows, since the SDK reads nothing after one.
  fail(problem: Problem): string {
    return `\n\ndata: ${JSON.stringify(toError(problem))}\n\n`;
  }

  protected override event(name: string, data: string): void {
    if (isDone(data)) this.#done = true;
    if (name === "error") this.#failed = true;
    if (!marker.test(data)) return;
    const chunk = parse(data);
    if (!isObject(chunk)) return;
    if (chunk.error !== undefined && chunk.error !== null) this.#failed = true;
    this.#usage = toUsage(chunk.usage) ?? this.#usage;
  }
}

/** As the official SDK tells it. */
function isDone(data: string | undefined): boolean {
  return data?.startsWith("[DONE]") ?? false;
}

function toUsage(usage: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const { prompt_tokens: input, completion_tokens: output } = usage;
  if (typeof input !== "number" && typeof output !== "number") return undefined;
  const { prompt_tokens_details: inputs, completion_tokens_details: outputs } = usage;
  return {
    inputTokens: toCount(input),
    outputTokens: toCount(output),
    cachedTokens: isObject(inputs) ? toCount(inputs.cached_tokens) : 0,
    reasoningTokens: isObject(outputs) ? toCount(outputs.reasoning_tokens) : 0,
  };
}

function toError(problem: Problem): object {
  return { error: toOpenaiError(problem) };
}
