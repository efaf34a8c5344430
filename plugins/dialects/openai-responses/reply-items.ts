import type {
  NeutralLogprob,
  NeutralPart,
  NeutralSeal,
  ReplyFrame,
} from "../../../src/contract/neutral.ts";
import { writeLogprobs } from "../../../src/kit/openai-logprobs.ts";
import { wrapSeal } from "../../../src/kit/thought-seal.ts";

/** What tells a call's item from others, and its name as the client knows it. */
export interface CallHead {
  readonly type: "function_call" | "custom_tool_call";
  readonly id: string;
  readonly call_id: string;
  readonly name: string;
  readonly namespace?: string;
}

/** Makes the items of one response, each with an id of its own. */
export class ReplyItems {
  readonly #frame: ReplyFrame;
  #count = 0;

  constructor(frame: ReplyFrame) {
    this.#frame = frame;
  }

  id(prefix: "msg" | "rs" | "fc" | "ctc"): string {
    return `${prefix}_${this.#frame.id}${this.#count++}`;
  }

  callHead(callId: string, flatName: string): CallHead {
    const tool = this.#frame.request.tools.find(({ name }) => name === flatName);
    const type = tool?.custom ? "custom_tool_call" : "function_call";
    const id = this.id(tool?.custom ? "ctc" : "fc");
    const { namespace } = tool ?? {};
    if (namespace === undefined) return { type, id, call_id: callId, name: flatName };
    const name = flatName.slice(namespace.length).replace(/^__/, "");
    return { type, id, call_id: callId, name, namespace };
  }

  /** The item of a part of a whole reply. */
  whole(part: NeutralPart, logprobs: readonly NeutralLogprob[] | undefined): object[] {
    switch (part.type) {
      case "text":
        return [message(this.id("msg"), textPart(part.text, logprobs))];
      case "refusal":
        return [message(this.id("msg"), { type: "refusal", refusal: part.text })];
      case "tool_call":
        return [call(this.callHead(part.id, part.name), part.arguments)];
      case "thinking":
        return [thought(this.id("rs"), part.text, part.seal)];
      default:
        return [];
    }
  }
}

/** Text in the output, with its log probabilities. */
export function textPart(text: string, logprobs: readonly NeutralLogprob[] = []): object {
  return { type: "output_text", text, annotations: [], logprobs: writeLogprobs(logprobs) };
}

export function message(id: string, part: object): object {
  return { type: "message", id, status: "completed", role: "assistant", content: [part] };
}

export function call(head: CallHead, said: string): object {
  const given = head.type === "function_call" ? { arguments: said } : { input: said };
  return { ...head, ...given, status: "completed" };
}

export function thought(id: string, text: string, seal: NeutralSeal | undefined): object {
  return {
    type: "reasoning",
    id,
    summary: text === "" ? [] : [{ type: "summary_text", text }],
    encrypted_content: seal === undefined ? null : wrapSeal(seal),
  };
}
