/**
 * A conversation in the form of no vendor: every dialect is translated to it and from it.
 *
 * Text is what it is, tool arguments are JSON as text, media are base64.
 */
export interface NeutralRequest {
  /** Of the client's request; the name that the provider knows is told beside it. */
  readonly model: string;
  readonly stream: boolean;
  readonly system: readonly NeutralText[];
  readonly messages: readonly NeutralMessage[];
  readonly tools: readonly NeutralTool[];
  readonly toolChoice?: NeutralToolChoice | undefined;
  /** False: at most one call in a reply. */
  readonly parallelTools?: boolean | undefined;
  readonly output?: NeutralOutput | undefined;
  readonly reasoning?: NeutralReasoning | undefined;
  readonly maxOutputTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly seed?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  /** How many alternatives of each token are told; 0: none but the token itself. */
  readonly logprobs?: number | undefined;
  readonly verbosity?: string | undefined;
  readonly user?: string | undefined;
  readonly cacheKey?: string | undefined;
  /** Whether the end of a stream tells the usage, in a dialect that asks. */
  readonly streamUsage?: boolean | undefined;
  /** What occurs somewhere in the messages or tools, and where it was seen first. */
  readonly uses: ReadonlyMap<NeutralUse, string>;
}

/** What not every dialect can hold, below the top level of a request. */
export type NeutralUse =
  | "image"
  | "image_url"
  | "document"
  | "document_url"
  | "audio"
  | "cache_hint"
  | "late_system"
  | "custom_tool"
  | "media_result"
  | "tool_error"
  | "thinking"
  | "strict_tool";

/** What a dialect may not be able to carry, by name. */
export type NeutralFeature =
  | NeutralUse
  | Exclude<
      keyof NeutralRequest,
      ("model" | "stream" | "messages" | "uses") | ("streamUsage" | "maxOutputTokens" | "system")
    >;

export interface NeutralMessage {
  readonly role: "user" | "assistant";
  readonly parts: readonly NeutralPart[];
}

export type NeutralPart =
  | NeutralText
  | NeutralMedia
  | NeutralToolCall
  | NeutralToolResult
  | NeutralThinking
  | NeutralRefusal;

export interface NeutralText {
  readonly type: "text";
  readonly text: string;
  /** What stands up to here is worth a place in the prompt cache. */
  readonly cache?: boolean | undefined;
}

/** Exactly one of `data`, `url` and `text` is there. */
export interface NeutralMedia {
  readonly type: "image" | "document" | "audio";
  readonly mediaType: string;
  /** In base64. */
  readonly data?: string | undefined;
  readonly url?: string | undefined;
  /** Of a document that is plain text. */
  readonly text?: string | undefined;
  readonly name?: string | undefined;
  readonly detail?: string | undefined;
  readonly cache?: boolean | undefined;
}

export interface NeutralToolCall {
  readonly type: "tool_call";
  readonly id: string;
  readonly name: string;
  /** JSON of an object; of a custom tool, plain text. */
  readonly arguments: string;
  readonly custom?: boolean | undefined;
  readonly cache?: boolean | undefined;
}

export interface NeutralToolResult {
  readonly type: "tool_result";
  readonly id: string;
  /** The tool's, where the dialect says it or its call has been seen. */
  readonly name?: string | undefined;
  readonly parts: readonly (NeutralText | NeutralMedia)[];
  readonly isError: boolean;
  readonly custom?: boolean | undefined;
  readonly cache?: boolean | undefined;
}

/** What a model thought; without text, a seal that belongs to the part after it. */
export interface NeutralThinking {
  readonly type: "thinking";
  readonly text: string;
  readonly seal?: NeutralSeal | undefined;
}

/** What proves a thought to the provider that had it, and means nothing to any other. */
export interface NeutralSeal {
  /** Dialect of the provider. */
  readonly origin: string;
  readonly value: string;
  /** The thought itself is in it, and not to be read. */
  readonly redacted?: boolean | undefined;
  readonly id?: string | undefined;
}

export interface NeutralRefusal {
  readonly type: "refusal";
  readonly text: string;
}

export interface NeutralTool {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON schema of the arguments; undefined: none, or the tool is custom. */
  readonly schema?: Readonly<Record<string, unknown>> | undefined;
  readonly strict?: boolean | undefined;
  /** Takes plain text instead of JSON. */
  readonly custom?: boolean | undefined;
  /** What the client groups it under; `name` begins with it. */
  readonly namespace?: string | undefined;
  readonly cache?: boolean | undefined;
}

export type NeutralToolChoice =
  | { readonly type: "auto" | "none" | "required" }
  | { readonly type: "tool"; readonly name: string };

export type NeutralOutput =
  | { readonly type: "json" }
  | {
      readonly type: "schema";
      readonly name: string;
      readonly description?: string | undefined;
      readonly schema: Readonly<Record<string, unknown>>;
      readonly strict?: boolean | undefined;
    };

export type NeutralEffort = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";

export interface NeutralReasoning {
  readonly effort?: NeutralEffort | undefined;
  /** Tokens that thinking may take; undefined: the effort says it, or the model decides. */
  readonly budgetTokens?: number | undefined;
  /** Whether the client wants to read the thoughts. */
  readonly show?: boolean | undefined;
}

export type NeutralStop =
  | "end"
  | "length"
  | "context"
  | "tools"
  | "stop_sequence"
  | "pause"
  | "refusal"
  | "filter";

export interface NeutralUsage {
  /** Cache reads and writes counted in. */
  readonly inputTokens: number;
  /** Reasoning counted in. */
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
}

export interface NeutralLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly top: readonly { readonly token: string; readonly logprob: number }[];
}

/** A whole reply. */
export interface NeutralReply {
  readonly parts: readonly NeutralPart[];
  readonly stop: NeutralStop;
  readonly stopSequence?: string | undefined;
  readonly usage?: NeutralUsage | undefined;
  readonly logprobs?: readonly NeutralLogprob[] | undefined;
}

/**
 * A piece of a streamed reply. Calls of tools are told apart by `key`; a new one ends the one
 * before it, and text or thinking ends them all.
 */
export type NeutralEvent =
  | { readonly type: "text" | "thinking" | "refusal"; readonly text: string }
  | { readonly type: "seal"; readonly seal: NeutralSeal }
  | { readonly type: "tool"; readonly key: number; readonly id: string; readonly name: string }
  | { readonly type: "arguments"; readonly key: number; readonly text: string }
  | { readonly type: "logprobs"; readonly logprobs: readonly NeutralLogprob[] }
  | { readonly type: "usage"; readonly usage: NeutralUsage }
  | { readonly type: "stop"; readonly stop: NeutralStop; readonly stopSequence?: string }
  | { readonly type: "error"; readonly status: number; readonly message: string };

/** What is told of a reply that a dialect writes. */
export interface ReplyFrame {
  readonly request: NeutralRequest;
  /** Unique, of letters and digits. */
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
}
