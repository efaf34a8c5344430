import { isObject } from "../../../src/kit/json-member.ts";
import { dialect } from "../../dialects/gemini/index.ts";
import { textOf } from "./echo.ts";
import { isLength, maxDimensions, maxNumbers, toVector } from "./embeddings.ts";
import type { Wire } from "./wire.ts";

/** How long a vector is where `outputDimensionality` is absent. */
const defaultDimensions = 3072;

/** Gemini's embeddings, one or a batch: unit vectors that depend on the text alone. */
export const geminiEmbeddings: Wire = {
  dialect,
  surface: "embeddings",
  speak({ json, verb }) {
    const isBatch = verb === "batchEmbedContents";
    const requests: unknown = isBatch ? json.requests : [json];
    if (!Array.isArray(requests) || requests.length === 0) return { refused: noRequests };
    const asked = (requests as unknown[]).map(read);
    if (!asked.every((one) => one !== undefined)) return { refused: noContent };
    if (!asked.every(({ dimensions }) => isLength(dimensions))) return { refused: noLength };
    const numbers = asked.reduce((sum, { dimensions }) => sum + Number(dimensions), 0);
    if (numbers > maxNumbers) return { refused: tooMany };
    const embeddings = asked.map(({ text, dimensions }) => {
      return { values: Array.from(toVector({ text, tokens: [] }, Number(dimensions))) };
    });
    return { whole: isBatch ? { embeddings } : { embedding: embeddings[0] } };
  },
};

const noRequests = "`requests` must be a list with at least one request to embed a content.";
const noContent = '`content` must hold text, such as {"parts": [{"text": "Hello"}]}.';
const noLength = `\`outputDimensionality\` must be a whole number from 1 to ${maxDimensions}.`;
const tooMany = `The sandbox makes ${maxNumbers} numbers at a time: send fewer texts.`;

interface AskedVector {
  readonly text: string;
  readonly dimensions: unknown;
}

function read(request: unknown): AskedVector | undefined {
  if (!isObject(request) || !isObject(request.content)) return undefined;
  const text = textOf(request.content.parts);
  const { outputDimensionality: camel, output_dimensionality: snake } = request;
  return text === "" ? undefined : { text, dimensions: camel ?? snake ?? defaultDimensions };
}
