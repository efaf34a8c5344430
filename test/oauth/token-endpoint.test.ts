import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Secret } from "../../src/kit/secret.ts";
import { endpointProblem } from "../../src/kit/token-url.ts";
import { askTokens } from "../../src/oauth/ask-tokens.ts";
import { type OAuthClient, refreshRequest, toHttp } from "../../src/oauth/grant.ts";
import { readTokenAnswer } from "../../src/oauth/token-answer.ts";
import { answerBytes, createPost } from "../../src/oauth/token-endpoint.ts";
import { bunRuntime } from "../../src/runtime/bun.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { OAuthServer, type TokenFault, tokenFaults } from "../harness/oauth-server.ts";

let server: OAuthServer;
beforeAll(async () => {
  server = await new OAuthServer().open();
});
afterAll(cleanUp);

const publicClient: OAuthClient = { clientId: "cli", clientSecret: undefined, method: "none" };
const post = createPost(bunRuntime);

describe("how a client proves who it is", () => {
  const secret = new Secret("s:e c%");
  const formOf = (client: OAuthClient) => {
    const { headers, body } = toHttp(refreshRequest("https://x.test", client, "r1", ["a", "b"]));
    return {
      authorization: headers.authorization,
      form: Object.fromEntries(new URLSearchParams(new TextDecoder().decode(body))),
    };
  };
  const usual = { grant_type: "refresh_token", refresh_token: "r1", scope: "a b" };

  test("a public one by its id", () => {
    expect(formOf(publicClient)).toEqual({
      authorization: undefined,
      form: { ...usual, client_id: "cli" },
    });
  });

  test("by Basic, each part encoded, and nowhere else", () => {
    const client = {
      clientId: "c:1",
      clientSecret: secret,
      method: "client_secret_basic",
    } as const;
    const { authorization, form } = formOf(client);
    expect(atob(authorization?.slice(6) ?? "")).toBe("c%3A1:s%3Ae+c%25");
    expect(form).toEqual(usual);
  });

  test("by the body, and nowhere else", () => {
    const client = { clientId: "c", clientSecret: secret, method: "client_secret_post" } as const;
    expect(formOf(client)).toEqual({
      authorization: undefined,
      form: { ...usual, client_id: "c", client_secret: "s:e c%" },
    });
  });
});

describe("what an answer says", () => {
  const good = { access_token: "a1", token_type: "Bearer" };
  type Case = readonly [name: string, status: number, text: string, expected: object];
  const cases: readonly Case[] = [
    ["all of it", 200, json({ ...good, expires_in: 60, refresh_token: "r" }), told("a1", 60, "r")],
    ["no life, no refresh token", 200, json(good), told("a1")],
    ["life as digits", 200, json({ ...good, expires_in: "60" }), told("a1", 60)],
    ["a life of nothing", 200, json({ ...good, expires_in: 0 }), told("a1")],
    ["a negative life", 200, json({ ...good, expires_in: -1 }), told("a1")],
    ["a life for ever", 200, json({ ...good, expires_in: 1e99 }), told("a1", 316_224_000)],
    ["no type", 200, json({ access_token: "a1" }), told("a1")],
    ["another type", 200, json({ ...good, token_type: "mac" }), bad],
    ["no token", 200, json({ token_type: "bearer" }), bad],
    ["a token with a line break", 200, json({ ...good, access_token: "a\r\nx: y" }), bad],
    ["a token with a space", 200, json({ ...good, access_token: "a b" }), bad],
    ["a token that is a number", 200, json({ ...good, access_token: 5 }), bad],
    [
      "the longest token",
      200,
      json({ access_token: "a".repeat(12_288) }),
      told("a".repeat(12_288)),
    ],
    ["one character more", 200, json({ access_token: "a".repeat(12_289) }), bad],
    ["half of it", 200, '{"access_token":"a1', bad],
    ["a list", 200, "[]", bad],
    ["an error", 400, json({ error: "invalid_grant" }), { failed: "invalid_grant" }],
    [
      "an error with status 200",
      200,
      json({ error: "invalid_grant", ...good }),
      failed("invalid_grant"),
    ],
    ["an error that is an object", 400, json({ error: { code: 3 } }), failed("unknown_error")],
    ["an error that would forge a line", 400, json({ error: "a\nb" }), failed("unknown_error")],
    ["a page", 503, "<html>", failed("status_503")],
    ["a token with an odd status", 202, json(good), failed("status_202")],
  ];
  test.each(cases)("%s", (_name, status, text, expected) => {
    const result = readTokenAnswer(status, text);
    const shown =
      "failed" in result
        ? { failed: result.failed }
        : {
            access: result.accessToken.expose(),
            seconds: result.expiresInSeconds,
            refresh: result.refreshToken?.expose(),
          };
    expect(shown).toEqual(expected as never);
  });
});

