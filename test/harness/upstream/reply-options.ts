/** What a made-up reply says and counts, whatever the API; each API shows what it knows. */
export interface ReplyOptions {
  /** Pieces of the text, one streamed event each. */
  readonly text?: readonly string[];
  /** A thought before the text, signed where the API signs thoughts. */
  readonly thought?: string;
  /** A call of a tool after the text. */
  readonly tool?: { readonly name: string; readonly input: object };
  /** Ends for lack of room: `length`, `max_tokens`, `MAX_TOKENS`, `incomplete`. */
  readonly isCut?: boolean;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** Read from the prompt cache: beside `inputTokens` for Anthropic, else a part of them. */
  readonly cachedTokens?: number;
  /** Written to the prompt cache: Anthropic alone tells. */
  readonly cacheWriteTokens?: number;
  /** A part of `outputTokens`. */
  readonly reasoningTokens?: number;
  readonly audioInputTokens?: number;
  readonly audioOutputTokens?: number;
  /** Of the Responses API: which one this goes on from. */
  readonly previousResponseId?: string;
  /** Of embeddings: how many, how long, and in which form. */
  readonly count?: number;
  readonly dimensions?: number;
  readonly encoding?: "float" | "base64";
}

/** The same with nothing but the options of a kind of reply left open. */
export type Filled = typeof defaults & ReplyOptions;

const defaults = {
  text: ["Hello", " from", " the", " fake", " upstream: naïve façade 🦊"] as readonly string[],
  isCut: false,
  inputTokens: 11,
  outputTokens: 7,
  cachedTokens: 3,
  cacheWriteTokens: 0,
  reasoningTokens: 2,
  audioInputTokens: 2,
  audioOutputTokens: 1,
  count: 1,
  dimensions: 4,
  encoding: "float" as "float" | "base64",
};

export function fill(options: ReplyOptions): Filled {
  return { ...defaults, ...options };
}

export function replyText(options: ReplyOptions = {}): string {
  return fill(options).text.join("");
}

/** A signature or encrypted thought that clients must send back unchanged. */
export const thoughtSignature = "RXhhbXBsZSBzaWduYXR1cmUsIG5ldmVyIHRvIGJlIGNoYW5nZWQ9PQ==";

/** An event without a name, with its blank line. */
export function toData(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** An event whose name is its type, with its blank line. */
export function toEvent(data: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${data.type}\n${toData(data)}`;
}
