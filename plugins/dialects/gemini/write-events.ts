import type {
  NeutralEvent,
  NeutralPart,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import type { Problem } from "../../../src/contract/plugin.ts";
import type { EventWriter } from "../../../src/contract/translation.ts";
import { wrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { toError } from "./errors.ts";
import { writeCounts, writeLogprobs, writePart, writeStop } from "./replies.ts";

/** Longest arguments of one call, which go out whole, in characters. */
export const maxArgumentsLength = 4 * 1024 * 1024;

/** Writes a streamed reply: events, or the elements of one array. */
export class GeminiEventWriter implements EventWriter {
  readonly #frame: ReplyFrame;
  readonly #isArray: boolean;
  #isStarted = false;
  #call: { readonly key: number; readonly id: string; readonly name: string } | undefined;
  #arguments = "";
  #usage: NeutralUsage | undefined = undefined;
  #stop: NeutralStop = "end";

  constructor(frame: ReplyFrame, form: "events" | "json") {
    this.#frame = frame;
    this.#isArray = form === "json";
  }

  write(event: NeutralEvent): string {
    switch (event.type) {
      case "text":
      case "refusal":
        return this.#flush() + this.#parts({ text: event.text });
      case "thinking":
        return this.#flush() + this.#parts({ text: event.text, thought: true });
      case "seal": {
        const thoughtSignature = wrapSeal(event.seal);
        return this.#flush() + this.#parts({ text: "", thought: true, thoughtSignature });
      }
      case "tool": {
        const before = this.#flush();
        this.#call = event;
        return before;
      }
      case "arguments":
        if (this.#call?.key !== event.key) {
          throw new BadAnswer("arguments of a tool whose call is over, or never began");
        }
        this.#arguments += event.text;
        if (this.#arguments.length > maxArgumentsLength) throw new BadAnswer("a call is too long");
        return "";
      case "logprobs":
        return this.#element({ index: 0, logprobsResult: writeLogprobs(event.logprobs) });
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
    const last = this.#flush();
    const content = { role: "model", parts: [{ text: "" }] };
    const finishReason = writeStop(this.#stop);
    const usage = { usageMetadata: writeCounts(this.#usage) };
    const closing = this.#element({ content, finishReason, index: 0 }, usage);
    return last + closing + (this.#isArray ? "\n]" : "");
  }

  fail(problem: Problem): string | undefined {
    if (this.#isArray) return undefined;
    return `data: ${JSON.stringify(toError(problem))}\n\n`;
  }

  #flush(): string {
    if (this.#call === undefined) return "";
    const { id, name } = this.#call;
    const call: NeutralPart = { type: "tool_call", id, name, arguments: this.#arguments };
    this.#call = undefined;
    this.#arguments = "";
    return this.#parts(writePart(call));
  }

  #parts(part: object): string {
    return this.#element({ content: { role: "model", parts: [part] }, index: 0 });
  }

  #element(candidate: object, more: object = {}): string {
    const { request, id: responseId } = this.#frame;
    const text = JSON.stringify({
      candidates: [candidate],
      ...more,
      modelVersion: request.model,
      responseId,
    });
    if (!this.#isArray) return `data: ${text}\n\n`;
    const before = this.#isStarted ? ",\n" : "[";
    this.#isStarted = true;
    return before + text;
  }
}
