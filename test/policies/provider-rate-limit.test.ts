import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { policy } from "../../policies/provider-rate-limit.ts";
import type { Attempt, AttemptResult, Hooks } from "../../src/contract/policy.ts";
import {
  builderOf,
  callOf,
  createStubHost,
  createStubHouse,
  readGauges,
  startExchange,
} from "../harness/stubs.ts";

const hooksFor = builderOf(policy);

/** An exchange whose input is estimated at 10 tokens, of 100 that may come back. */
function exchange(inputTokens = 10, maxTokens: number | undefined = 90) {
  const x = startExchange(createStubHouse());
  x.call = callOf({ maxTokens, stream: true }, inputTokens);
  return x;
}

const to = (provider: string): Attempt => ({ index: 0, provider, credentialId: "c", model: "m" });
const usageOf = (tokens: number) => ({
  inputTokens: tokens,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
});
const ended = (kind: AttemptResult["kind"], tokens?: number, bytes = 0): AttemptResult => ({
  kind,
  status: 200,
  bytes,
  durationMs: 0,
  usage: tokens === undefined ? undefined : usageOf(tokens),
});

/** How many of so many attempts pass at once; those that do stay open. */
function passing(hooks: Hooks, attempts: number, provider = "a"): number {
  const verdicts = Array.from({ length: attempts }, () =>
    hooks.attempt?.(exchange(), to(provider)),
  );
  return verdicts.filter((verdict) => verdict === "pass").length;
}

describe("requests a minute", () => {
  test("pass to the number, then as they flow back", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ requests: { a: 60 } }, host);
    expect(passing(hooks, 100)).toBe(60);
    host.clock.advance(999);
    expect(passing(hooks, 1)).toBe(0);
    host.clock.advance(1);
    expect(passing(hooks, 2)).toBe(1);
    host.clock.advance(10 * 60_000);
    expect(passing(hooks, 100)).toBe(60);
  });

  test("of one provider are not those of another, or of one without limits", async () => {
    const hooks = await hooksFor({ requests: { a: 1, b: 2 } });
    expect([passing(hooks, 9), passing(hooks, 9, "b"), passing(hooks, 9, "c")]).toEqual([1, 2, 9]);
  });

  test("are given back by what was not sent, and by nothing else", async () => {
    const hooks = await hooksFor({ requests: { a: 1 } });
    const [x, first] = [exchange(), to("a")];
    expect(hooks.attempt?.(x, first)).toBe("pass");
    hooks.attemptEnd?.(x, first, ended("refused"));
    hooks.attemptEnd?.(x, first, ended("unsent"));
    expect(passing(hooks, 1)).toBe(0);
    const again = await hooksFor({ requests: { a: 1 } });
    expect(again.attempt?.(x, first)).toBe("pass");
    again.attemptEnd?.(x, first, ended("unsent"));
    expect(passing(again, 2)).toBe(1);
  });

  test("a refusal tries the next candidate, and says when this one would pass", async () => {
    const hooks = await hooksFor({ requests: { a: 2 } });
    passing(hooks, 2);
    expect(hooks.attempt?.(exchange(), to("a"))).toEqual({
      skip: {
        deny: "provider_limited",
        retryAfterSeconds: 30,
        headers: {
          "ratelimit-policy": '"provider-requests";q=2;w=60',
          ratelimit: '"provider-requests";r=0;t=30',
        },
      },
    });
  });
});

