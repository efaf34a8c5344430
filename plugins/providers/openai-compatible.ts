import type { Provider } from "../../src/contract/plugin.ts";
import { readModelIds } from "../../src/kit/model-ids.ts";
import { openaiPath } from "../../src/kit/openai-shapes.ts";

/** Any server that takes OpenAI's requests: Ollama, vLLM, LM Studio, OpenRouter and others. */
export const provider: Provider = {
  protocol: "openai-compatible",
  summary:
    "Any server with OpenAI's API at a `base_url`; speaks Chat Completions, Responses and Embeddings.",
  dialects: ["openai-chat", "openai-responses"],
  baseUrl: undefined,
  version: "v1",
  credential: "optional",
  path: openaiPath,
  authorize: (headers, secret) => {
    headers.authorization = `Bearer ${secret}`;
  },
  defaultHeaders: {},
  readModels: readModelIds,
};
