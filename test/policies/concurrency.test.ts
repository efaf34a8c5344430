import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { policy } from "../../policies/concurrency/index.ts";
import type { Attempt, AttemptVerdict, Hooks } from "../../src/contract/policy.ts";
import {
  builderOf,
  createStubHost,
  createStubHouse,
  readGauges,
  startExchange,
} from "../harness/stubs.ts";

const hooksFor = builderOf(policy);

const x = startExchange(createStubHouse());
const to = (credentialId = "c", provider = "a"): Attempt => ({
  index: 0,
  ...{ provider, credentialId, model: "m" },
});
const over = { kind: "ok" as const, status: 200, usage: undefined, bytes: 0, durationMs: 0 };
const end = (hooks: Hooks, attempt: Attempt): void => hooks.attemptEnd?.(x, attempt, over);
function ask(hooks: Hooks, attempt: Attempt): "pass" | "busy" | Promise<"pass" | "busy"> {
  const told = (verdict: AttemptVerdict) => (verdict === "pass" ? "pass" : "busy");
  const verdict = hooks.attempt?.(x, attempt) as AttemptVerdict | Promise<AttemptVerdict>;
  return verdict instanceof Promise ? verdict.then(told) : told(verdict);
}

test("so many run at a time, each provider for itself", async () => {
  const hooks = await hooksFor({ total: { a: 2, b: 1 }, queue: { a: 0, b: 0 } });
  const [first, second] = [to(), to()];
  expect([ask(hooks, first), ask(hooks, second), ask(hooks, to())]).toEqual([
    ...(["pass", "pass", "busy"] as const),
  ]);
  expect([ask(hooks, to("c", "b")), ask(hooks, to("c", "other"))]).toEqual(["pass", "pass"]);
  end(hooks, first);
  end(hooks, first);
  expect([ask(hooks, to()), ask(hooks, to())]).toEqual(["pass", "busy"]);
});

test("so many with each credential: the next one is free", async () => {
  const hooks = await hooksFor({ each: { a: 1 } });
  const first = to("c");
  expect([ask(hooks, first), ask(hooks, to("c")), ask(hooks, to("d"))]).toEqual([
    ...(["pass", "busy", "pass"] as const),
  ]);
  end(hooks, first);
  expect(ask(hooks, to("c"))).toBe("pass");
});

test("who waits gets the slot of one that ends, in order of arrival; the queue is bounded", async () => {
  const host = createStubHost();
  const hooks = await hooksFor({ total: { a: 1 }, queue: { a: 2 } }, host);
  const [first, second, third] = [to(), to(), to()];
  expect(ask(hooks, first)).toBe("pass");
  const order: string[] = [];
  const waiting = [second, third].map((attempt, i) =>
    Promise.resolve(ask(hooks, attempt)).then((told) => void order.push(`${i}: ${told}`)),
  );
  expect(ask(hooks, to())).toBe("busy");
  expect(readGauges(host)).toEqual([
    "cliproxy_provider_concurrency a running: 1",
    "cliproxy_provider_concurrency a waiting: 2",
  ]);
  end(hooks, first);
  await waiting[0];
  end(hooks, second);
  await waiting[1];
  expect(order).toEqual(["0: pass", "1: pass"]);
  end(hooks, third);
  expect(readGauges(host)[0]).toBe("cliproxy_provider_concurrency a running: 0");
});

test("who waits too long is told so, and takes nothing", async () => {
  const hooks = await hooksFor({ total: { a: 1 }, wait: { a: "1ms" } });
  const first = to();
  expect(ask(hooks, first)).toBe("pass");
  const late = to();
  expect(await ask(hooks, late)).toBe("busy");
  end(hooks, late);
  end(hooks, first);
  expect(ask(hooks, to())).toBe("pass");
});

test("a reload keeps what runs, and takes the new number", async () => {
  const host = createStubHost();
  const before = await hooksFor({ total: { a: 1 }, queue: { a: 0 } }, host);
  const running = to();
  expect(ask(before, running)).toBe("pass");
  const after = await hooksFor({ total: { a: 2 }, queue: { a: 0 } }, host);
  expect([ask(after, to()), ask(after, to())]).toEqual(["pass", "busy"]);
  end(before, running);
  expect(ask(after, to())).toBe("pass");
});

describe("a queue without a limit", () => {
  test.each([{ queue: { a: 3 } }, { wait: { a: "1s" }, each: { a: 1 } }])("%p", async (config) => {
    const hooks = hooksFor(config);
    expect(await hooks.then(String, String)).toContain("does nothing");
  });
});

test("in any order of begins and ends: never more than allowed, and none is lost", () => {
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 9 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, total) => {
        const hooks = await hooksFor({ total: { a: total }, queue: { a: 100 }, wait: { a: "4s" } });
        const running: Attempt[] = [];
        const all: Promise<unknown>[] = [];
        for (const step of steps) {
          if (step < 5 && running.length > 0) {
            end(hooks, running.shift() as Attempt);
            await Promise.resolve();
          } else {
            const attempt = to();
            const told = ask(hooks, attempt);
            if (told === "pass") running.push(attempt);
            else all.push(Promise.resolve(told).then(() => void running.push(attempt)));
          }
          await new Promise((resolve) => setImmediate(resolve));
          expect(running.length).toBeLessThanOrEqual(total);
        }
        while (running.length > 0) {
          end(hooks, running.shift() as Attempt);
          await new Promise((resolve) => setImmediate(resolve));
        }
        await Promise.all(all);
        while (running.length > 0) end(hooks, running.shift() as Attempt);
        expect(ask(hooks, to())).toBe("pass");
      },
    ),
    { numRuns: 60 },
  );
});
