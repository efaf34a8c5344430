import { describe, expect, test } from "bun:test";
import type { Dialect } from "../../src/contract/plugin.ts";
import type { Surface } from "../../src/contract/types.ts";
import { createRouter } from "../../src/routing/router.ts";
import { activeProvider, credential, lineDialect } from "../harness/stubs.ts";

const alpha = activeProvider({
  name: "alpha",
  models: [
    { name: "small", upstream: "small" },
    { name: "fast", upstream: "alpha-fast-1" },
    { name: "org/with-slash", upstream: "org/with-slash" },
  ],
});
const beta = activeProvider({
  name: "beta",
  models: [{ name: "fast", upstream: "beta-fast-2" }],
});
const other = activeProvider({
  name: "other",
  kind: { dialects: ["other"] },
  models: [{ name: "foreign", upstream: "foreign" }],
});
const open = activeProvider({ name: "open" });
const bare = activeProvider({
  name: "bare",
  credentials: [],
  models: [{ name: "x", upstream: "x" }],
});
const free = activeProvider({
  name: "free",
  credentials: [],
  kind: { credential: "optional" },
  models: [{ name: "x", upstream: "x" }],
});

/** Candidates as `provider:model:credential`, or the code of the refusal. */
function ways(
  providers: Parameters<typeof createRouter>[0],
  model: string,
  dialect = "line",
): string {
  const found = createRouter(providers).resolve(model, dialect);
  if ("code" in found) return found.code;
  return found.map((c) => `${c.provider.name}:${c.model}:${c.credential?.id ?? "none"}`).join(" ");
}

describe("resolve", () => {
  type Case = readonly [
    name: string,
    providers: Parameters<typeof createRouter>[0],
    model: string,
    expected: string,
  ];
  const cases: readonly Case[] = [
    ["plain name", [alpha], "small", "alpha:small:one"],
    ["alias", [alpha], "fast", "alpha:alpha-fast-1:one"],
    [
      "alias of two providers, in order",
      [alpha, beta],
      "fast",
      "alpha:alpha-fast-1:one beta:beta-fast-2:one",
    ],
    ["prefix picks one", [alpha, beta], "beta/fast", "beta:beta-fast-2:one"],
    [
      "prefix of a listed model with a slash",
      [alpha],
      "alpha/org/with-slash",
      "alpha:org/with-slash:one",
    ],
    ["listed model with a slash", [alpha], "org/with-slash", "alpha:org/with-slash:one"],
    ["the upstream's name is no alias", [alpha], "alpha-fast-1", "model_not_found"],
    ["prefix with an unlisted model", [alpha], "alpha/large", "model_not_found"],
    ["unknown prefix", [alpha], "nobody/small", "model_not_found"],
    ["unknown", [alpha, beta], "large", "model_not_found"],
    ["empty name", [alpha], "", "model_not_found"],
    ["a name of Object's prototype", [alpha], "constructor", "model_not_found"],
    ["listed beats open", [open, alpha], "small", "alpha:small:one"],
    ["open takes the rest", [open, alpha], "anything", "open:anything:one"],
    ["open with its prefix", [open], "open/anything", "open:anything:one"],
    ["open with two slashes", [open], "open/a/b", "open:a/b:one"],
    ["no providers", [], "small", "model_not_found"],
    ["other dialect", [other], "foreign", "wrong_dialect"],
    ["no credential, needs one", [bare], "x", "no_credential"],
    ["no credential, needs none", [free], "x", "free:x:none"],
    ["one without, one with", [bare, free], "x", "free:x:none"],
  ];
  test.each(cases)("%s", (_name, providers, model, expected) => {
    expect(ways(providers, model)).toBe(expected);
  });

  test("wrong dialect names what the provider speaks", () => {
    const refusal = createRouter([other]).resolve("foreign", "line");
    expect(refusal).toMatchObject({ message: expect.stringContaining("`other` speaks other") });
  });
});

test("wrong dialect names the endpoint that would do", () => {
  const spoken: Dialect = {
    ...lineDialect,
    name: "other",
    routes: [
      { method: "POST", path: "/other", surface: "messages" },
      { method: "POST", path: "/other/count", surface: "count_tokens" },
    ],
  };
  const router = createRouter([other], [lineDialect, spoken]);
  const messageOf = (surface: Surface | undefined): unknown =>
    (router.resolve("foreign", "line", surface) as { message?: string }).message;
  expect(messageOf("messages")).toContain("speaks other (POST /other),");
  expect(messageOf("count_tokens")).toContain("speaks other (POST /other/count),");
  expect(messageOf("embeddings")).toContain("speaks other (POST /other),");
  expect(messageOf(undefined)).toContain("speaks other (POST /other),");
});

test("a refusal writes a pattern as a person would", () => {
  const spoken: Dialect = {
    ...lineDialect,
    name: "other",
    routes: [{ method: "POST", path: "/v1/models/:target{.+:speak}", surface: "gemini" }],
  };
  const found = createRouter([other], [spoken]).resolve("foreign", "line", "gemini");
  expect((found as { message?: string }).message).toContain("(POST /v1/models/{model}:speak)");
});

describe("credentials", () => {
  const many = activeProvider({
    name: "many",
    credentials: [credential("a"), credential("b"), credential("c"), credential("last", 5)],
    models: [
      { name: "m", upstream: "m" },
      { name: "n", upstream: "n" },
    ],
  });

  test("of equal priority take turns, the others follow", () => {
    const router = createRouter([many]);
    const orders = Array.from({ length: 6 }, () => {
      const found = router.resolve("m", "line");
      return "code" in found ? [] : found.map((c) => c.credential?.id ?? "");
    });
    const firsts = orders.map(([first]) => first);
    expect(new Set(firsts.slice(0, 3))).toEqual(new Set(["a", "b", "c"]));
    expect(firsts.slice(3)).toEqual(firsts.slice(0, 3));
    for (const order of orders) {
      expect(order.at(-1)).toBe("last");
      expect([...order].sort()).toEqual(["a", "b", "c", "last"]);
    }
  });

  test("take turns although calls for another provider come between", () => {
    const pair = activeProvider({
      name: "pair",
      credentials: [credential("a"), credential("b")],
      models: [{ name: "m", upstream: "m" }],
    });
    const router = createRouter([pair, alpha]);
    const firsts = Array.from({ length: 4 }, () => {
      router.resolve("small", "line");
      const found = router.resolve("m", "line");
      return "code" in found ? "" : found[0]?.credential?.id;
    });
    expect(new Set(firsts)).toEqual(new Set(["a", "b"]));
  });
});
