import type {
  NeutralEvent,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import type { Problem } from "../../../src/contract/plugin.ts";
import type { EventWriter } from "../../../src/contract/translation.ts";
import { writeLogprobs } from "../../../src/kit/openai-logprobs.ts";
import { toOpenaiError } from "../../../src/kit/openai-shapes.ts";
import { wrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { writeCounts, writeStop } from "./replies.ts";

/** Writes a streamed completion. */
export class ChatEventWriter implements EventWriter {
  readonly #head: string;
  readonly #tellsUsage: boolean;
  readonly #custom: ReadonlySet<string>;
  /** The client's index of each call, by the provider's key. */
  readonly #calls = new Map<number, { readonly index: number; readonly custom: boolean }>();
  #isStarted = false;
  /** Thoughts since the last seal, which clients keep beside it. */
  #thought = "";
  #usage: NeutralUsage | undefined = undefined;
  #stop: NeutralStop | undefined = undefined;

  constructor({ request, id, created }: ReplyFrame) {
    const head = { id: `chatcmpl-${id}`, object: "chat.completion.chunk", created };
    this.#head = JSON.stringify({ ...head, model: request.model }).slice(0, -1);
    this.#tellsUsage = request.streamUsage === true;
    this.#custom = new Set(request.tools.flatMap((tool) => (tool.custom ? [tool.name] : [])));
  }

  write(event: NeutralEvent): string {
    switch (event.type) {
      case "text":
        return this.#delta({ content: event.text });
      case "refusal":
        return this.#delta({ refusal: event.text });
      case "thinking":
        this.#thought += event.text;
        return this.#delta({ reasoning_content: event.text });
      case "seal": {
        const detail = {
          type: "reasoning.text",
          text: this.#thought,
          signature: wrapSeal(event.seal),
        };
        this.#thought = "";
        return this.#delta({ reasoning_details: [{ ...detail, index: 0 }] });
      }
      case "tool":
        return this.#tool(event.key, event.id, event.name);
      case "arguments": {
        const call = this.#calls.get(event.key);
        if (call === undefined) throw new BadAnswer("arguments of a tool that was not called");
        const made = call.custom
          ? { custom: { input: event.text } }
          : { function: { arguments: event.text } };
        return this.#delta({ tool_calls: [{ index: call.index, ...made }] });
      }
      case "logprobs":
        return this.#chunk({}, null, { content: writeLogprobs(event.logprobs), refusal: null });
      case "usage":
        this.#usage = event.usage;
        return "";
      case "stop":
        this.#stop = event.stop;
        return "";
      default:
        return "";
    }
  }

  end(): string {
    const last = this.#chunk({}, writeStop(this.#stop ?? "end"), null);
    const usage = this.#tellsUsage
      ? `data: ${this.#head},"choices":[],"usage":${JSON.stringify(writeCounts(this.#usage))}}\n\n`
      : "";
    return `${last}${usage}data: [DONE]\n\n`;
  }

  fail(problem: Problem): string {
    return `data: ${JSON.stringify({ error: toOpenaiError(problem) })}\n\n`;
  }

  #tool(key: number, id: string, name: string): string {
    const index = this.#calls.size;
    const custom = this.#custom.has(name);
    this.#calls.set(key, { index, custom });
    const made = custom ? { custom: { name, input: "" } } : { function: { name, arguments: "" } };
    return this.#delta({
      tool_calls: [{ index, id, type: custom ? "custom" : "function", ...made }],
    });
  }

  #delta(delta: object): string {
    return this.#chunk(delta, null, null);
  }

  #chunk(delta: object, reason: string | null, logprobs: object | null): string {
    const full = this.#isStarted ? delta : { role: "assistant", content: "", ...delta };
    this.#isStarted = true;
    const choice = JSON.stringify({ index: 0, delta: full, logprobs, finish_reason: reason });
    return `data: ${this.#head},"choices":[${choice}]}\n\n`;
  }
}
