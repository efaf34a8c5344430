import type { NeutralEvent, NeutralUsage } from "../../../src/contract/neutral.ts";
import type { EventReader } from "../../../src/contract/translation.ts";
import { isObject, messageOf, parse, toCount } from "../../../src/kit/json-member.ts";
import type { JsonObject } from "../../../src/kit/json-read.ts";
import { unwrapSeal } from "../../../src/kit/thought-seal.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import { readCounts, readStop } from "./replies.ts";

/** Reads a streamed message. */
export class MessagesEventReader implements EventReader {
  readonly #tell: (event: NeutralEvent) => void;
  /** Indexes of blocks that are calls of tools. */
  readonly #tools = new Set<number>();
  #usage: NeutralUsage | undefined = undefined;

  constructor(tell: (event: NeutralEvent) => void) {
    this.#tell = tell;
  }

  read(data: string): void {
    const event = parse(data);
    if (!isObject(event)) throw new BadAnswer("an event that is no JSON object");
    switch (event.type) {
      case "message_start":
        if (isObject(event.message)) this.#count(event.message.usage);
        return;
      case "content_block_start":
        if (isObject(event.content_block)) this.#start(toCount(event.index), event.content_block);
        return;
      case "content_block_delta":
        if (isObject(event.delta)) this.#delta(toCount(event.index), event.delta);
        return;
      case "message_delta":
        this.#stop(event);
        return;
      case "error": {
        const { error } = event;
        const message = messageOf(error) ?? "";
        const isBusy = isObject(error) && error.type === "overloaded_error";
        this.#tell({ type: "error", status: isBusy ? 503 : 502, message });
      }
    }
  }

  #start(index: number, block: JsonObject): void {
    const { type, id, name } = block;
    if (type === "tool_use" && typeof name === "string") {
      this.#tools.add(index);
      const known = typeof id === "string" ? id : "";
      this.#tell({ type: "tool", key: index, id: known, name });
    } else if (type === "redacted_thinking" && typeof block.data === "string") {
      const seal = { origin: "anthropic-messages", value: block.data, redacted: true };
      this.#tell({ type: "seal", seal });
    } else if (type === "text" && typeof block.text === "string" && block.text !== "") {
      this.#tell({ type: "text", text: block.text });
    }
  }

  #delta(index: number, delta: JsonObject): void {
    const { type } = delta;
    if (type === "text_delta" && typeof delta.text === "string") {
      this.#tell({ type: "text", text: delta.text });
    } else if (type === "input_json_delta" && typeof delta.partial_json === "string") {
      if (!this.#tools.has(index)) return;
      this.#tell({ type: "arguments", key: index, text: delta.partial_json });
    } else if (type === "thinking_delta" && typeof delta.thinking === "string") {
      this.#tell({ type: "thinking", text: delta.thinking });
    } else if (type === "signature_delta" && typeof delta.signature === "string") {
      this.#tell({ type: "seal", seal: unwrapSeal(delta.signature, "anthropic-messages") });
    }
  }

  #stop(event: JsonObject): void {
    this.#count(event.usage);
    if (this.#usage !== undefined) this.#tell({ type: "usage", usage: this.#usage });
    const { delta } = event;
    if (!isObject(delta) || typeof delta.stop_reason !== "string") return;
    const stop = readStop(delta.stop_reason);
    const { stop_sequence: stopSequence } = delta;
    this.#tell({
      type: "stop",
      stop,
      ...(typeof stopSequence === "string" && { stopSequence }),
    });
  }

  /** Counts are cumulative, and each may be left out later. */
  #count(usage: unknown): void {
    const next = readCounts(usage);
    const known = this.#usage;
    if (next === undefined || known === undefined) {
      this.#usage = next ?? known;
      return;
    }
    this.#usage = {
      inputTokens: Math.max(known.inputTokens, next.inputTokens),
      outputTokens: Math.max(known.outputTokens, next.outputTokens),
      cachedTokens: Math.max(known.cachedTokens, next.cachedTokens),
      cacheWriteTokens: Math.max(known.cacheWriteTokens, next.cacheWriteTokens),
      reasoningTokens: Math.max(known.reasoningTokens, next.reasoningTokens),
    };
  }
}