const bad = { failed: "bad_answer" };
function failed(code: string): object {
  return { failed: code };
}
function told(access: string, seconds?: number, refresh?: string): object {
  return { access, seconds, refresh };
}
function json(value: object): string {
  return JSON.stringify(value);
}

describe("a server that misbehaves", () => {
  const faults: readonly (readonly [string, () => TokenFault, string])[] = [
    ["status 500", () => tokenFaults.status(500), "status_500"],
    [
      "a redirect, which is not followed",
      () => tokenFaults.redirect(`${server.url}/token`),
      "redirected",
    ],
    ["an answer that is too long", () => tokenFaults.huge, "bad_answer"],
    ["half an answer", () => tokenFaults.half, "bad_answer"],
    ["a connection that is cut", () => tokenFaults.cut, "unreachable"],
    ["silence", () => tokenFaults.hang, "timeout"],
  ];
  test.each(faults)("%s", async (_name, fault, expected) => {
    const before = server.asked.length;
    server.fail(fault());
    const request = refreshRequest(server.tokenUrl, publicClient, "refresh-0", []);
    const result = await askTokens(post, request, expected === "timeout" ? 200 : 10_000);
    expect(result).toMatchObject({ failed: expected });
    expect(server.asked.length).toBe(before + 1);
  });

  test("the longest answer that is read, and one byte more", async () => {
    for (const [extra, expected] of [
      [0, "no_failure"],
      [1, "bad_answer"],
    ] as const) {
      const text = JSON.stringify({ access_token: "a", pad: "" });
      const pad = "x".repeat(answerBytes - text.length + extra);
      server.fail(tokenFaults.body({ access_token: "a", pad }));
      const request = refreshRequest(server.tokenUrl, publicClient, "refresh-0", []);
      const result = await askTokens(post, request);
      expect("failed" in result ? result.failed : "no_failure").toBe(expected);
    }
  });

  test("nobody there, and Retry-After", async () => {
    const nowhere = refreshRequest("http://127.0.0.1:1/token", publicClient, "r", []);
    expect(await askTokens(post, nowhere)).toMatchObject({ failed: "unreachable" });
    for (const [told, seconds] of [
      ["899", 899],
      ["900", 900],
      ["901", 900],
      ["Wed, 25 Nov 2026 16:00:00 GMT", undefined],
    ] as const) {
      server.fail((response) => void response.writeHead(429, { "retry-after": told }).end("{}"));
      const request = refreshRequest(server.tokenUrl, publicClient, "refresh-0", []);
      const expected = { failed: "status_429", retryAfterSeconds: seconds };
      expect(await askTokens(post, request)).toEqual(expected as never);
    }
  });
});

describe("where secrets may go", () => {
  test.each([
    ["https://auth.example.com/token?x=1", true],
    ["http://127.0.0.1:9/token", true],
    ["http://localhost/token", true],
    ["http://[::1]:80/token", true],
    ["http://auth.example.com/token", false],
    ["http://127.0.0.1.example.com/token", false],
    ["https://user:pw@auth.example.com/token", false],
    ["https://auth.example.com/token#x", false],
    ["file:///etc/passwd", false],
    ["not an address", false],
  ])("%s: %p", async (address, isGood) => {
    expect(endpointProblem(address) === undefined).toBe(isGood);
    if (isGood) return;
    const answer = await post(refreshRequest(address, publicClient, "r", []));
    expect(answer).toMatchObject({ failed: "bad_address" });
  });

  test("plain http elsewhere only when it is allowed", () => {
    expect(endpointProblem("http://auth.example.com/token", true)).toBeUndefined();
  });
});
