import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { policy } from "../../policies/quota.ts";
import type { Attempt, AttemptResult, Hooks } from "../../src/contract/policy.ts";
import type { Store } from "../../src/contract/store.ts";
import {
  builderOf,
  callOf,
  createStubHost,
  createStubHouse,
  readGauges,
  type StubHost,
  startExchange,
} from "../harness/stubs.ts";

const hooksFor = builderOf(policy);

/** An exchange that may cost 100 tokens. */
function exchange(maxTokens = 90) {
  const x = startExchange(createStubHouse());
  x.call = callOf({ maxTokens, stream: true }, 10);
  return x;
}

const to = (provider: string): Attempt => ({ index: 0, provider, credentialId: "c", model: "m" });
const spent = (tokens: number): AttemptResult => ({
  kind: "ok",
  durationMs: 0,
  status: 200,
  bytes: 1,
  usage: { inputTokens: tokens, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 },
});

/** Admits an attempt and ends it; false: refused. */
function spend(hooks: Hooks, tokens: number, provider = "a"): boolean {
  const [x, attempt] = [exchange(), to(provider)];
  if (hooks.attempt?.(x, attempt) !== "pass") return false;
  hooks.attemptEnd?.(x, attempt, spent(tokens));
  return true;
}

const monthly = { limit: { a: 1000 }, reset: { a: "monthly" } };
const dayMs = 86_400_000;

describe("a quota", () => {
  test("is spent by what the provider reports", async () => {
    const hooks = await hooksFor(monthly);
    for (let i = 0; i < 90; i++) expect(spend(hooks, 10)).toBe(true);
    expect(spend(hooks, 100)).toBe(true);
    expect(spend(hooks, 1)).toBe(false);
  });

  test("is held by what runs, so that many at once can't exceed it", async () => {
    const hooks = await hooksFor(monthly);
    const verdicts = Array.from({ length: 30 }, () => hooks.attempt?.(exchange(), to("a")));
    expect(verdicts.filter((verdict) => verdict === "pass")).toHaveLength(10);
  });

  test("refuses for as long as it lasts, to the next candidate first", async () => {
    const host = createStubHost();
    const hooks = await hooksFor(monthly, host);
    expect(spend(hooks, 5000)).toBe(true);
    const refusal = { deny: "quota_exceeded", retryAfterSeconds: (31 * dayMs) / 1000 };
    expect(hooks.attempt?.(exchange(), to("a"))).toMatchObject({ skip: refusal });
    expect(hooks.attempt?.(exchange(), to("b"))).toBe("pass");
    host.clock.advance(31 * dayMs - 1);
    expect(hooks.attempt?.(exchange(), to("a"))).toMatchObject({ skip: { retryAfterSeconds: 1 } });
    host.clock.advance(1);
    expect(spend(hooks, 1)).toBe(true);
  });

  test("that is only held says so: what runs may leave room soon", async () => {
    const hooks = await hooksFor(monthly);
    for (let i = 0; i < 10; i++) hooks.attempt?.(exchange(), to("a"));
    expect(hooks.attempt?.(exchange(), to("a"))).toMatchObject({ skip: { retryAfterSeconds: 10 } });
  });

  test("of one provider is not that of another", async () => {
    const hooks = await hooksFor({ limit: { a: 100, b: 100 }, reset: { a: "daily", b: "hourly" } });
    expect(spend(hooks, 100)).toBe(true);
    expect(spend(hooks, 100)).toBe(false);
    expect(spend(hooks, 100, "b")).toBe(true);
  });

  test("admits one call that may cost more than all of it, if nothing is spent", async () => {
    const hooks = await hooksFor(monthly);
    expect(hooks.attempt?.(exchange(1_000_000), to("a"))).toBe("pass");
    expect(hooks.attempt?.(exchange(), to("a"))).not.toBe("pass");
  });

  test.each<AttemptResult["kind"]>(["unsent", "refused", "failed"])(
    "is not spent by an attempt that was %s",
    async (kind) => {
      const hooks = await hooksFor({ limit: { a: 100 }, reset: { a: "daily" } });
      const [x, attempt] = [exchange(), to("a")];
      hooks.attempt?.(x, attempt);
      hooks.attemptEnd?.(x, attempt, {
        kind,
        status: 0,
        usage: undefined,
        bytes: 0,
        durationMs: 0,
      });
      expect(hooks.attempt?.(x, to("a"))).toBe("pass");
    },
  );
});

