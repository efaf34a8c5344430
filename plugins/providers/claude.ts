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
  path(surface) {
    // The list comes in pages of 20 unless asked for more.
    if (surface === "models") return "/models?limit=1000";
    return surface === "count_tokens" ? "/messages/count_tokens" : "/messages";
  },
  authorize: (headers, secret, kind) => {
    if (kind === "bearer") headers.authorization = `Bearer ${secret}`;
    else headers["x-api-key"] = secret;
  },
  defaultHeaders: { "anthropic-version": "2023-06-01" },
  readModels: readModelIds,
};
