import { describe, expect, test } from "bun:test";
import { dialect } from "../../../plugins/dialects/gemini/index.ts";
import { provider } from "../../../plugins/providers/gemini.ts";
import { upstreamUrl } from "../../../src/providers.ts";
import { activeProvider } from "../../harness/stubs.ts";

test("says where it is and what it speaks", () => {
  const { protocol, dialects, baseUrl, version, credential } = provider;
  expect({ protocol, dialects, baseUrl, version, credential }).toEqual({
    protocol: "gemini",
    dialects: ["gemini"],
    baseUrl: "https://generativelanguage.googleapis.com",
    version: "v1beta",
    credential: "required",
  });
});

test("sends the credential as a header", () => {
  const headers: Record<string, string> = {};
  provider.authorize(headers, "s3cret", "api_key");
  expect(headers).toEqual({ "x-goog-api-key": "s3cret" });
  const bearer: Record<string, string> = {};
  provider.authorize(bearer, "t0ken", "bearer");
  expect(bearer).toEqual({ authorization: "Bearer t0ken" });
});

const gemini = activeProvider({ kind: provider });

describe("where calls go", () => {
  const paths: readonly (readonly [model: string, verb: string, expected: string])[] = [
    ["m", "generateContent", "/models/m:generateContent"],
    ["m", "batchEmbedContents", "/models/m:batchEmbedContents"],
    ["models/m", "generateContent", "/models/m:generateContent"],
    ["tunedModels/m", "generateContent", "/tunedModels/m:generateContent"],
    ["a/b", "generateContent", "/models/a%2Fb:generateContent"],
    ["ż 🦊", "generateContent", "/models/%C5%BC%20%F0%9F%A6%8A:generateContent"],
    ["a:countTokens", "generateContent", "/models/a%3AcountTokens:generateContent"],
  ];
  test.each(paths)("%s:%s", (model, verb, expected) => {
    const url = new URL(upstreamUrl(gemini, "gemini", model, verb, ""));
    expect(url.pathname).toBe(`/v1${expected}`);
  });

  test("every route of the dialect has one", () => {
    for (const { path, surface } of dialect.routes) {
      const verb = /:(\w+)\}$/.exec(path)?.[1];
      const tail = surface === "models" ? "/models?pageSize=1000" : `/models/m:${verb}`;
      expect(provider.path(surface, "m", verb)).toBe(tail);
    }
  });

  // The dialect refuses these from clients; an alias of the configuration could still hold them.
  const hostile = [
    ...["..", ".", "../x", "../../v1/files", "a/../b", "a?key=x", "a#x", "a%2Fb", "a%2e%2e/b"],
    ...["..%2f..%2fx", "a\\..\\b", "//evil.example", "http://evil.example/", "a;b", "a@b", ""],
    ...["tunedModels/../files", "tunedModels/..", "models/..", "models/../../x"],
  ];
  test.each(hostile)("no name leaves the path: %j", (model) => {
    const url = new URL(upstreamUrl(gemini, "gemini", model, "generateContent", "?alt=sse"));
    expect(url.origin).toBe("http://127.0.0.1:1");
    expect(url.pathname).toMatch(/^\/v1\/(?:models|tunedModels)\/[^/]*:generateContent$/);
    expect([url.search, url.hash]).toEqual(["?alt=sse", ""]);
    // Whoever decodes once more sees the same name, and no other verb.
    const segment = url.pathname.split("/").at(-1) ?? "";
    const name = model.replace(/^(?:models|tunedModels)\//, "");
    expect(decodeURIComponent(segment)).toBe(`${name}:generateContent`);
  });
});

describe("refusesCredential", () => {
  const error = (reason: string) =>
    JSON.stringify({ error: { code: 400, details: [{ reason, domain: "googleapis.com" }] } });
  const cases: readonly (readonly [status: number, body: string, expected: boolean])[] = [
    [400, error("API_KEY_INVALID"), true],
    [400, JSON.stringify(JSON.parse(error("API_KEY_EXPIRED")), null, 2), true],
    [400, error("FIELD_INVALID"), false],
    [400, JSON.stringify({ error: { message: 'bad text "reason":"API_KEY_INVALID"' } }), false],
    [429, error("API_KEY_INVALID"), false],
    [400, "", false],
  ];
  test.each(cases)("%d %s", (status, body, expected) => {
    expect(provider.refusesCredential?.(status, body)).toBe(expected);
  });
});

describe("query", () => {
  const cases: readonly (readonly [query: string, expected: string])[] = [
    ["", ""],
    ["?alt=sse", "?alt=sse"],
    ["?a=b&alt=sse", "?alt=sse"],
    ["?alt=sse&fields=candidates", "?alt=sse"],
    ["?$alt=sse", "?alt=sse"],
    ["?%24alt=sse", "?alt=sse"],
    ["?alt=json", ""],
    ["?alt=proto", ""],
    ["?alt=sse2", ""],
    ["?xalt=sse", ""],
    ["?fields=candidates&prettyPrint=false", ""],
    ["?access_token=x&callback=y", ""],
  ];
  test.each(cases)("%j", (query, expected) => {
    expect(provider.query?.(query)).toBe(expected);
    expect(upstreamUrl(gemini, "gemini", "m", "generateContent", query)).toEndWith(
      `:generateContent${expected}`,
    );
  });
});

describe("readModels", () => {
  const lists: readonly (readonly [list: unknown, expected: readonly string[]])[] = [
    [{ models: [{ name: "models/a" }, { name: "models/b", x: 1 }] }, ["a", "b"]],
    [{ models: [{ name: "a" }, { name: "tunedModels/t" }] }, ["a", "tunedModels/t"]],
    [{ models: [{ name: "" }, { name: 5 }, {}, null, "a", { name: "m".repeat(257) }] }, []],
    [{ models: {} }, []],
    [{ data: [{ id: "a" }] }, []],
    [[{ name: "a" }], []],
    [null, []],
    [undefined, []],
  ];
  test.each(lists)("%j", (list, expected) => {
    expect(provider.readModels(list)).toEqual(expected);
  });
});
