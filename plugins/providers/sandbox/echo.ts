import { isObject } from "../../../src/kit/json-member.ts";

/** How much of the user's text is repeated, in characters. */
const echoLength = 500;

/** Characters that count as one token: an estimate, since the sandbox has no tokenizer. */
const charactersPerToken = 4;

/** What the sandbox was told, whichever API it came by. */
export interface Heard {
  /** The user's last words. */
  readonly said: string;
  /** Length of all text of the request. */
  readonly characters: number;
}

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

/**
 * Makes the answer to what was heard.
 * @param limitTokens 0: no limit
 */
export function toEcho({ said, characters }: Heard, limitTokens: number): Echo {
  const asked = said.length > echoLength ? `${cut(said, echoLength)}…` : said;
  const heard = asked === "" ? "You sent no text." : `You said: ${asked}`;
  const whole = `This is the cliproxy sandbox: no model is behind it. ${heard}`;
  const text = limitTokens > 0 ? cut(whole, limitTokens * charactersPerToken) : whole;
  return {
    text,
    isCut: text.length < whole.length,
    inputTokens: toTokens(characters),
    outputTokens: toTokens(text.length),
  };
}

/** What an API that takes messages says to a request without any. */
export const noMessages =
  "`messages` must be a list with at least one message, such as " +
  '[{"role": "user", "content": "Hello"}].';

/** Hears a list of messages and what stands before it; undefined when it holds no message. */
export function hear(messages: unknown, before: unknown): Heard | undefined {
  if (!Array.isArray(messages) || messages.length === 0) return undefined;
  let said = "";
  let characters = textOf(before).length;
  for (const message of messages as unknown[]) {
    if (!isObject(message)) continue;
    const text = textOf(message.content);
    characters += text.length;
    if (message.role === "user" && text !== "") said = text;
  }
  return { said, characters };
}

/** Estimated: length / 4, at least 1. */
export function toTokens(characters: number): number {
  return Math.max(1, Math.ceil(characters / charactersPerToken));
}

/** Words with the space before them, as models stream; long ones in parts. */
export function piecesOf(text: string): readonly string[] {
  return text.match(/\s*\S{1,24}|\s+/gu) ?? [];
}

/** The text of a message: a string, or the text parts of a list. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return (content as unknown[])
    .map((part) => (isObject(part) && typeof part.text === "string" ? part.text : ""))
    .filter((text) => text !== "")
    .join("\n");
}

/** Never leaves half a surrogate pair. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}