describe("periods", () => {
  const now = "2026-01-31T12:30:00Z";
  test.each<[string, waitSeconds: number]>([
    ["hourly", 30 * 60],
    ["daily", 11.5 * 3600],
    ["weekly", 35.5 * 3600],
    ["monthly", 11.5 * 3600],
  ])(
    "%s: one reset at the boundary, and no second one when the clock steps back",
    async (reset, waitSeconds) => {
      const host = createStubHost();
      host.clock.setNow(Date.parse(now));
      const hooks = await hooksFor({ limit: { a: 100 }, reset: { a: reset } }, host);
      expect(spend(hooks, 100)).toBe(true);
      const skip = { deny: "quota_exceeded", retryAfterSeconds: waitSeconds };
      expect(hooks.attempt?.(exchange(), to("a"))).toMatchObject({ skip });
      host.clock.advance(waitSeconds * 1000);
      expect(spend(hooks, 100)).toBe(true);
      expect(spend(hooks, 100)).toBe(false);
      host.clock.setNow(Date.parse(now));
      expect(spend(hooks, 100)).toBe(false);
      host.clock.setNow(Date.parse(now) + waitSeconds * 1000 + 1);
      expect(spend(hooks, 100)).toBe(false);
    },
  );

  test("a stream over the boundary is paid in the period it began in", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ limit: { a: 100 }, reset: { a: "hourly" } }, host);
    const [x, attempt] = [exchange(), to("a")];
    hooks.attempt?.(x, attempt);
    host.clock.advance(3_600_000);
    expect(spend(hooks, 50)).toBe(true);
    hooks.attemptEnd?.(x, attempt, spent(100));
    expect(spend(hooks, 0)).toBe(false);
    host.clock.advance(3_600_000);
    expect(spend(hooks, 0)).toBe(true);
  });
});

test("a gauge tells what is spent and held", async () => {
  const host = createStubHost();
  const hooks = await hooksFor(monthly, host);
  spend(hooks, 30);
  hooks.attempt?.(exchange(), to("a"));
  const name = "cliproxy_provider_quota_tokens a";
  expect(readGauges(host)).toEqual([
    `${name} limit: 1000`,
    `${name} spent: 30`,
    `${name} held: 100`,
  ]);
  host.clock.advance(31 * dayMs);
  expect(readGauges(host)).toEqual([`${name} limit: 1000`, `${name} spent: 0`, `${name} held: 0`]);
});

describe("configuration", () => {
  const lacking = (host: StubHost): StubHost => ({
    ...host,
    store: Object.assign(Object.create(host.store) as Store, { durability: "lacking" }),
  });
  test.each<[string, object, StubHost, path: string, message: RegExp]>([
    ["no reset", { limit: { a: 1 } }, createStubHost(), "providers.a.quota", /reset/],
    ["no limit", { reset: { a: "daily" } }, createStubHost(), "providers.a.quota", /limit/],
    ["no place for it", monthly, lacking(createStubHost()), "providers.a.quota", /state/],
  ])("%s stops the start", async (_name, config, host, configPath, message) => {
    const failed = await hooksFor(config, host).catch((error: unknown) => error);
    expect(failed).toMatchObject({ configPath, message: expect.stringMatching(message) });
  });

  test.each([0, -1, 1.5, Number.POSITIVE_INFINITY, "1000"])("a limit of %p is none", (limit) => {
    expect(v.safeParse(policy.config.schema, { limit: { a: limit } }).success).toBe(false);
  });

  test("a reload keeps what is spent, also under another limit", async () => {
    const host = createStubHost();
    expect(spend(await hooksFor(monthly, host), 900)).toBe(true);
    const wider = await hooksFor({ ...monthly, limit: { a: 2000 } }, host);
    expect(spend(wider, 1000)).toBe(true);
    expect(spend(await hooksFor(monthly, host), 1)).toBe(false);
  });
});
