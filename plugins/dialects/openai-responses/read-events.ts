import type { NeutralEvent } from "../../../src/contract/neutral.ts";
import type { EventReader } from "../../../src/contract/translation.ts";
import { isObject, messageOf, parse } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { readLogprobs } from "../../../src/kit/openai-logprobs.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { readCounts, readStop } from "./replies.ts";

/** Most calls of tools in one reply. */
const mostCalls = 1024;

/** Reads a streamed response. */
export class ResponsesEventReader implements EventReader {
  readonly #tell: (event: NeutralEvent) => void;
  /** Calls by the index of their items, and whether arguments came in pieces. */
  readonly #calls = new Map<number, { said: boolean }>();
  /** The item and part of the summary that spoke last. */
  #thought = "";

  constructor(tell: (event: NeutralEvent) => void) {
    this.#tell = tell;
  }

  read(data: string): void {
    if (data === "" || data.startsWith("[DONE]")) return;
    const event = parse(data);
    if (!isObject(event)) throw new BadAnswer("an event that is no JSON object");
    const { item, delta, output_index: index } = event;
    switch (event.type) {
      case "response.output_item.added":
        if (isObject(item)) this.#added(item, index);
        break;
      case "response.output_text.delta":
        this.#text(event);
        break;
      case "response.refusal.delta":
        this.#say("refusal", delta);
        break;
      case "response.reasoning_summary_text.delta":
      case "response.reasoning_text.delta":
        this.#think(event);
        break;
      case "response.function_call_arguments.delta":
      case "response.custom_tool_call_input.delta":
        this.#argue(index, delta);
        break;
      case "response.output_item.done":
        if (isObject(item)) this.#done(item, index);
        break;
      case "response.completed":
      case "response.incomplete":
        if (isObject(event.response)) this.#end(event.response);
        break;
      case "response.failed":
        this.#fail(isObject(event.response) ? event.response.error : undefined);
        break;
      case "error":
        this.#fail(isObject(event.error) ? event.error : event);
        break;
      default:
        if (isObject(event.error)) this.#fail(event.error);
    }
  }

  #added(item: JsonObject, index: unknown): void {
    if (item.type !== "function_call" && item.type !== "custom_tool_call") return;
    const { name, call_id: id } = item;
    if (typeof name !== "string" || name === "" || typeof index !== "number") {
      throw new BadAnswer("a call of a tool that begins without a name");
    }
    if (this.#calls.size >= mostCalls) throw new BadAnswer("too many calls of tools");
    this.#calls.set(index, { said: false });
    this.#tell({ type: "tool", key: index, id: typeof id === "string" ? id : "", name });
  }

  #text(event: JsonObject): void {
    this.#say("text", event.delta);
    const logprobs = readLogprobs(event.logprobs);
    if (logprobs !== undefined && logprobs.length > 0) this.#tell({ type: "logprobs", logprobs });
  }

  #think(event: JsonObject): void {
    const { output_index: index, summary_index: part, content_index: content } = event;
    const now = `${String(index)}.${String(part ?? content)}`;
    const isNext = this.#thought !== "" && this.#thought !== now;
    if (isNext && this.#thought.startsWith(`${String(index)}.`)) this.#say("thinking", "\n\n");
    this.#thought = now;
    this.#say("thinking", event.delta);
  }

  #say(type: "text" | "refusal" | "thinking", text: unknown): void {
    if (typeof text === "string" && text !== "") this.#tell({ type, text });
  }

  #argue(index: unknown, text: unknown): void {
    const known = typeof index === "number" ? this.#calls.get(index) : undefined;
    if (known === undefined) throw new BadAnswer("arguments of a tool that was not called");
    if (typeof text !== "string" || text === "") return;
    known.said = true;
    this.#tell({ type: "arguments", key: index as number, text });
  }

  #done(item: JsonObject, index: unknown): void {
    const known = typeof index === "number" ? this.#calls.get(index) : undefined;
    if (known !== undefined && !known.said) this.#argue(index, item.arguments ?? item.input);
    if (item.type !== "reasoning") return;
    const { encrypted_content: value, id } = item;
    if (typeof value !== "string" || value === "") return;
    const seal = { origin: "openai-responses", value, ...(typeof id === "string" && { id }) };
    this.#tell({ type: "seal", seal });
  }

  #end(response: JsonObject): void {
    const usage = readCounts(response.usage);
    if (usage !== undefined) this.#tell({ type: "usage", usage });
    this.#tell({ type: "stop", stop: readStop(response, this.#calls.size > 0) });
  }

  #fail(error: unknown): void {
    this.#tell({ type: "error", status: 502, message: messageOf(error) ?? "" });
  }
}
