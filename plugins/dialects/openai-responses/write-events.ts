import type {
  NeutralEvent,
  NeutralLogprob,
  NeutralSeal,
  NeutralStop,
  NeutralUsage,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import type { Problem } from "../../../src/contract/plugin.ts";
import type { EventWriter } from "../../../src/contract/translation.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { failedEvent } from "./failed.ts";
import { toResponse } from "./replies.ts";
import { type CallHead, call, message, ReplyItems, textPart, thought } from "./reply-items.ts";

/** Longest reply, which its last event repeats as a whole, in characters. */
export const maxReplyLength = 32 * 1024 * 1024;

/** The item that is being told. */
type Open =
  | { readonly kind: "text" | "refusal" | "thinking"; readonly id: string }
  | { readonly kind: "tool"; readonly id: string; readonly key: number; readonly head: CallHead };

/** Writes a streamed response: items one after the other, each opened and closed. */
export class ResponsesEventWriter implements EventWriter {
  readonly #frame: ReplyFrame;
  readonly #items: ReplyItems;
  readonly #output: object[] = [];
  #number = 0;
  #open: Open | undefined = undefined;
  /** What the open item says so far, in pieces. */
  #said: string[] = [];
  #length = 0;
  #seal: NeutralSeal | undefined = undefined;
  #logprobs: NeutralLogprob[] = [];
  #usage: NeutralUsage | undefined = undefined;
  #stop: NeutralStop | undefined = undefined;

  constructor(frame: ReplyFrame) {
    this.#frame = frame;
    this.#items = new ReplyItems(frame);
  }

  write(event: NeutralEvent): string {
    switch (event.type) {
      case "text":
      case "refusal":
      case "thinking":
        if (event.text === "") return "";
        return this.#into(event.type) + this.#delta(event.text);
      case "seal":
        return this.#sealed(event.seal);
      case "tool":
        return this.#tool(event.key, event.id, event.name);
      case "arguments":
        if (this.#open?.kind !== "tool" || this.#open.key !== event.key) {
          throw new BadAnswer("arguments of a tool whose call is over, or never began");
        }
        return event.text === "" ? "" : this.#delta(event.text);
      case "logprobs":
        this.#logprobs.push(...event.logprobs);
        return "";
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
    const before = this.#start() + this.#close();
    const response = toResponse(this.#frame, this.#output, this.#stop ?? "end", this.#usage);
    return before + this.#event(`response.${response.status}`, { response });
  }

  fail(problem: Problem): string {
    return failedEvent(problem, this.#number);
  }

  #start(): string {
    if (this.#number > 0) return "";
    const response = toResponse(this.#frame, [], undefined, undefined);
    return (
      this.#event("response.created", { response }) +
      this.#event("response.in_progress", { response })
    );
  }

  #into(kind: "text" | "refusal" | "thinking"): string {
    if (this.#open?.kind === kind && this.#seal === undefined) return "";
    const before = this.#start() + this.#close();
    if (kind === "thinking") return before + this.#think();
    const id = this.#items.id("msg");
    this.#open = { kind, id };
    const item = { ...message(id, {}), status: "in_progress", content: [] };
    return before + this.#added(item) + this.#part("response.content_part.added", emptyPart(kind));
  }

  #think(): string {
    const id = this.#items.id("rs");
    this.#open = { kind: "thinking", id };
    const part = { type: "summary_text", text: "" };
    return (
      this.#added(thought(id, "", undefined)) +
      this.#summary("response.reasoning_summary_part.added", { part })
    );
  }

  #sealed(seal: NeutralSeal): string {
    if (this.#open?.kind === "thinking" && this.#seal === undefined) {
      this.#seal = seal;
      return "";
    }
    // A seal without text belongs to what follows it.
    const before = this.#start() + this.#close();
    const item = thought(this.#items.id("rs"), "", seal);
    return before + this.#added(item) + this.#itemDone(item);
  }

  #tool(key: number, callId: string, name: string): string {
    const before = this.#start() + this.#close();
    const head = this.#items.callHead(callId, name);
    this.#open = { kind: "tool", id: head.id, key, head };
    return before + this.#added({ ...call(head, ""), status: "in_progress" });
  }

  #delta(text: string): string {
    this.#length += text.length;
    if (this.#length > maxReplyLength) throw new BadAnswer("a reply that is too long");
    this.#said.push(text);
    const delta = { delta: text };
    switch (this.#open?.kind) {
      case "text":
        return this.#inPart("response.output_text.delta", { ...delta, logprobs: [] });
      case "refusal":
        return this.#inPart("response.refusal.delta", delta);
      case "thinking":
        return this.#summary("response.reasoning_summary_text.delta", delta);
      default:
        return this.#inItem(`response.${this.#argument()}.delta`, delta);
    }
  }

  #argument(): string {
    const isCustom = this.#open?.kind === "tool" && this.#open.head.type === "custom_tool_call";
    return isCustom ? "custom_tool_call_input" : "function_call_arguments";
  }

  /** Tells the open item as a whole. */
  #close(): string {
    const open = this.#open;
    if (open === undefined) return "";
    const said = this.#said.join("");
    const done = this.#finish(open, said);
    this.#open = undefined;
    this.#said = [];
    this.#seal = undefined;
    return done;
  }

  #finish(open: Open, said: string): string {
    switch (open.kind) {
      case "text": {
        const part = textPart(said, this.#logprobs);
        const { logprobs } = part as { logprobs?: unknown };
        this.#logprobs = [];
        return (
          this.#inPart("response.output_text.done", { text: said, logprobs }) +
          this.#part("response.content_part.done", part) +
          this.#itemDone(message(open.id, part))
        );
      }
      case "refusal": {
        const part = { type: "refusal", refusal: said };
        return (
          this.#inPart("response.refusal.done", { refusal: said }) +
          this.#part("response.content_part.done", part) +
          this.#itemDone(message(open.id, part))
        );
      }
      case "thinking": {
        const part = { type: "summary_text", text: said };
        return (
          this.#summary("response.reasoning_summary_text.done", { text: said }) +
          this.#summary("response.reasoning_summary_part.done", { part }) +
          this.#itemDone(thought(open.id, said, this.#seal))
        );
      }
      case "tool": {
        const isCustom = open.head.type === "custom_tool_call";
        const whole = isCustom ? { input: said } : { arguments: said, name: open.head.name };
        return (
          this.#inItem(`response.${this.#argument()}.done`, whole) +
          this.#itemDone(call(open.head, said))
        );
      }
    }
  }

  #added(item: object): string {
    return this.#event("response.output_item.added", { output_index: this.#output.length, item });
  }

  #itemDone(item: object): string {
    const output_index = this.#output.length;
    this.#output.push(item);
    return this.#event("response.output_item.done", { output_index, item });
  }

  #part(type: string, part: object): string {
    return this.#inPart(type, { part });
  }

  #inPart(type: string, content: object): string {
    return this.#inItem(type, { content_index: 0, ...content });
  }

  #summary(type: string, content: object): string {
    return this.#inItem(type, { summary_index: 0, ...content });
  }

  #inItem(type: string, content: object): string {
    const place = { item_id: this.#open?.id, output_index: this.#output.length };
    return this.#event(type, { ...place, ...content });
  }

  #event(type: string, content: object): string {
    const event = { type, sequence_number: this.#number++, ...content };
    return `event: ${type}\ndata: ${JSON.stringify(event)}\n\n`;
  }
}

function emptyPart(kind: "text" | "refusal"): object {
  return kind === "text" ? textPart("") : { type: "refusal", refusal: "" };
}
