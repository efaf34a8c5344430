import type { Provider } from "../../src/contract/plugin.ts";
import { readModelIds } from "../../src/kit/model-ids.ts";

/** OpenAI's own API. */
export const provider: Provider = {
  protocol: "openai",
  summary: "OpenAI's API; speaks Chat Completions.",
  dialects: ["openai-chat"],
  baseUrl: "https://api.openai.com",
  version: "v1",
  credential: "required",
  path: (surface) => (surface === "models" ? "/models" : "/chat/completions"),
  authorize: (headers, secret) => {
    headers.authorization = `Bearer ${secret}`;
  },
  defaultHeaders: {},
  readModels: readModelIds,
};
