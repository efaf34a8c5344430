import type { NeutralEvent } from "../../../src/contract/neutral.ts";
import type { EventReader } from "../../../src/contract/translation.ts";
import { isObject, messageOf, parse } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { readLogprobs } from "../../../src/kit/openai-logprobs.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { readCounts, readStop } from "./replies.ts";

/** Most calls of tools in one reply. */
export const mostCalls = 1024;

/** Reads a streamed completion. */
export class ChatEventReader implements EventReader {
  readonly #tell: (event: NeutralEvent) => void;
  /** Calls by the provider's index. */
  readonly #known = new Set<number>();
  #isDone = false;

  constructor(tell: (event: NeutralEvent) => void) {
    this.#tell = tell;
  }

  read(data: string): void {
    if (this.#isDone || data === "") return;
    if (data.startsWith("[DONE]")) {
      this.#isDone = true;
      return;
    }
    const chunk = parse(data);
    if (!isObject(chunk)) throw new BadAnswer("a chunk that is no JSON object");
    if (isObject(chunk.error)) {
      this.#tell({ type: "error", status: 502, message: messageOf(chunk.error) ?? "" });
      return;
    }
    const choice = Array.isArray(chunk.choices) ? (chunk.choices as unknown[])[0] : undefined;
    if (isObject(choice)) this.#choice(choice);
    const usage = readCounts(chunk.usage);
    if (usage !== undefined) this.#tell({ type: "usage", usage });
  }

  #choice(choice: JsonObject): void {
    const { delta, finish_reason: reason } = choice;
    if (isObject(delta)) this.#delta(delta);
    if (isObject(choice.logprobs)) {
      const logprobs = readLogprobs(choice.logprobs.content);
      if (logprobs !== undefined) this.#tell({ type: "logprobs", logprobs });
    }
    if (typeof reason !== "string") return;
    const stop = this.#known.size > 0 && reason === "stop" ? "tools" : readStop(reason);
    this.#tell({ type: "stop", stop });
  }

  #delta(delta: JsonObject): void {
    const { content, refusal, reasoning_content: thoughts, reasoning } = delta;
    const thought = typeof thoughts === "string" ? thoughts : reasoning;
    if (typeof thought === "string" && thought !== "")
      this.#tell({ type: "thinking", text: thought });
    if (typeof content === "string" && content !== "") this.#tell({ type: "text", text: content });
    if (typeof refusal === "string" && refusal !== "")
      this.#tell({ type: "refusal", text: refusal });
    if (!Array.isArray(delta.tool_calls)) return;
    for (const call of delta.tool_calls as unknown[]) if (isObject(call)) this.#call(call);
  }

  #call(call: JsonObject): void {
    // One that leaves the index out sends its calls whole.
    const key = typeof call.index === "number" ? call.index : this.#known.size;
    const made = isObject(call.function) ? call.function : call.custom;
    if (!isObject(made)) return;
    if (!this.#known.has(key)) {
      const { name } = made;
      if (typeof name !== "string" || name === "") {
        throw new BadAnswer("a call of a tool that begins without a name");
      }
      if (this.#known.size >= mostCalls) throw new BadAnswer("too many calls of tools");
      this.#known.add(key);
      this.#tell({ type: "tool", key, id: typeof call.id === "string" ? call.id : "", name });
    }
    const text = made.arguments ?? made.input;
    if (typeof text === "string" && text !== "") this.#tell({ type: "arguments", key, text });
  }
}
