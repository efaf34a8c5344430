import { describe, expect, test } from "bun:test";
import { Secret } from "../../src/kit/secret.ts";
import { pollForTokens, requestDeviceCode } from "../../src/oauth/device-flow.ts";
import type { TokenRequest } from "../../src/oauth/grant.ts";
import type { EndpointAnswer, Post } from "../../src/oauth/token-endpoint.ts";
import { createFakeClock } from "../harness/fake-clock.ts";

const login = {
  deviceUrl: "https://a.example/device",
  tokenUrl: "https://a.example/token",
  client: { clientId: "cli", clientSecret: new Secret("s3cret"), method: "client_secret_post" },
  scopes: ["a", "b"],
} as const;

const told = {
  ...{ device_code: "dev-1", user_code: "WDJB-MJHT", expires_in: 600, interval: 7 },
  verification_uri: "https://a.example/activate",
};

function answerOf(status: number, body: object): EndpointAnswer {
  return { status, text: JSON.stringify(body), retryAfterSeconds: undefined };
}

describe("asking for a code", () => {
  const ask = (body: object, status = 200) => {
    return requestDeviceCode(login, async () => answerOf(status, body));
  };

  test("is told what the user needs, and sends client and scopes", async () => {
    const asked: TokenRequest[] = [];
    const code = await requestDeviceCode(login, async (request) => {
      asked.push(request);
      return answerOf(200, told);
    });
    expect(code).toEqual({
      ...{ deviceCode: "dev-1", userCode: "WDJB-MJHT", completeUri: undefined },
      ...{ verificationUri: "https://a.example/activate" },
      ...{ expiresInSeconds: 600, intervalSeconds: 7 },
    });
    expect(asked).toEqual([
      { url: login.deviceUrl, client: login.client, form: { scope: "a b" } } as never,
    ]);
  });

  const page = (length: number): string => "https://a.example/".padEnd(length, "x");
  type Case = readonly [name: string, more: object, expected: object];
  const cases: readonly Case[] = [
    ["Google's name for the page", { verification_uri: undefined, verification_url: page(30) }, {}],
    ["no interval", { interval: undefined }, { intervalSeconds: 5 }],
    ["the longest interval", { interval: 60 }, { intervalSeconds: 60 }],
    ["a longer one", { interval: 61 }, { intervalSeconds: 60 }],
    ["no end", { expires_in: undefined }, { expiresInSeconds: 600 }],
    ["the longest login", { expires_in: 3600 }, { expiresInSeconds: 3600 }],
    ["a longer one", { expires_in: 3601 }, { expiresInSeconds: 3600 }],
    ["the longest code", { user_code: "x".repeat(64) }, { userCode: "x".repeat(64) }],
    ["one character more", { user_code: "x".repeat(65) }, { failed: "bad_answer" }],
    ["the longest page", { verification_uri: page(2048) }, { verificationUri: page(2048) }],
    ["one character more", { verification_uri: page(2049) }, { failed: "bad_answer" }],
    ["a code that steers the terminal", { user_code: "A\u001b[2J" }, { failed: "bad_answer" }],
    ["a page that is a script", { verification_uri: "javascript:1" }, { failed: "bad_answer" }],
    [
      "a full page that is one",
      { verification_uri_complete: "file:///x" },
      { userCode: "WDJB-MJHT" },
    ],
    ["no page", { verification_uri: undefined }, { failed: "bad_answer" }],
    ["no code for us", { device_code: "" }, { failed: "bad_answer" }],
    ["an error with status 200", { error: "invalid_client" }, { failed: "invalid_client" }],
  ];
  test.each(cases)("%s", async (_name, more, expected) => {
    expect(await ask({ ...told, ...more })).toMatchObject(expected);
  });

  test("a page as the parser writes it, and a server that fails", async () => {
    const code = await ask({ ...told, verification_uri: "https://a.example/\u001b[2J" });
    expect(JSON.stringify(code)).not.toContain("u001b");
    expect(await ask({}, 500)).toEqual({ failed: "status_500" });
    expect(await requestDeviceCode(login, async () => ({ failed: "unreachable" }))).toEqual({
      failed: "unreachable",
    });
  });
});

describe("waiting for the user", () => {
  const good = answerOf(200, { access_token: "a1", token_type: "bearer", expires_in: 60 });
  const error = (code: string) => answerOf(400, { error: code });
  const pending = error("authorization_pending");

  /** Polls; answers come in order, and the last one again and again. */
  async function poll(
    answers: readonly Awaited<ReturnType<Post>>[],
    { expiresInSeconds = 600, intervalSeconds = 5 } = {},
  ) {
    const clock = createFakeClock();
    const waits: number[] = [];
    let asked = 0;
    const code = {
      ...{ deviceCode: "dev-1", userCode: "U", verificationUri: "https://a.example/" },
      ...{ completeUri: undefined, expiresInSeconds, intervalSeconds },
    };
    const result = await pollForTokens(login, code, {
      clock,
      async post({ form }) {
        expect(form.device_code).toBe("dev-1");
        asked += 1;
        return answers[Math.min(asked, answers.length) - 1] ?? pending;
      },
      async sleep(ms) {
        waits.push(ms / 1000);
        clock.advance(ms);
      },
    });
    return { end: "failed" in result ? result.failed : result.accessToken.expose(), waits };
  }

  test.each([
    ["at once", [good], "a1", [5]],
    ["pending keeps the pace", [pending, pending, good], "a1", [5, 5, 5]],
    [
      "slow_down adds five seconds for good",
      [error("slow_down"), pending, good],
      "a1",
      [5, 10, 10],
    ],
    ["denied is final", [pending, error("access_denied")], "access_denied", [5, 5]],
    ["expired is final", [error("expired_token")], "expired_token", [5]],
    ["what nobody knows is final", [error("odd")], "odd", [5]],
    ["a bad answer is final", [answerOf(200, {})], "bad_answer", [5]],
    [
      "outages double the wait",
      [{ failed: "timeout" }, { failed: "unreachable" }, answerOf(503, {}), good],
      "a1",
      [5, 10, 20, 40],
    ],
  ] as const)("%s", async (_name, answers, end, waits) => {
    expect(await poll(answers)).toEqual({ end, waits: [...waits] });
  });

  test("no wait is longer than a minute", async () => {
    const { waits } = await poll([{ failed: "timeout" }], { expiresInSeconds: 3600 });
    expect(Math.max(...waits)).toBe(60);
  });

  test("a code that is over is not asked for again", async () => {
    const { end, waits } = await poll([pending], { expiresInSeconds: 12 });
    expect([end, waits]).toEqual(["expired_token", [5, 5, 2]]);
    const exact = await poll([good], { expiresInSeconds: 5 });
    expect(exact).toEqual({ end: "expired_token", waits: [5] });
  });
});
