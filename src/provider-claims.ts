import * as v from "valibot";
import { doc, duration, secret } from "./kit/schema.ts";
import { selections } from "./routing/settings.ts";

const text = v.pipe(v.string(), v.nonEmpty());
const modelName = v.pipe(v.string(), v.nonEmpty(), v.maxLength(256));

const model = v.union([modelName, v.strictObject({ name: modelName, upstream: modelName })]);
const providers = v.strictObject({
  protocol: v.optional(
    v.record(
      v.string(),
      v.pipe(
        text,
        doc("Kind of provider; the provider's own name when it is the name of a kind.", {
          example: "claude",
        }),
      ),
    ),
    {},
  ),
  baseUrl: v.optional(
    v.record(
      v.string(),
      v.pipe(text, doc("Where the provider is.", { example: "https://api.anthropic.com" })),
    ),
    {},
  ),
  apiPath: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.string(),
        doc("Path added to base_url instead of the API's version.", { example: "v1" }),
      ),
    ),
    {},
  ),
  apiKey: v.optional(
    v.record(
      v.string(),
      v.pipe(
        secret(),
        doc("One credential, beside those in auth.dir.", { example: "${ANTHROPIC_API_KEY}" }),
      ),
    ),
    {},
  ),
  models: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.array(model),
        doc("Models to serve, with aliases; `*` is any text; none: the provider's own list.", {
          example: ["claude-sonnet-4-5", { name: "fast", upstream: "claude-haiku-4-5" }],
        }),
      ),
    ),
    {},
  ),
  excludedModels: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.array(modelName),
        doc("Models that it does not serve although they are in its list; `*` is any text.", {
          example: ["*-preview"],
        }),
      ),
    ),
    {},
  ),
  priority: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.number(),
        v.integer(),
        doc("Of the providers of one model the lowest is asked first; none: 0.", { example: 1 }),
      ),
    ),
    {},
  ),
  weight: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(1000),
        doc("Its share where routing.strategy is weighted; none: 1.", { example: 3 }),
      ),
    ),
    {},
  ),
  selection: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.picklist(selections),
        doc("How its credentials of equal priority are chosen.", { example: "fill_first" }),
      ),
    ),
    {},
  ),
  proxyUrl: v.optional(
    v.record(
      v.string(),
      v.pipe(
        secret(),
        doc("HTTP proxy that it is called through; none: what the environment says.", {
          example: "http://proxy.example.com:3128",
        }),
      ),
    ),
    {},
  ),
  caFile: v.optional(
    v.record(
      v.string(),
      v.pipe(
        text,
        doc("Authorities that its certificate is checked by, in place of the usual ones; PEM.", {
          example: "/tls/company-ca.crt",
        }),
      ),
    ),
    {},
  ),
  certFile: v.optional(
    v.record(
      v.string(),
      v.pipe(
        text,
        doc("Client certificate that it is shown, PEM.", { example: "/tls/client.crt" }),
      ),
    ),
    {},
  ),
  keyFile: v.optional(
    v.record(
      v.string(),
      v.pipe(text, doc("Key of the client certificate, PEM.", { example: "/tls/client.key" })),
    ),
    {},
  ),
  allowInsecure: v.optional(
    v.record(
      v.string(),
      v.pipe(v.boolean(), doc("Accept a plain http base_url that leaves this machine.")),
    ),
    {},
  ),
  dialects: v.optional(
    v.record(
      v.string(),
      v.pipe(
        v.array(text),
        v.minLength(1),
        doc("Which of its protocol's APIs the server has; clients of others are translated.", {
          example: ["openai-chat"],
        }),
      ),
    ),
    {},
  ),
  firstByte: v.optional(
    v.record(
      v.string(),
      v.pipe(
        duration({ min: "1ms" }),
        doc("How long the provider may take to begin its answer.", { example: "5m" }),
      ),
    ),
    {},
  ),
  idle: v.optional(
    v.record(
      v.string(),
      v.pipe(
        duration({ min: "1ms" }),
        doc("How long the provider may be silent in its answer; none: server.limits.stream_idle.", {
          example: "5m",
        }),
      ),
    ),
    {},
  ),
  total: v.optional(
    v.record(
      v.string(),
      v.pipe(
        duration({ min: "1ms" }),
        doc("How long one answer may take in all.", { example: "1h" }),
      ),
    ),
    {},
  ),
});

/** Who is upstream; other owners may claim other leaves below `providers.*`. */
export const providerClaims = {
  name: "providers",
  schema: providers,
  keys: {
    protocol: "providers.*.protocol",
    baseUrl: "providers.*.base_url",
    apiPath: "providers.*.api_path",
    apiKey: "providers.*.api_key",
    models: "providers.*.models",
    excludedModels: "providers.*.excluded_models",
    priority: "providers.*.priority",
    weight: "providers.*.weight",
    selection: "providers.*.selection",
    dialects: "providers.*.dialects",
    proxyUrl: "providers.*.proxy_url",
    caFile: "providers.*.tls.ca_file",
    certFile: "providers.*.tls.cert_file",
    keyFile: "providers.*.tls.key_file",
    allowInsecure: "providers.*.allow_insecure",
    firstByte: "providers.*.timeout.first_byte",
    idle: "providers.*.timeout.idle",
    total: "providers.*.timeout.total",
  },
} as const;
export type ProviderSettings = v.InferOutput<typeof providers>;
