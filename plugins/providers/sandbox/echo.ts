import { isObject, toCount } from "../../../src/kit/json-member.ts";

/** How much of the user's text is repeated, in characters. */
const echoLength = 500;

/** Characters that count as one token: an estimate, since the sandbox has no tokenizer. */
const charactersPerToken = 4;

/** What the sandbox says, and what it would have cost. */
export interface Echo {
  readonly text: string;
  /** Whether the caller's limit of tokens cut the text. */
  readonly isCut: boolean;
  /** Estimated: length / 4. */
  readonly inputTokens: number;
  /** Estimated: length / 4. */
  readonly outputTokens: number;
}

/** Makes the answer to a request of either dialect; undefined when it holds no messages. */
export function toEcho(request: Readonly<Record<string, unknown>>): Echo | undefined {
  const { messages } = request;
  if (!Array.isArray(messages) || messages.length === 0) return undefined;
  let said = "";
  let length = textOf(request.system).length;
  for (const message of messages as unknown[]) {
    if (!isObject(message)) continue;
    const text = textOf(message.content);
    length += text.length;
    if (message.role === "user" && text !== "") said = text;
  }
  const asked = said.length > echoLength ? `${cut(said, echoLength)}…` : said;
  const heard = asked === "" ? "You sent no text." : `You said: ${asked}`;
  const whole = `This is the cliproxy sandbox: no model is behind it. ${heard}`;
  const limit = limitOf(request);
  const text = cut(whole, limit * charactersPerToken);
  return {
    text,
    isCut: text.length < whole.length,
    inputTokens: toTokens(length),
    outputTokens: toTokens(text.length),
  };
}

function limitOf({ max_completion_tokens: newer, max_tokens: older }: Record<string, unknown>) {
  return toCount(newer) || toCount(older) || Number.MAX_SAFE_INTEGER;
}

function toTokens(length: number): number {
  return Math.max(1, Math.ceil(length / charactersPerToken));
}

/** Never leaves half a surrogate pair. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}

/** The text of a message: a string, or the text parts of a list. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return (content as unknown[])
    .map((part) => (isObject(part) && typeof part.text === "string" ? part.text : ""))
    .filter((text) => text !== "")
    .join("\n");
}
