import { fill, type ReplyOptions } from "./reply-options.ts";

/** One made-up vector: exact in 32 bits, so that both forms hold the same numbers. */
export function vectorOf(index: number, dimensions: number): readonly number[] {
  return Array.from({ length: dimensions }, (_, i) => (i - index) / 8);
}

/** Embeddings, as numbers or as base64 of little-endian floats of 32 bits. */
export function embeddingsReply(model: string, options: ReplyOptions = {}): string {
  const { count, dimensions, encoding, inputTokens } = fill(options);
  const data = Array.from({ length: count }, (_, index) => {
    const vector = vectorOf(index, dimensions);
    const embedding = encoding === "float" ? vector : toBase64(vector);
    return { object: "embedding", index, embedding };
  });
  const usage = { prompt_tokens: inputTokens, total_tokens: inputTokens };
  return JSON.stringify({ object: "list", data, model, usage });
}

function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(4 * vector.length);
  vector.forEach((value, i) => void bytes.writeFloatLE(value, 4 * i));
  return bytes.toString("base64");
}
