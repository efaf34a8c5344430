import type { Provider } from "../../src/contract/plugin.ts";
import { isObject } from "../../src/kit/json-member.ts";
import { idsOf } from "../../src/kit/model-ids.ts";
import { toModelPath, toPlainName } from "../dialects/gemini/model-name.ts";

/** Google's own API. */
export const provider: Provider = {
  protocol: "gemini",
  summary: "Google's Gemini API.",
  dialects: ["gemini"],
  baseUrl: "https://generativelanguage.googleapis.com",
  version: "v1beta",
  credential: "required",
  path(surface, model, verb) {
    // The list comes in pages of 50 unless asked for more.
    if (surface === "models") return "/models?pageSize=1000";
    return toModelPath(model, verb ?? "generateContent");
  },
  // Others would hide the usage (`fields`), change the format (`callback`, `alt=proto`), or log
  // somebody else in (`access_token`).
  query: (query) => (/[?&](?:\$|%24)?alt=sse(?:&|$)/.test(query) ? "?alt=sse" : ""),
  // Never `?key=`: addresses end up in logs.
  authorize: (headers, secret, kind) => {
    if (kind === "bearer") headers.authorization = `Bearer ${secret}`;
    else headers["x-goog-api-key"] = secret;
  },
  // A key that is wrong or has expired is a bad request here.
  refusesCredential: (status, body) =>
    status === 400 && /"reason"\s*:\s*"API_KEY_[A-Z_]+"/.test(body),
  defaultHeaders: {},
  readModels: (list) => (isObject(list) ? idsOf(list.models, "name").map(toPlainName) : []),
};
