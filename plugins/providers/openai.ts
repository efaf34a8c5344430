import type { Provider } from "../../src/contract/plugin.ts";
import { readModelIds } from "../../src/kit/model-ids.ts";
import { openaiPath } from "../../src/kit/openai-shapes.ts";

/** OpenAI's own API. */
export const provider: Provider = {
  protocol: "openai",
  summary: "OpenAI's API; speaks Chat Completions, Responses and Embeddings.",
  dialects: ["openai-chat", "openai-responses"],
  baseUrl: "https://api.openai.com",
  version: "v1",
  credential: "required",
  path: openaiPath,
  authorize: (headers, secret) => {
    headers.authorization = `Bearer ${secret}`;
  },
  defaultHeaders: {},
  readModels: readModelIds,
};
