import type {
  NeutralEvent,
  NeutralPart,
  NeutralReply,
  NeutralRequest,
} from "../contract/neutral.ts";
import { isObject, parse } from "../kit/json-member.ts";
import { BadAnswer } from "../kit/untranslatable.ts";

/** Longest text for a custom tool, which is held back until it is whole, in characters. */
export const maxCustomLength = 4 * 1024 * 1024;

/** Gives calls the ids they lack, and those of custom tools their plain text back. */
export class EventTidier {
  readonly #tell: (event: NeutralEvent) => void;
  readonly #ids: IdMaker;
  readonly #custom: ReadonlySet<string>;
  /** The call of a custom tool that is held back. */
  #held: { readonly key: number; text: string } | undefined = undefined;

  /** @param unwraps whether the provider was given custom tools as plain ones */
  constructor(
    request: NeutralRequest,
    replyId: string,
    unwraps: boolean,
    tell: (event: NeutralEvent) => void,
  ) {
    this.#tell = tell;
    this.#ids = new IdMaker(replyId);
    this.#custom = unwraps ? customTools(request) : none;
  }

  take(event: NeutralEvent): void {
    if (event.type === "arguments" && this.#held?.key === event.key) {
      this.#held.text += event.text;
      if (this.#held.text.length > maxCustomLength) throw new BadAnswer("a call is too long");
      return;
    }
    this.flush();
    if (event.type !== "tool") {
      this.#tell(event);
      return;
    }
    this.#tell({ ...event, id: this.#ids.take(event.id) });
    if (this.#custom.has(event.name)) this.#held = { key: event.key, text: "" };
  }

  /** Tells what is held back. */
  flush(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#tell({ type: "arguments", key: held.key, text: unwrap(held.text) });
  }
}

const none: ReadonlySet<string> = new Set();

function customTools({ tools }: NeutralRequest): ReadonlySet<string> {
  return new Set(tools.flatMap((tool) => (tool.custom ? [tool.name] : [])));
}

/** The text of a custom tool's call, which went as an object with one string. */
function unwrap(text: string): string {
  const content = parse(text);
  return isObject(content) && typeof content.input === "string" ? content.input : text;
}

/** Ids that are there and unlike each other. */
class IdMaker {
  readonly #replyId: string;
  readonly #seen = new Set<string>();

  constructor(replyId: string) {
    this.#replyId = replyId;
  }

  take(id: string): string {
    const good = id === "" || this.#seen.has(id) ? `call_cp${this.#replyId}${this.#seen.size}` : id;
    this.#seen.add(good);
    return good;
  }
}

/** The same for a whole reply. */
export function tidyReply(
  reply: NeutralReply,
  request: NeutralRequest,
  replyId: string,
  unwraps: boolean,
): NeutralReply {
  const ids = new IdMaker(replyId);
  const custom = unwraps ? customTools(request) : none;
  const parts = reply.parts.map((part): NeutralPart => {
    if (part.type !== "tool_call") return part;
    const id = ids.take(part.id);
    if (!custom.has(part.name)) return { ...part, id };
    return { ...part, id, arguments: unwrap(part.arguments), custom: true };
  });
  return { ...reply, parts };
}

/** A whole reply as the events of a stream. */
export function toEvents(reply: NeutralReply): NeutralEvent[] {
  const events: NeutralEvent[] = [];
  for (const [key, part] of reply.parts.entries()) {
    if (part.type === "tool_call") {
      events.push({ type: "tool", key, id: part.id, name: part.name });
      events.push({ type: "arguments", key, text: part.arguments });
    } else if (part.type === "thinking") {
      if (part.text !== "") events.push({ type: "thinking", text: part.text });
      if (part.seal !== undefined) events.push({ type: "seal", seal: part.seal });
    } else if (part.type === "text" || part.type === "refusal") {
      events.push({ type: part.type, text: part.text });
    }
  }
  if (reply.logprobs) events.push({ type: "logprobs", logprobs: reply.logprobs });
  if (reply.usage) events.push({ type: "usage", usage: reply.usage });
  const { stop, stopSequence } = reply;
  events.push({ type: "stop", stop, ...(stopSequence !== undefined && { stopSequence }) });
  return events;
}
