import type { Dialect, ModelEntry, Problem, StreamReader } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";
import { maxTokensProblem, modelProblem, streamProblem } from "../../../src/kit/call-facts.ts";
import { isObject, parse, readLastMember, toCount } from "../../../src/kit/json-member.ts";
import { EventWatcher } from "../../../src/kit/sse.ts";
import { toError } from "./errors.ts";
import { translation } from "./translation.ts";

/**
 * Anthropic's Messages.
 *
 * Usage: `inputTokens` is the sum of `input_tokens`, `cache_read_input_tokens` and
 * `cache_creation_input_tokens`, which Anthropic counts beside each other; `cachedTokens` is the
 * cache reads alone; `reasoningTokens` is the part of the output that was thinking.
 */
export const dialect: Dialect = {
  name: "anthropic-messages",
  routes: [
    { method: "POST", path: "/v1/messages", surface: "messages" },
    { method: "POST", path: "/v1/messages/count_tokens", surface: "count_tokens" },
    { method: "GET", path: "/v1/models", surface: "models" },
    { method: "GET", path: "/v1/models/:target{.+}", surface: "models" },
  ],
  recognises: (header) => {
    if (header("anthropic-version") !== null) return true;
    return header("x-api-key") !== null && header("authorization") === null;
  },
  factKeys: ["model", "stream", "max_tokens", "messages", "system", "tools"],
  textKeys: ["system"],
  readCall: (fact, bodyBytes, { surface }) => {
    const model = fact("model");
    if (surface === "count_tokens") {
      const counted = { model: model as string, stream: false, maxTokens: 0, bodyBytes };
      return modelProblem(model) ?? counted;
    }
    const stream = fact("stream");
    const limit = fact("max_tokens");
    const wrong =
      modelProblem(model) ??
      streamProblem(stream) ??
      // 0 is a call that only fills the prompt cache.
      (limit === 0 ? undefined : maxTokensProblem("max_tokens", limit));
    if (wrong !== undefined) return wrong;
    const maxTokens = typeof limit === "number" ? limit : undefined;
    return { model: model as string, stream: stream === true, maxTokens, bodyBytes };
  },
  translation,
  count: (tokens) => JSON.stringify({ input_tokens: tokens }),
  error: (problem) => JSON.stringify(toError(problem)),
  readUsage: (reply) =>
    toUsage(mergeCounts(undefined, readLastMember(reply, "usage"))) ?? readCount(reply),
  readStream: () => new MessagesReader(),
  listModels: (models) =>
    JSON.stringify({
      data: models.map(toModel),
      has_more: false,
      first_id: models[0]?.id ?? null,
      last_id: models.at(-1)?.id ?? null,
    }),
  oneModel: (model) => JSON.stringify(toModel(model)),
};

const marker = /"(?:usage|error)"(?!\s*:\s*null)|message_stop|event: ?error/;

class MessagesReader extends EventWatcher implements StreamReader {
  #counts: Counts | undefined = undefined;
  #done = false;
  #failed = false;

  constructor() {
    super(marker);
  }

  get usage(): Usage | undefined {
    return this.lost ? undefined : toUsage(this.#counts);
  }

  end(): "complete" | "truncated" | "error" {
    if (this.#failed) return "error";
    return this.#done ? "complete" : "truncated";
  }

  // The first line is a comment, or spoils the end of a half-written one; without a blank line
  // before it, the name takes a half-written event over. So the SDK raises its own error class
  // and never sees that event, not even a `message_stop`.
  fail(problem: Problem): string {
    // Whoever has seen a message's end would raise on what follows it.
    if (this.#done) return "";
    return `:\nevent: error\ndata: ${JSON.stringify(toError(problem))}\n\n`;
  }

  protected override event(name: string, data: string): void {
    if (name === "error") this.#failed = true;
    if (!marker.test(data)) return;
    const event = parse(data);
    if (!isObject(event)) return;
    // The official SDK drops events without a name, others go by the type alone.
    if (event.type === "message_stop") this.#done = true;
    if (event.type === "error") this.#failed = true;
    if (event.type === "message_delta") this.#counts = mergeCounts(this.#counts, event.usage);
    if (event.type === "message_start" && isObject(event.message)) {
      this.#counts = mergeCounts(this.#counts, event.message.usage);
    }
  }
}

interface Counts {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly thinking: number;
}

/** Counts are cumulative and each may be left out, so the larger one is the later one. */
function mergeCounts(known: Counts | undefined, usage: unknown): Counts | undefined {
  if (!isObject(usage)) return known;
  if (typeof usage.input_tokens !== "number" && typeof usage.output_tokens !== "number") {
    return known;
  }
  const { output_tokens_details: details } = usage;
  return {
    input: Math.max(known?.input ?? 0, toCount(usage.input_tokens)),
    output: Math.max(known?.output ?? 0, toCount(usage.output_tokens)),
    cacheRead: Math.max(known?.cacheRead ?? 0, toCount(usage.cache_read_input_tokens)),
    cacheWrite: Math.max(known?.cacheWrite ?? 0, toCount(usage.cache_creation_input_tokens)),
    thinking: Math.max(
      known?.thinking ?? 0,
      isObject(details) ? toCount(details.thinking_tokens) : 0,
    ),
  };
}

/** An answer that only counts has spent nothing, and says so; nothing said would be an estimate. */
function readCount(reply: Uint8Array): Usage | undefined {
  return typeof readLastMember(reply, "input_tokens") === "number" ? nothingSpent : undefined;
}

const nothingSpent: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
};

function toUsage(counts: Counts | undefined): Usage | undefined {
  if (counts === undefined) return undefined;
  return {
    inputTokens: counts.input + counts.cacheRead + counts.cacheWrite,
    outputTokens: counts.output,
    cachedTokens: counts.cacheRead,
    reasoningTokens: counts.thinking,
  };
}

function toModel({ id, created }: ModelEntry): object {
  const createdAt = new Date(created * 1000).toISOString().replace(".000Z", "Z");
  return { type: "model", id, display_name: id, created_at: createdAt };
}
