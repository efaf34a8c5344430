import type { Dialect, Problem, StreamReader } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";
import { maxTokensProblem, modelProblem, streamProblem } from "../../../src/kit/call-facts.ts";
import { isObject, parse, readLastMember, toCount } from "../../../src/kit/json-member.ts";
import { toOpenaiError, toOpenaiModel, toOpenaiModels } from "../../../src/kit/openai-shapes.ts";
import { EventWatcher } from "../../../src/kit/sse.ts";
import { failedEvent } from "./failed.ts";
import { translation } from "./translation.ts";

/**
 * OpenAI's Responses.
 *
 * Usage: `inputTokens` counts cache reads in; `cachedTokens` and `reasoningTokens` are parts of
 * the input and of the output.
 */
export const dialect: Dialect = {
  name: "openai-responses",
  routes: [{ method: "POST", path: "/v1/responses", surface: "responses" }],
  // It shares no path: the models are listed by openai-chat, once for both.
  recognises: () => false,
  factKeys: [
    ...["model", "stream", "max_output_tokens", "background"],
    ...["input", "instructions", "tools", "prompt", "previous_response_id", "conversation"],
  ],
  textKeys: ["input", "instructions"],
  readCall: (fact, bodyBytes) => {
    const model = fact("model");
    const stream = fact("stream");
    const limit = fact("max_output_tokens");
    const wrong =
      (model === undefined ? noModel : modelProblem(model)) ??
      streamProblem(stream) ??
      maxTokensProblem("max_output_tokens", limit) ??
      backgroundProblem(fact("background"));
    if (wrong !== undefined) return wrong;
    const maxTokens = typeof limit === "number" ? limit : undefined;
    return { model: model as string, stream: stream === true, maxTokens, bodyBytes };
  },
  unserved: (path) => (path.startsWith("/v1/responses/") ? noStored : undefined),
  error: (problem) => JSON.stringify({ error: toOpenaiError(problem) }),
  translation,
  readUsage: (reply) => toUsage(readLastMember(reply, "usage")),
  readStream: () => new ResponsesReader(),
  listModels: (models) => JSON.stringify(toOpenaiModels(models)),
  oneModel: (model) => JSON.stringify(toOpenaiModel(model)),
};

const noModel =
  "`model` must name a model, also beside `prompt`, `conversation` or `previous_response_id`: it " +
  "tells which provider to ask. GET /v1/models lists what there is.";

const noStored =
  "This proxy passes on POST /v1/responses alone. Which provider holds a stored response it can't " +
  "know: to read, cancel, delete or compact one, call the provider itself, or send the whole " +
  "conversation as `input` with `store: false`.";

// A response in the background is fetched, and its cost told, under its id.
function backgroundProblem(background: unknown): string | undefined {
  if (background === undefined || background === null || background === false) return undefined;
  return (
    "`background` must be false or left out: such a response is fetched by its id, and this " +
    "proxy can't know which provider holds it. Use `stream` for long ones."
  );
}

const terminal = /"type"\s*:\s*"response\.(?:completed|incomplete|failed)"/;
const marker = new RegExp(String.raw`${terminal.source}|"error"(?!\s*:\s*null)|event: ?error`);

class ResponsesReader extends EventWatcher implements StreamReader {
  #usage: Usage | undefined = undefined;
  #done = false;
  #failed = false;
  /** What went by last, for the number of the event that would be next. */
  #recent = "";
  /** The number of the last event that was too long to be kept. */
  #longNumber = -1;

  constructor() {
    super(marker);
  }

  get usage(): Usage | undefined {
    return this.#usage;
  }

  end(): "complete" | "truncated" | "error" {
    if (this.#failed) return "error";
    return this.#done ? "complete" : "truncated";
  }

  // The blank line ends what is half written, for Codex to skip it and the SDKs to fail on it;
  // but a terminal event that lacks no more than that is taken over, so that nobody sees it.
  fail(problem: Problem): string {
    // Whoever has seen the terminal event would raise on what follows it.
    if (this.#done) return "";
    const rest = this.rest();
    const isTaken = rest === undefined || rest.data === "" || isWholeTerminal(rest.data);
    const lineEnd = this.inLine ? "\n" : "";
    const before = isTaken ? lineEnd : "\n\n";
    return before + failedEvent(problem, this.#nextNumber(isTaken ? undefined : rest.data));
  }

  protected override event(name: string, data: string): void {
    if (name === "error") this.#failed = true;
    if (!marker.test(data)) return;
    const event = parse(data);
    if (!isObject(event)) return;
    // As the official SDKs tell an error.
    if (event.type === "error" || (event.error !== undefined && event.error !== null)) {
      this.#failed = true;
    }
    if (isObject(event.response)) this.#finish(event.type, event.response.usage);
  }

  protected override seen(run: string): void {
    // Pings and comments have no number.
    if (run.includes('"sequence_number"')) this.#recent = run;
  }

  // The last event repeats the whole reply, images too, and may be longer than any other.
  protected override long(head: string, tail: string): void {
    this.#recent = "";
    this.#longNumber = Number(/"sequence_number"\s*:\s*(\d{1,15})/.exec(head)?.[1] ?? -1);
    const name = /^event: ?(\S+)/m.exec(head) ?? /"type"\s*:\s*"([\w.]+)"/.exec(head);
    if (name?.[1] === "error") this.#failed = true;
    const usages = tail.match(/"usage"\s*:\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g) ?? [];
    const objects = usages.map((text) => parse(text.slice(text.indexOf("{"))));
    const usage = objects.findLast((found) => toUsage(found) !== undefined);
    this.#finish(name?.[1], usage);
  }

  #finish(type: unknown, usage: unknown): void {
    if (type === "response.failed") this.#failed = true;
    else if (type === "response.completed" || type === "response.incomplete") this.#done = true;
    else return;
    this.#usage = toUsage(usage) ?? this.#usage;
  }

  /** The number after the last one that went by, or after that of a half-written event. */
  #nextNumber(rest: string | undefined): number {
    for (const data of [rest, this.lastOf(this.#recent)?.data]) {
      const event = data === undefined ? undefined : parse(data);
      const number = isObject(event) ? event.sequence_number : undefined;
      if (Number.isSafeInteger(number)) return (number as number) + 1;
    }
    return this.#longNumber + 1;
  }
}

function isWholeTerminal(data: string): boolean {
  return terminal.test(data) && parse(data) !== undefined;
}

function toUsage(usage: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const { input_tokens: input, output_tokens: output } = usage;
  if (typeof input !== "number" && typeof output !== "number") return undefined;
  const { input_tokens_details: inputs, output_tokens_details: outputs } = usage;
  return {
    inputTokens: toCount(input),
    outputTokens: toCount(output),
    cachedTokens: isObject(inputs) ? toCount(inputs.cached_tokens) : 0,
    reasoningTokens: isObject(outputs) ? toCount(outputs.reasoning_tokens) : 0,
  };
}
