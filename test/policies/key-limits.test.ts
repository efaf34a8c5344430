import { describe, expect, test } from "bun:test";
import { policy } from "../../policies/key-limits/index.ts";
import type { AttemptResult, Hooks, Outcome } from "../../src/contract/policy.ts";
import type { RunningExchange } from "../../src/exchange.ts";
import {
  builderOf,
  callOf,
  createStubHost,
  createStubHouse,
  readGauges,
  startExchange,
} from "../harness/stubs.ts";

const hooksFor = builderOf(policy);

/** An exchange of a key that may cost 100 tokens. */
function exchange(keyId = "k"): RunningExchange {
  const x = startExchange(createStubHouse());
  x.principal = { keyId, userId: "u" };
  x.call = callOf({ maxTokens: 90, stream: true }, 10);
  return x;
}

const usageOf = (tokens: number) => ({
  inputTokens: tokens,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
});
const outcome = { kind: "success" } as Outcome;
const attempt = { index: 0, provider: "p", credentialId: "c", model: "m" };

type Verdicts = readonly ["pass" | { deny: string; retryAfterSeconds: number }];

/** What an exchange is told on its way in. */
function enter(hooks: Hooks, x = exchange()): Verdicts[0] {
  const early = (hooks.request?.(x) ?? "pass") as Verdicts[0];
  if (early !== "pass" || x.call === undefined) return early;
  return (hooks.call?.(x, x.call) ?? "pass") as Verdicts[0];
}

function end(hooks: Hooks, x: RunningExchange, ...spent: readonly number[]): void {
  for (const tokens of spent) {
    const usage = usageOf(tokens);
    hooks.attemptEnd?.(x, attempt, { kind: "ok", status: 200, bytes: 1, durationMs: 0, usage });
  }
  hooks.finish?.(x, outcome);
}

function passing(hooks: Hooks, many: number, keyId = "k"): number {
  return Array.from({ length: many }, () => enter(hooks, exchange(keyId))).filter(
    (verdict) => verdict === "pass",
  ).length;
}

describe("requests of a key", () => {
  test.each<[string, object, number]>([
    ["a minute", { requestsPerMinute: { k: 5 } }, 5],
    ["a second, with a burst", { requestsPerSecond: { k: 1 }, burst: { k: 3 } }, 3],
    ["a second, without one", { requestsPerSecond: { k: 2.5 } }, 3],
    ["both: the smaller one", { requestsPerMinute: { k: 5 }, requestsPerSecond: { k: 4 } }, 4],
  ])("%s", async (_name, config, most) => {
    const hooks = await hooksFor(config);
    expect(passing(hooks, 20)).toBe(most);
    // Other keys are not its neighbours, and a request without a key is no concern of theirs.
    expect(passing(hooks, 20, "other")).toBe(20);
    const nobody = startExchange(createStubHouse());
    expect(hooks.request?.(nobody)).toBe("pass");
  });

  test("the wait is true", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ requestsPerMinute: { k: 6 } }, host);
    passing(hooks, 6);
    expect(enter(hooks)).toMatchObject({ deny: "rate_limited", retryAfterSeconds: 10 });
    host.clock.advance(10_000);
    expect(passing(hooks, 2)).toBe(1);
  });

  test("each response says what is left", async () => {
    const hooks = await hooksFor({ requestsPerMinute: { k: 6 }, tokensPerMinute: { k: 1000 } });
    const x = exchange();
    enter(hooks, x);
    const headers = { ratelimit: '"client";r=1;t=1' };
    const verdict = hooks.response?.(x, { status: 200, headers, stream: false, code: undefined });
    expect(verdict).toEqual({
      edit: {
        headers: {
          "ratelimit-policy": '"key-requests";q=6;w=60, "key-tokens";q=1000;w=60',
          ratelimit: '"client";r=1;t=1, "key-requests";r=5;t=10, "key-tokens";r=900;t=6',
        },
      },
    });
  });
});

