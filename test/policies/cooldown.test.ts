import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { policy } from "../../policies/cooldown/index.ts";
import type {
  Attempt,
  AttemptResult,
  AttemptVerdict,
  Hooks,
  Policy,
} from "../../src/contract/policy.ts";
import {
  builderOf,
  createStubHost,
  createStubHouse,
  hooksOf,
  readGauges,
  startExchange,
} from "../harness/stubs.ts";

const hooksFor = builderOf(policy);

const x = startExchange(createStubHouse());
const to = (model = "m", credentialId = "c", provider = "a"): Attempt => ({
  index: 0,
  ...{ provider, credentialId, model },
});
const end = (more: Partial<AttemptResult>): AttemptResult => ({
  ...{ kind: "refused", status: 429, usage: undefined, bytes: 0, durationMs: 5 },
  ...more,
});
const limited = (askedWaitMs?: number): AttemptResult => end({ cause: "limit", askedWaitMs });
const refused = end({ cause: "credential", status: 401 });
const broken = end({ cause: "transient", status: 500 });
const silent = end({ kind: "failed", status: 0 });
const good = end({ kind: "ok", status: 200, firstByteMs: 3 });

/** Lets an attempt run to its end; the seconds to wait if it is not let through. */
function run(hooks: Hooks, result: AttemptResult, attempt = to()): number {
  const wait = ask(hooks, attempt);
  if (wait === 0) hooks.attemptEnd?.(x, attempt, result);
  return wait;
}
function ask(hooks: Hooks, attempt = to()): number {
  const verdict = hooks.attempt?.(x, attempt) as AttemptVerdict;
  if (verdict === "pass") return 0;
  if (typeof verdict !== "object" || !("skip" in verdict)) throw new Error("no skip");
  expect(verdict.skip.deny).toBe("model_cooldown");
  return verdict.skip.retryAfterSeconds ?? -1;
}

describe("a limit", () => {
  test("is waited for as long as the provider asks, for that credential and model alone", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({}, host);
    run(hooks, limited(7000));
    expect([ask(hooks), ask(hooks, to("other")), ask(hooks, to("m", "d"))]).toEqual([7, 0, 0]);
    host.clock.advance(6999);
    expect(ask(hooks)).toBe(1);
    host.clock.advance(1);
    expect(ask(hooks)).toBe(0);
  });

  test("without a time lasts longer each time in a row, up to the longest", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ longest: "1m" }, host);
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      expect(run(hooks, limited())).toBe(0);
      waits.push(ask(hooks));
      host.clock.advance((waits.at(-1) ?? 0) * 1000);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(run(hooks, good)).toBe(0);
    run(hooks, limited());
    expect(ask(hooks)).toBe(1);
  });

  test("that asks for years is cut to the longest", async () => {
    const hooks = await hooksFor({ longest: "10m" });
    run(hooks, limited(99_999_999_000));
    expect(ask(hooks)).toBe(600);
  });

  test("hit by many at once is one step", async () => {
    const hooks = await hooksFor();
    const attempts = Array.from({ length: 20 }, () => to());
    for (const attempt of attempts) expect(ask(hooks, attempt)).toBe(0);
    for (const attempt of attempts) hooks.attemptEnd?.(x, attempt, limited());
    expect(ask(hooks)).toBe(1);
  });

  test("is not over because an earlier attempt succeeds", async () => {
    const hooks = await hooksFor();
    const early = to();
    expect(ask(hooks, early)).toBe(0);
    run(hooks, limited(9000));
    hooks.attemptEnd?.(x, early, good);
    expect(ask(hooks)).toBe(9);
  });
});

describe("when the time is over", () => {
  test("one attempt finds out, and the others wait for it", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({}, host);
    run(hooks, limited(1000));
    host.clock.advance(1000);
    const probe = to();
    expect([ask(hooks, probe), ask(hooks), ask(hooks)]).toEqual([0, 1, 1]);
    hooks.attemptEnd?.(x, probe, good);
    expect([ask(hooks), ask(hooks)]).toEqual([0, 0]);
  });

  test.each([
    ["was not sent", end({ kind: "unsent", status: 0 })],
    ["was left by its client", end({ kind: "aborted", status: 0 })],
  ])("one that %s lets another one find out", async (_case, result) => {
    const host = createStubHost();
    const hooks = await hooksFor({}, host);
    run(hooks, limited(1000));
    host.clock.advance(1000);
    expect(run(hooks, result)).toBe(0);
    expect(ask(hooks)).toBe(0);
  });

  test("one that never ends does not hold the others off for ever", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({}, host);
    run(hooks, limited(1000));
    host.clock.advance(1000);
    expect(ask(hooks, to())).toBe(0);
    host.clock.advance(59_999);
    expect(ask(hooks)).toBe(1);
    host.clock.advance(1);
    expect(ask(hooks)).toBe(0);
  });
});

