import type { Dialect, ModelEntry, Problem, StreamReader } from "../../src/contract/plugin.ts";
import type { Usage } from "../../src/contract/types.ts";
import { maxTokensProblem, modelProblem, streamProblem } from "../../src/kit/call-facts.ts";
import { isObject, parse, readLastMember, toCount } from "../../src/kit/json-member.ts";
import { EventWatcher } from "../../src/kit/sse.ts";

/**
 * OpenAI's Chat Completions.
 *
 * Usage: `inputTokens` is `prompt_tokens`, which counts cache reads in; `cachedTokens` and
 * `reasoningTokens` are parts of the input and of the output.
 */
export const dialect: Dialect = {
  name: "openai-chat",
  routes: [
    { method: "POST", path: "/v1/chat/completions", surface: "chat" },
    { method: "GET", path: "/v1/models", surface: "models" },
    { method: "GET", path: "/v1/models/:target{.+}", surface: "models" },
  ],
  recognises: (header) => {
    if (header("anthropic-version") !== null) return false;
    return header("x-api-key") === null || header("authorization") !== null;
  },
  factKeys: ["model", "stream", "max_tokens", "max_completion_tokens", "messages", "tools"],
  readCall: (fact, bodyBytes) => {
    const model = fact("model");
    const stream = fact("stream");
    const older = fact("max_tokens");
    const newer = fact("max_completion_tokens");
    const wrong =
      modelProblem(model) ??
      streamProblem(stream) ??
      maxTokensProblem("max_tokens", older) ??
      maxTokensProblem("max_completion_tokens", newer);
    if (wrong !== undefined) return wrong;
    // Providers differ in which of the two they obey, so the larger one is the bound.
    const maxTokens = Math.max(toCount(older), toCount(newer)) || undefined;
    return { model: model as string, stream: stream === true, maxTokens, bodyBytes };
  },
  error: (problem) => JSON.stringify(toError(problem)),
  readUsage: (reply) => toUsage(readLastMember(reply, "usage")),
  readStream: () => new ChatReader(),
  listModels: (models) => JSON.stringify({ object: "list", data: models.map(toModel) }),
  oneModel: (model) => JSON.stringify(toModel(model)),
};

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

function toError({ code, status, message }: Problem): object {
  return { error: { message, type: errorType(status), param: null, code } };
}

function errorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

function toModel({ id, provider, created }: ModelEntry): object {
  return { id, object: "model", created, owned_by: provider };
}
