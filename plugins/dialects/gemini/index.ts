import type { Dialect, DialectRoute, ModelEntry } from "../../../src/contract/plugin.ts";
import type { Surface } from "../../../src/contract/types.ts";
import { factKeys, readCall } from "./call.ts";
import { toError } from "./errors.ts";
import { toResourceName } from "./model-name.ts";
import { rename } from "./named-models.ts";
import { ArrayReader, EventReader } from "./streams.ts";
import { translation } from "./translation.ts";
import { readUsage } from "./usage.ts";

const verbs: readonly (readonly [verb: string, surface: Surface])[] = [
  ["generateContent", "gemini"],
  ["streamGenerateContent", "gemini"],
  ["countTokens", "count_tokens"],
  ["embedContent", "embeddings"],
  ["batchEmbedContents", "embeddings"],
];

/** Any path of the API but those of models themselves. */
const isOther = /^\/(?:upload\/)?v1(?:beta|alpha)?\/(?!models(?:\/[^:]*)?$)/;

const unserved =
  `Of this API the proxy serves models, and of each model ${verbs.map(([verb]) => verb).join(", ")}. ` +
  "Files, caches, batches and operations belong to one credential, and which one it can't know: " +
  "send files as `inlineData`, or call the provider itself.";

/**
 * Google's Gemini.
 *
 * A call's model and verb stand in its path. Clients call both versions; a provider has one.
 */
export const dialect: Dialect = {
  name: "gemini",
  routes: ["v1beta", "v1"].flatMap(routesOf),
  // OpenAI and Anthropic have a GET /v1/models, too.
  recognises: (header) => header("x-goog-api-key") !== null || header("x-goog-api-client") !== null,
  factKeys,
  readCall,
  rename,
  unserved: (path) => (isOther.test(path) ? unserved : undefined),
  translation,
  count: (tokens) => JSON.stringify({ totalTokens: tokens }),
  error: (problem) => JSON.stringify(toError(problem)),
  readUsage,
  readStream: () => new EventReader(),
  readJsonStream: () => new ArrayReader(),
  listModels: (models) => JSON.stringify({ models: models.map(toModel) }),
  oneModel: (model) => JSON.stringify(toModel(model)),
};

function routesOf(version: string): readonly DialectRoute[] {
  const models = `/${version}/models`;
  return [
    ...verbs.map(
      ([verb, surface]): DialectRoute => ({
        method: "POST",
        path: `${models}/:target{.+:${verb}}`,
        surface,
      }),
    ),
    { method: "GET", path: models, surface: "models" },
    { method: "GET", path: `${models}/:target{.+}`, surface: "models" },
  ];
}

/** Providers' lists are read for names alone, so the rest is what clients can't do without. */
function toModel({ id }: ModelEntry): object {
  const embeds = /embed/i.test(id);
  return {
    name: toResourceName(id),
    version: "unknown",
    displayName: id,
    supportedGenerationMethods: embeds
      ? ["embedContent", "batchEmbedContents"]
      : ["generateContent", "countTokens"],
  };
}
