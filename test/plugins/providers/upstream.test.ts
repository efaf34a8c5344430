import { describe, expect, test } from "bun:test";
import { provider as claude } from "../../../plugins/providers/claude.ts";
import { provider as openai } from "../../../plugins/providers/openai.ts";
import { provider as compatible } from "../../../plugins/providers/openai-compatible.ts";
import type { Provider } from "../../../src/contract/plugin.ts";
import type { Surface } from "../../../src/contract/types.ts";

const cases: readonly (readonly [
  provider: Provider,
  expected: {
    readonly protocol: string;
    readonly dialect: string;
    readonly surface: Surface;
    readonly baseUrl: string | undefined;
    readonly credential: Provider["credential"];
    readonly path: string;
    readonly models: string;
    readonly headers: Record<string, string>;
  },
])[] = [
  [
    claude,
    {
      protocol: "claude",
      dialect: "anthropic-messages",
      surface: "messages",
      baseUrl: "https://api.anthropic.com",
      credential: "required",
      path: "/messages",
      models: "/models?limit=1000",
      headers: { "anthropic-version": "2023-06-01", "x-api-key": "s3cret" },
    },
  ],
  [
    openai,
    {
      protocol: "openai",
      dialect: "openai-chat",
      surface: "chat",
      baseUrl: "https://api.openai.com",
      credential: "required",
      path: "/chat/completions",
      models: "/models",
      headers: { authorization: "Bearer s3cret" },
    },
  ],
  [
    compatible,
    {
      protocol: "openai-compatible",
      dialect: "openai-chat",
      surface: "chat",
      baseUrl: undefined,
      credential: "optional",
      path: "/chat/completions",
      models: "/models",
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
      expect(provider.dialects).toEqual([expected.dialect]);
      expect(provider.path(expected.surface, "m")).toBe(expected.path);
      expect(provider.path("models", "")).toBe(expected.models);
      expect(provider.answer).toBeUndefined();
    });

    test("attaches the credential", () => {
      const headers: Record<string, string> = { ...provider.defaultHeaders };
      provider.authorize(headers, "s3cret");
      expect(headers).toEqual(expected.headers);
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
