import { describe, expect, test } from "bun:test";
import { dialect as anthropicMessages } from "../../../plugins/dialects/anthropic-messages/index.ts";
import { dialect as openaiChat } from "../../../plugins/dialects/openai-chat/index.ts";
import { dialect as openaiResponses } from "../../../plugins/dialects/openai-responses/index.ts";
import { provider as claude } from "../../../plugins/providers/claude.ts";
import { provider as openai } from "../../../plugins/providers/openai.ts";
import { provider as compatible } from "../../../plugins/providers/openai-compatible.ts";
import type { Provider } from "../../../src/contract/plugin.ts";
import type { Surface } from "../../../src/contract/types.ts";

const dialects = [anthropicMessages, openaiChat, openaiResponses];
const openaiPaths = {
  chat: "/chat/completions",
  completions: "/completions",
  responses: "/responses",
  embeddings: "/embeddings",
  models: "/models",
} as const;

const cases: readonly (readonly [
  provider: Provider,
  expected: {
    readonly protocol: string;
    readonly dialects: readonly string[];
    readonly baseUrl: string | undefined;
    readonly credential: Provider["credential"];
    readonly paths: Partial<Record<Surface, string>>;
    readonly headers: Record<string, string>;
  },
])[] = [
  [
    claude,
    {
      protocol: "claude",
      dialects: ["anthropic-messages"],
      baseUrl: "https://api.anthropic.com",
      credential: "required",
      paths: {
        messages: "/messages",
        count_tokens: "/messages/count_tokens",
        models: "/models?limit=1000",
      },
      headers: { "anthropic-version": "2023-06-01", "x-api-key": "s3cret" },
    },
  ],
  [
    openai,
    {
      protocol: "openai",
      dialects: ["openai-chat", "openai-responses"],
      baseUrl: "https://api.openai.com",
      credential: "required",
      paths: openaiPaths,
      headers: { authorization: "Bearer s3cret" },
    },
  ],
  [
    compatible,
    {
      protocol: "openai-compatible",
      dialects: ["openai-chat", "openai-responses"],
      baseUrl: undefined,
      credential: "optional",
      paths: openaiPaths,
      headers: { authorization: "Bearer s3cret" },
    },
  ],
];

for (const [provider, expected] of cases) {
  describe(provider.protocol, () => {
    test("says where it is and what it speaks", () => {
      const { protocol, baseUrl, credential } = expected;
      expect(provider).toMatchObject({ protocol, credential, version: "v1" });
      expect(provider.baseUrl).toBe(baseUrl);
      expect(provider.dialects).toEqual(expected.dialects);
      for (const [surface, path] of Object.entries(expected.paths)) {
        expect(provider.path(surface as Surface, "m")).toBe(path);
      }
      expect(provider.answer).toBeUndefined();
    });

    test("has a path for every route of what it speaks", () => {
      const spoken = dialects.filter(({ name }) => provider.dialects.includes(name));
      const routed = new Set(spoken.flatMap(({ routes }) => routes.map((r) => r.surface)));
      expect([...routed].sort()).toEqual(Object.keys(expected.paths).sort() as Surface[]);
    });

    test("attaches the credential", () => {
      const headers: Record<string, string> = { ...provider.defaultHeaders };
      provider.authorize(headers, "s3cret", "api_key");
      expect(headers).toEqual(expected.headers);
    });

    test("attaches an access token as RFC 6750 says, and as nothing else", () => {
      const headers: Record<string, string> = {};
      provider.authorize(headers, "t0ken", "bearer");
      expect(headers).toEqual({ authorization: "Bearer t0ken" });
    });

    const long = "m".repeat(257);
    test.each([
      [{ data: [{ id: "a" }, { id: "b", x: 1 }, { id: "a" }] }, ["a", "b"]],
      [{ data: [{ id: "" }, { id: 5 }, { id: long }, {}, null, "a"] }, []],
      [{ data: {} }, []],
      [{}, []],
      [[{ id: "a" }], []],
      [null, []],
      [undefined, []],
      ["a", []],
    ])("reads the list %j", (list, ids) => {
      expect(provider.readModels(list)).toEqual(ids);
    });
  });
}