describe("tokens a minute", () => {
  const limit = { tokens: { a: 1000 } };

  test("are reserved before anything is sent", async () => {
    expect(passing(await hooksFor(limit), 20)).toBe(10);
  });

  test.each<[string, AttemptResult, left: number]>([
    ["reported", ended("ok", 30), 970],
    ["more than was reserved: debt", ended("ok", 1500), 0],
    ["not reported: estimated", ended("ok", undefined, 400), 1000 - 10 - 50],
    ["refused before output", ended("refused"), 1000],
    ["never reached", ended("failed"), 1000],
    ["timed out", ended("timeout"), 990],
    ["left in the middle", ended("aborted", undefined, 400), 1000 - 10 - 50],
    ["not sent", ended("unsent"), 1000],
  ])("are settled, once, when an attempt has ended: %s", async (_name, result, left) => {
    const host = createStubHost();
    const hooks = await hooksFor(limit, host);
    const [x, attempt] = [exchange(), to("a")];
    hooks.attempt?.(x, attempt);
    hooks.attemptEnd?.(x, attempt, result);
    hooks.attemptEnd?.(x, attempt, result);
    const bucket = { key: "a/tokens", capacity: 1000, perSecond: 1000 / 60 };
    const { levels } = await host.store.take([bucket], [0]);
    expect(levels[0]?.left).toBe(left);
  });

  test("overrun is paid back before anything else passes", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ tokens: { a: 600 } }, host);
    const [x, attempt] = [exchange(), to("a")];
    hooks.attempt?.(x, attempt);
    hooks.attemptEnd?.(x, attempt, ended("ok", 1200));
    const verdict = hooks.attempt?.(exchange(), to("a"));
    // 600 of debt and the 100 that are asked for, at 10 a second.
    expect(verdict).toMatchObject({ skip: { retryAfterSeconds: 70 } });
    host.clock.advance(69_999);
    expect(passing(hooks, 1)).toBe(0);
    host.clock.advance(1);
    expect(passing(hooks, 1)).toBe(1);
  });

  test("a full bucket admits a call that asks for more than it holds", async () => {
    const hooks = await hooksFor({ tokens: { a: 50 } });
    expect(hooks.attempt?.(exchange(10, 1_000_000), to("a"))).toBe("pass");
    expect(passing(hooks, 1)).toBe(0);
  });

  test("a call without a limit of its own reserves the usual output", async () => {
    const hooks = await hooksFor({ tokens: { a: 2 * (10 + 4096) } });
    const pass = () => {
      const x = exchange();
      x.call = callOf({}, 10);
      return hooks.attempt?.(x, to("a"));
    };
    expect([pass(), pass()]).toEqual(["pass", "pass"]);
    expect(pass()).not.toBe("pass");
  });

  test("a denial costs no request, and one for requests no tokens", async () => {
    const hooks = await hooksFor({ requests: { a: 2 }, tokens: { a: 100 } });
    expect(passing(hooks, 1)).toBe(1);
    expect(hooks.attempt?.(exchange(), to("a"))).toMatchObject({
      skip: { headers: { ratelimit: '"provider-requests";r=1;t=30, "provider-tokens";r=0;t=60' } },
    });
  });
});

test("whatever is interleaved, every token is counted once, and what is admitted fits", async () => {
  const kinds = ["ok", "refused", "failed", "timeout", "aborted", "unsent"] as const;
  const step = fc.record({
    begins: fc.boolean(),
    which: fc.nat(12),
    kind: fc.constantFrom(...kinds),
    tokens: fc.integer({ min: 0, max: 100 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const host = createStubHost();
      const hooks = await hooksFor({ tokens: { a: 600 } }, host);
      const open: { x: ReturnType<typeof exchange>; attempt: Attempt }[] = [];
      let spent = 0;
      for (const { begins, which, kind, tokens } of steps) {
        if (begins) {
          const [x, attempt] = [exchange(), to("a")];
          const fits = spent + (open.length + 1) * 100 <= 600;
          expect(hooks.attempt?.(x, attempt) === "pass").toBe(fits);
          if (fits) open.push({ x, attempt });
          continue;
        }
        const [one] = open.splice(which, 1);
        if (one === undefined) continue;
        const result = ended(kind, kind === "ok" ? tokens : undefined);
        hooks.attemptEnd?.(one.x, one.attempt, result);
        hooks.attemptEnd?.(one.x, one.attempt, result);
        if (kind === "ok") spent += tokens;
        if (kind === "timeout" || kind === "aborted") spent += 10;
      }
      for (const { x, attempt } of open) hooks.attemptEnd?.(x, attempt, ended("unsent"));
      const bucket = { key: "a/tokens", capacity: 600, perSecond: 10 };
      expect((await host.store.take([bucket], [0])).levels[0]?.left).toBe(600 - spent);
    }),
    { numRuns: 200 },
  );
});

test("a reload keeps what is used, and the limit of the new configuration holds", async () => {
  const host = createStubHost();
  expect(passing(await hooksFor({ requests: { a: 5 } }, host), 9)).toBe(5);
  expect(passing(await hooksFor({ requests: { a: 5 } }, host), 9)).toBe(0);
  expect(passing(await hooksFor({ requests: { a: 8 } }, host), 9)).toBe(3);
});

test("gauges tell what is left", async () => {
  const host = createStubHost();
  const hooks = await hooksFor({ requests: { a: 5, b: 1 }, tokens: { a: 1000 } }, host);
  passing(hooks, 2);
  const name = "cliproxy_provider_limit_remaining";
  const series = [`${name} a requests: 3`, `${name} a tokens: 800`, `${name} b requests: 1`];
  expect(readGauges(host)).toEqual(series);
  expect(readGauges(host)).toEqual(series);
});

test("without a limit there is nothing to do", async () => {
  expect(hooksFor({})).rejects.toThrow("not configured");
});

test.each([0, -1, 1.5, 1e12, Number.POSITIVE_INFINITY, Number.NaN, "60"])(
  "a limit of %p is none",
  (limit) => {
    for (const key of ["requests", "tokens"]) {
      expect(v.safeParse(policy.config.schema, { [key]: { a: limit } }).success).toBe(false);
    }
  },
);
