import type { Provider } from "../../src/contract/plugin.ts";
import { readModelIds } from "../../src/kit/model-ids.ts";

/** Anthropic's own API. */
export const provider: Provider = {
  protocol: "claude",
  summary: "Anthropic's API; speaks Messages.",
  dialects: ["anthropic-messages"],
  baseUrl: "https://api.anthropic.com",
  version: "v1",
  credential: "required",
  // The list comes in pages of 20 unless asked for more.
  path: (surface) => (surface === "models" ? "/models?limit=1000" : "/messages"),
  authorize: (headers, secret) => {
    headers["x-api-key"] = secret;
  },
  defaultHeaders: { "anthropic-version": "2023-06-01" },
  readModels: readModelIds,
};