describe("tokens of a key", () => {
  const minute = { tokensPerMinute: { k: 1000 } };
  const daily = { quotaLimit: { k: 1000 }, quotaReset: { k: "daily" } };

  test.each<[string, object, string]>([
    ["a minute", minute, "rate_limited"],
    ["a quota", daily, "quota_exceeded"],
  ])("%s: held on the way in, settled when the exchange ends", async (_name, config, code) => {
    const hooks = await hooksFor(config);
    const running = Array.from({ length: 10 }, () => exchange());
    for (const x of running) expect(enter(hooks, x)).toBe("pass");
    expect(enter(hooks)).toMatchObject({ deny: code });
    for (const x of running) end(hooks, x, 50);
    expect(passing(hooks, 20)).toBe(5);
  });

  test("what several attempts cost is added up, once", async () => {
    const hooks = await hooksFor(daily);
    const x = exchange();
    enter(hooks, x);
    end(hooks, x, 300, 200);
    end(hooks, x, 300, 200);
    expect(passing(hooks, 20)).toBe(5);
  });

  test.each<[string, (hooks: Hooks, x: RunningExchange) => void]>([
    ["refused by a later policy", () => {}],
    [
      "refused by the provider",
      (hooks, x) => {
        const result: AttemptResult = {
          kind: "refused",
          status: 400,
          usage: undefined,
          bytes: 0,
          durationMs: 0,
        };
        hooks.attemptEnd?.(x, attempt, result);
      },
    ],
  ])("a call that is %s costs no tokens", async (_name, happen) => {
    const hooks = await hooksFor({ ...minute, ...daily });
    const x = exchange();
    enter(hooks, x);
    happen(hooks, x);
    end(hooks, x);
    expect(passing(hooks, 20)).toBe(10);
  });

  test("a refusal costs no request and nothing of the other limit", async () => {
    const hooks = await hooksFor({
      requestsPerMinute: { k: 3 },
      tokensPerMinute: { k: 200 },
      quotaLimit: { k: 10_000 },
      quotaReset: { k: "daily" },
    });
    const running = [exchange(), exchange()];
    for (const x of running) expect(enter(hooks, x)).toBe("pass");
    for (let i = 0; i < 50; i++) expect(enter(hooks)).toMatchObject({ deny: "rate_limited" });
    for (const x of running) end(hooks, x, 0);
    expect(enter(hooks)).toBe("pass");
    expect(enter(hooks)).toMatchObject({ message: expect.stringContaining("requests") });
  });

  test("a quota says when it begins anew", async () => {
    const host = createStubHost();
    const hooks = await hooksFor(daily, host);
    const x = exchange();
    enter(hooks, x);
    end(hooks, x, 2000);
    expect(enter(hooks)).toMatchObject({ deny: "quota_exceeded", retryAfterSeconds: 86_400 });
    host.clock.advance(86_400_000);
    expect(enter(hooks)).toBe("pass");
  });
});

test("a gauge tells what is spent and held of each quota", async () => {
  const host = createStubHost();
  const config = {
    quotaLimit: { k: 1000 },
    quotaReset: { k: "daily" },
    requestsPerMinute: { l: 1 },
  };
  const hooks = await hooksFor(config, host);
  const x = exchange();
  enter(hooks, x);
  end(hooks, x, 30);
  enter(hooks);
  const name = "cliproxy_key_quota_tokens k";
  expect(readGauges(host)).toEqual([
    `${name} limit: 1000`,
    `${name} spent: 30`,
    `${name} held: 100`,
  ]);
});

describe("configuration", () => {
  test.each<[string, object, string]>([
    ["a burst alone", { burst: { k: 5 } }, "auth.api_keys.k.rate_limit.burst"],
    ["half a quota", { quotaLimit: { k: 5 } }, "auth.api_keys.k.quota"],
    ["the other half", { quotaReset: { k: "daily" } }, "auth.api_keys.k.quota"],
  ])("%s stops the start", async (_name, config, configPath) => {
    const failed = await hooksFor(config).catch((error: unknown) => error);
    expect(failed).toMatchObject({ configPath });
  });

  test("without limits there is nothing to do", async () => {
    expect(hooksFor({})).rejects.toThrow("not configured");
  });

  test("a reload keeps what is used and what runs", async () => {
    const host = createStubHost();
    const config = { tokensPerMinute: { k: 1000 } };
    const old = await hooksFor(config, host);
    const x = exchange();
    enter(old, x);
    const next = await hooksFor(config, host);
    expect(passing(next, 20)).toBe(9);
    // Its own generation ends it.
    end(old, x, 0);
    expect(passing(next, 20)).toBe(1);
  });
});
