/** What a text of a request is to the model that reads it. */
export const textKinds = [
  "system",
  "user",
  "assistant",
  "tool_call",
  "tool_result",
  "tool",
  "image",
  "other",
] as const;
export type TextKind = (typeof textKinds)[number];

/**
 * One text of a request.
 *
 * All texts together are the whole body but for `model`, `stream` and the bytes of images: what
 * has no kind of its own is shown as `other`, so nothing can be hidden in a part nobody knows.
 */
export interface TextPart {
  /** Names it in an edit. */
  readonly index: number;
  /** Images hold no text of a model; theirs is the JSON around the bytes. */
  readonly kind: TextKind;
  /** Where it stands, e.g. `messages.0.content.1.text`. */
  readonly path: string;
  /** The text, or JSON where `json` is true: arguments of tools, their definitions, the rest. */
  readonly text: string;
  readonly json: boolean;
  /** Of an image whose bytes are in the request. */
  readonly mediaType?: string;
}

/** Replaces one text; the core does it. */
export interface TextEdit {
  readonly index: number;
  /** JSON of the same kind, an object or a list, where the part's own is. */
  readonly text: string;
}