describe("a credential that is refused", () => {
  test("is left alone for all models, and asked again when its file or the config changed", async () => {
    const hooks = await hooksFor();
    run(hooks, refused);
    expect([ask(hooks), ask(hooks, to("other")), ask(hooks, to("m", "d"))]).toEqual([60, 60, 0]);
    hooks.credentialsRead?.();
    await Promise.resolve();
    expect(ask(hooks)).toBe(0);
  });

  test("whose token is renewed at once is not", async () => {
    const hooks = await hooksFor();
    run(hooks, end({ status: 401 }));
    expect(ask(hooks)).toBe(0);
  });
});

describe("failures", () => {
  test.each([
    ["answers of 5xx", broken, to("other")],
    ["silence", silent, to("m", "c", "b")],
  ])("of %s: five in a row open the circuit", async (_case, result, elsewhere) => {
    const host = createStubHost();
    const hooks = await hooksFor({}, host);
    for (let i = 0; i < 5; i++) expect(run(hooks, result)).toBe(0);
    expect([ask(hooks), ask(hooks, elsewhere)]).toEqual([10, 0]);
    host.clock.advance(10_000);
    expect(run(hooks, result)).toBe(0);
    expect(ask(hooks)).toBe(20);
  });

  test("with a good answer between them, or far apart, do not", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({}, host);
    for (let i = 0; i < 20; i++) {
      expect(run(hooks, broken)).toBe(0);
      if (i % 4 === 3) run(hooks, i % 8 === 3 ? good : end({ cause: "request", status: 400 }));
    }
    for (let i = 0; i < 20; i++) {
      expect(run(hooks, broken)).toBe(0);
      host.clock.advance(60_000);
    }
  });

  test("that say how long are believed at once", async () => {
    const hooks = await hooksFor();
    run(hooks, { ...broken, askedWaitMs: 3000 });
    expect(ask(hooks)).toBe(3);
  });
});

test("a provider with `cooldown: false` is always asked", async () => {
  const hooks = await hooksFor({ byProvider: { a: false } });
  run(hooks, limited(9000));
  run(hooks, limited(9000), to("m", "c", "b"));
  expect([ask(hooks), ask(hooks, to("m", "c", "b"))]).toEqual([0, 9]);
});

test("off, there are no hooks", async () => {
  const settings = v.parse(policy.config.schema, { enabled: false });
  expect(await hooksOf(policy as unknown as Policy, settings, createStubHost())).toBeUndefined();
});

test("outlives reloads and the process, with its step", async () => {
  const host = createStubHost({ serving: true });
  run(await hooksFor({}, host), limited(30_000));
  const reloaded = await hooksFor({}, host);
  expect(ask(reloaded)).toBe(30);
  // A new process: what was kept in memory is gone, and the store is there.
  const { store, clock } = host;
  const next = { ...createStubHost({ serving: true }), store, clock };
  const restarted = await hooksFor({}, next);
  expect(ask(restarted)).toBe(30);
  next.clock.advance(30_000);
  run(restarted, limited());
  expect(ask(restarted)).toBe(2);
});

test("a clock that steps back prolongs nothing", async () => {
  const host = createStubHost();
  const hooks = await hooksFor({ longest: "10m" }, host);
  run(hooks, limited(60_000));
  host.clock.setNow(host.clock.now() - 86_400_000);
  expect(ask(hooks)).toBe(600);
});

test("made-up models don't fill the memory", async () => {
  const host = createStubHost();
  const hooks = await hooksFor({}, host);
  for (let i = 0; i < 10_000; i++) run(hooks, limited(60_000), to(`m${i}`));
  expect(readGauges(host)).toContain("cliproxy_cooldowns a: 4096");
});

test("whatever happens, somebody is let through once all waits are over", async () => {
  const results = [limited(), limited(5000), refused, broken, silent, good];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 20_000 }), fc.boolean()), {
        maxLength: 60,
      }),
      async (steps) => {
        const host = createStubHost();
        const hooks = await hooksFor({ longest: "1m" }, host);
        for (const [which, ms, isLost] of steps) {
          const attempt = to();
          if (ask(hooks, attempt) === 0 && !isLost) {
            hooks.attemptEnd?.(x, attempt, results[which] as AttemptResult);
          }
          host.clock.advance(ms);
        }
        host.clock.advance(120_000);
        expect(ask(hooks)).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});
