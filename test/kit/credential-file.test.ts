import { describe, expect, test } from "bun:test";
import { mostTokenCharacters, parseCredential } from "../../src/kit/credential-file.ts";

describe("the access token of a file of type oauth", () => {
  const differs = "has a `token` and another `access_token`: keep one";
  const neither = "needs `access_token`, `refresh_token` or both";
  type Case = readonly [name: string, fields: object, token: string | undefined, wrong: string];
  const cases: readonly Case[] = [
    ["as access_token", { access_token: "a1" }, "a1", ""],
    ["as token", { token: "a1" }, "a1", ""],
    ["as both", { token: "a1", access_token: "a1" }, "a1", ""],
    ["as both, that are equal but for a newline", { token: "a1\n", access_token: "a1" }, "a1", ""],
    ["none, but a refresh token", { refresh_token: "r1" }, undefined, ""],
    ["two that differ", { token: "a1", access_token: "a2" }, undefined, differs],
    ["none at all", {}, undefined, neither],
  ];
  test.each(cases)("%s", (_name, fields, access, wrong) => {
    const parsed = parseCredential({ type: "oauth", ...fields });
    expect(parsed.ok ? "" : parsed.message).toBe(wrong);
    if (!parsed.ok) return;
    const { content } = parsed;
    expect(content.type === "oauth" ? content.access_token : "no oauth").toBe(access);
    // Else a refresh would leave the old one beside the new one.
    expect("token" in content).toBe(false);
  });
});

test("the longest token, and one character more", () => {
  for (const type of ["api_key", "oauth"]) {
    const longest = "x".repeat(mostTokenCharacters);
    expect(parseCredential({ type, token: longest }).ok).toBe(true);
    const more = parseCredential({ type, token: `${longest}x` });
    expect(more).toEqual({
      ok: false,
      message: `\`token\` is longer than ${mostTokenCharacters} characters`,
    });
  }
});
