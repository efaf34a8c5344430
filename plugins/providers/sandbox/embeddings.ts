import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { dialect } from "../../dialects/openai-chat/index.ts";
import { toTokens } from "./echo.ts";
import { type Given, maxTexts, readTexts } from "./texts.ts";
import type { Wire } from "./wire.ts";

/** How long a vector is where `dimensions` is absent, and at most. */
const defaultDimensions = 1536;
export const maxDimensions = 4096;

/** Most numbers of one reply: more would keep the process busy for too long. */
export const maxNumbers = 1024 * 1024;

/** OpenAI's Embeddings: unit vectors that depend on the text alone, and mean nothing. */
export const embeddings: Wire = {
  dialect,
  surface: "embeddings",
  speak({ json, model }) {
    const texts = readTexts(json.input);
    if (texts === undefined || texts.some(({ text }) => text === "")) return { refused: noInput };
    const { encoding_format: format = "float", dimensions = defaultDimensions } = json;
    if (format !== "float" && format !== "base64") return { refused: noFormat };
    if (!isLength(dimensions)) return { refused: noLength };
    if (texts.length * dimensions > maxNumbers) return { refused: tooMany };
    const data = texts.map((given, index) => {
      const vector = toVector(given, dimensions);
      const embedding = format === "base64" ? toBase64(vector) : Array.from(vector);
      return { object: "embedding", index, embedding };
    });
    const tokens = texts.reduce((sum, given) => sum + countOf(given), 0);
    const usage = { prompt_tokens: tokens, total_tokens: tokens };
    return { whole: { object: "list", data, model, usage } };
  },
};

const noInput =
  `\`input\` must be a text, a list of up to ${maxTexts} texts, a list of tokens, or a list of ` +
  "such lists; no text may be empty.";
const noFormat = "`encoding_format` must be float or base64.";
const noLength = `\`dimensions\` must be a whole number from 1 to ${maxDimensions}.`;
const tooMany = `The sandbox makes ${maxNumbers} numbers at a time: send fewer texts.`;

export function isLength(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maxDimensions;
}

function countOf({ text, tokens }: Given): number {
  return text === undefined ? tokens.length : toTokens(text.length);
}

/** A shorter vector is the start of a longer one, made a unit again, as with the real models. */
export function toVector({ text, tokens }: Given, length: number): Float32Array {
  const seed = createHash("sha256")
    .update(text ?? tokens.join(" "))
    .digest();
  let state = seed.readUInt32LE(0) || 1;
  const vector = new Float32Array(length);
  let squares = 0;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const value = state / 2 ** 31;
    vector[i] = value;
    squares += value * value;
  }
  const norm = Math.sqrt(squares);
  return vector.map((value) => value / norm);
}

/** Little-endian floats of 32 bits, as every client of this API reads them. */
function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i] as number, i * 4);
  return bytes.toString("base64");
}
