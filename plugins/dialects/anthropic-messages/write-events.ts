import type {
  NeutralEvent,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import type { Problem } from "../../../src/contract/plugin.ts";
import type { EventWriter } from "../../../src/contract/translation.ts";
import { wrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { toError } from "./errors.ts";
import { writeCounts, writeStop } from "./replies.ts";

type Kind = "text" | "thinking" | "tool";

/** Writes a streamed message: blocks one after the other, each opened and closed. */
export class MessagesEventWriter implements EventWriter {
  readonly #frame: ReplyFrame;
  #isOpen = false;
  #index = -1;
  #kind: Kind | undefined = undefined;
  #key = -1;
  #isSealed = false;
  #usage: NeutralUsage | undefined = undefined;
  #stop: NeutralStop | undefined = undefined;
  #stopSequence: string | null = null;

  constructor(frame: ReplyFrame) {
    this.#frame = frame;
  }

  write(event: NeutralEvent): string {
    switch (event.type) {
      case "text":
      case "refusal":
        if (event.text === "") return "";
        return this.#into("text") + this.#delta({ type: "text_delta", text: event.text });
      case "thinking":
        if (event.text === "") return "";
        return (
          this.#into("thinking") + this.#delta({ type: "thinking_delta", thinking: event.text })
        );
      case "seal": {
        const opened = this.#into("thinking");
        this.#isSealed = true;
        return opened + this.#delta({ type: "signature_delta", signature: wrapSeal(event.seal) });
      }
      case "tool":
        return this.#tool(event.key, event.id, event.name);
      case "arguments":
        if (this.#kind !== "tool" || this.#key !== event.key) {
          throw new BadAnswer("arguments of a tool whose call is over, or never began");
        }
        if (event.text === "") return "";
        return this.#delta({ type: "input_json_delta", partial_json: event.text });
      case "usage":
        this.#usage = event.usage;
        return "";
      case "stop":
        this.#stop = event.stop;
        this.#stopSequence = event.stopSequence ?? null;
        return "";
      default:
        return "";
    }
  }

  end(): string {
    const delta = {
      stop_reason: writeStop(this.#stop ?? "end"),
      stop_sequence: this.#stopSequence,
    };
    const usage = writeCounts(this.#usage);
    return (
      this.#start() +
      this.#close() +
      toEvent("message_delta", { delta, usage }) +
      toEvent("message_stop", {})
    );
  }

  fail(problem: Problem): string {
    return `event: error\ndata: ${JSON.stringify(toError(problem))}\n\n`;
  }

  #start(): string {
    if (this.#isOpen) return "";
    this.#isOpen = true;
    const { id, request } = this.#frame;
    const message = {
      id: `msg_${id}`,
      type: "message",
      role: "assistant",
      model: request.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: writeCounts(this.#usage),
    };
    return toEvent("message_start", { message });
  }

  #into(kind: "text" | "thinking"): string {
    if (this.#kind === kind && !(kind === "thinking" && this.#isSealed)) return "";
    const block =
      kind === "text"
        ? { type: "text", text: "" }
        : { type: "thinking", thinking: "", signature: "" };
    return this.#begin(kind, block);
  }

  #tool(key: number, id: string, name: string): string {
    const begun = this.#begin("tool", { type: "tool_use", id, name, input: {} });
    this.#key = key;
    return begun;
  }

  #begin(kind: Kind, block: object): string {
    const before = this.#start() + this.#close();
    this.#index++;
    this.#kind = kind;
    this.#isSealed = false;
    return before + toEvent("content_block_start", { index: this.#index, content_block: block });
  }

  #delta(delta: object): string {
    return toEvent("content_block_delta", { index: this.#index, delta });
  }

  #close(): string {
    if (this.#kind === undefined) return "";
    this.#kind = undefined;
    return toEvent("content_block_stop", { index: this.#index });
  }
}

function toEvent(type: string, content: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...content })}\n\n`;
}
