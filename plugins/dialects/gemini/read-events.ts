import type { NeutralEvent } from "../../../src/contract/neutral.ts";
import type { EventReader } from "../../../src/contract/translation.ts";
import { isObject, messageOf, parse } from "../../../src/kit/json-member.ts";
import { BadAnswer } from "../../../src/kit/untranslatable.ts";
import {
  firstCandidate,
  isBlocked,
  readCandidate,
  readCounts,
  readLogprobs,
  readStop,
} from "./replies.ts";

/** Reads a streamed reply; this proxy always asks for events. */
export class GeminiEventReader implements EventReader {
  readonly #tell: (event: NeutralEvent) => void;
  #calls = 0;

  constructor(tell: (event: NeutralEvent) => void) {
    this.#tell = tell;
  }

  read(data: string): void {
    const reply = parse(data);
    if (!isObject(reply)) throw new BadAnswer("an event that is no JSON object");
    const { error } = reply;
    if (isObject(error)) {
      const message = messageOf(error) ?? "";
      this.#tell({ type: "error", status: error.code === 429 ? 429 : 502, message });
      return;
    }
    const candidate = firstCandidate(reply);
    for (const part of candidate === undefined ? [] : readCandidate(candidate)) {
      if (part.type === "tool_call") {
        const key = this.#calls++;
        this.#tell({ type: "tool", key, id: part.id, name: part.name });
        this.#tell({ type: "arguments", key, text: part.arguments });
      } else if (part.type === "thinking") {
        if (part.text !== "") this.#tell({ type: "thinking", text: part.text });
        if (part.seal !== undefined) this.#tell({ type: "seal", seal: part.seal });
      } else if (part.type === "text") this.#tell({ type: "text", text: part.text });
    }
    const logprobs = readLogprobs(candidate?.logprobsResult);
    if (logprobs !== undefined) this.#tell({ type: "logprobs", logprobs });
    const usage = readCounts(reply.usageMetadata);
    if (usage !== undefined) this.#tell({ type: "usage", usage });
    if (isBlocked(reply)) this.#tell({ type: "stop", stop: "filter" });
    else if (typeof candidate?.finishReason === "string") {
      this.#tell({ type: "stop", stop: readStop(candidate.finishReason, this.#calls > 0) });
    }
  }
}
