import type { Dialect } from "../contract/plugin.ts";

/** How the management API words an error; no model is called through it. */
export const adminDialect: Dialect = {
  name: "management",
  routes: [],
  recognises: () => false,
  factKeys: [],
  readCall: () => "The management API takes no model calls.",
  error: ({ code, message, requestId }) =>
    JSON.stringify({ error: { code, message, request_id: requestId } }),
  readUsage: () => undefined,
  readStream() {
    throw new Error("the management API streams nothing");
  },
  listModels: () => "[]",
  oneModel: () => "{}",
};
