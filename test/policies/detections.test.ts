import { describe, expect, test } from "bun:test";
import { badFraming, pathTrick, policy } from "../../policies/detections.ts";
import type { ErrorCode } from "../../src/contract/errors.ts";
import type { Hooks, Outcome, Policy, SecurityEvent } from "../../src/contract/policy.ts";
import { mostTallied, Tally } from "../../src/kit/tally.ts";
import { createFakeClock } from "../harness/fake-clock.ts";
import { createStubHost, createStubHouse, hooksOf, startExchange } from "../harness/stubs.ts";

interface Refused {
  readonly url?: string;
  readonly ip?: string;
  readonly headers?: Record<string, string>;
  readonly surface?: "admin" | "other";
  readonly times?: number;
}

async function start() {
  const host = createStubHost();
  const hooks = (await hooksOf(policy as unknown as Policy, {}, host)) as Hooks;
  const refuse = (code: ErrorCode | undefined, how: Refused = {}): readonly SecurityEvent[] => {
    const from = host.events.length;
    const outcome = { kind: "denied", code, policy: "some" } as Outcome;
    for (let i = 0; i < (how.times ?? 1); i++) {
      const x = startExchange(createStubHouse(), {
        ...(how.url !== undefined && { url: how.url }),
        ...(how.headers !== undefined && { headers: how.headers }),
        ...(how.surface !== undefined && { surface: how.surface }),
        peer: how.ip ?? "192.0.2.1",
      });
      hooks.finish?.(x, outcome);
    }
    return host.events.slice(from);
  };
  return { host, refuse };
}

const names = (events: readonly SecurityEvent[]): string[] =>
  events.map(({ type, result }) => `${type} ${result}`);

describe("guessed keys", () => {
  test("suspicious once the delays begin, a violation when they go on and on", async () => {
    const { refuse } = await start();
    expect(names(refuse("unauthenticated", { times: 10 }))).toEqual([]);
    expect(names(refuse("too_many_failures"))).toEqual([
      "suspicious_activity repeated_auth_failures",
    ]);
    expect(names(refuse("too_many_failures", { times: 14 }))).toEqual([]);
    expect(refuse("too_many_failures")).toMatchObject([
      { type: "security_violation", result: "brute_force", details: { times: 16 } },
    ]);
    // A flood is told a few times only.
    expect(refuse("too_many_failures", { times: 1000 })).toHaveLength(5);
  });

  test("another address is told by itself", async () => {
    const { refuse } = await start();
    refuse("too_many_failures", { times: 3 });
    expect(refuse("too_many_failures", { ip: "192.0.2.2" })).toMatchObject([{ ip: "192.0.2.2" }]);
  });

  test("half an hour without one is a new beginning", async () => {
    const { host, refuse } = await start();
    refuse("too_many_failures", { times: 3 });
    host.clock.advance(30 * 60_000);
    expect(names(refuse("too_many_failures"))).toEqual([
      "suspicious_activity repeated_auth_failures",
    ]);
  });
});

describe("what is refused", () => {
  const cases: readonly (readonly [code: ErrorCode, how: Refused, expected: readonly string[]])[] =
    [
      ["bad_host", {}, ["security_violation bad_host"]],
      ["cross_site", {}, ["security_violation cross_site"]],
      ["bad_host", { surface: "admin" }, []],
      ["policy_fault", {}, ["security_violation policy_fault"]],
      ["not_found", { times: 19 }, []],
      ["not_found", { times: 20 }, ["suspicious_activity probing"]],
      ["not_found", { times: 40 }, ["suspicious_activity probing", "suspicious_activity probing"]],
      ["bad_request", {}, []],
      ["bad_request", { headers: { "content-length": "5, 5" } }, ["security_violation smuggling"]],
      ["model_not_found", {}, []],
      ["not_found", { url: "http://127.0.0.1/v0/..%2fv1" }, ["suspicious_activity path_trick"]],
    ];
  test.each(cases)("%s %p", async (code, how, expected) => {
    const { refuse } = await start();
    expect(names(refuse(code, how))).toEqual([...expected]);
  });

  test("what was answered well is not looked at", async () => {
    const { refuse } = await start();
    expect(refuse(undefined, { url: "http://127.0.0.1/%2e%2e%2f" })).toEqual([]);
  });
});

describe("path tricks", () => {
  const cases: readonly (readonly [path: string, isTrick: boolean])[] = [
    ["/v1/chat/completions", false],
    ["/v1/models/gpt-4.1", false],
    ["/v1/models/openai/gpt-4.1%20mini", false],
    ["/v1beta/models/gemini-pro:generateContent", false],
    ["/", false],
    ["/favicon.ico", false],
    ["/.well-known/x", false],
    ["/v0/./management", true],
    ["/v0/../v1", true],
    ["/v0/management/..", true],
    ["/..;/v0", true],
    ["//v0/management", true],
    ["/v1//models", true],
    ["/%76%30/management", true],
    ["/v0/%2e%2e/v1", true],
    ["/v0%2fmanagement", true],
    ["/v0%5cmanagement", true],
    ["/v0%252fmanagement", true],
    ["/v0\\management", true],
    ["/v0/management%00", true],
  ];
  test.each(cases)("%s: %p", (path, isTrick) => {
    expect(pathTrick(path) !== undefined).toBe(isTrick);
  });
});

describe("framing", () => {
  const cases: readonly (readonly [
    headers: Record<string, string>,
    expected: string | undefined,
  ])[] = [
    [{}, undefined],
    [{ "content-length": "10" }, undefined],
    [{ "transfer-encoding": "chunked" }, undefined],
    [{ "transfer-encoding": "Chunked" }, undefined],
    [{ "transfer-encoding": "chunked", "content-length": "10" }, "length and coding"],
    [{ "transfer-encoding": "xchunked" }, "odd transfer coding"],
    [{ "transfer-encoding": "gzip, chunked" }, "odd transfer coding"],
    [{ "content-length": "10, 10" }, "odd length"],
    [{ "content-length": "-1" }, "odd length"],
    [{ "content-length": "1e3" }, "odd length"],
  ];
  test.each(cases)("%p", (headers, expected) => {
    expect(badFraming({ header: (name) => headers[name] ?? null })).toBe(expected);
  });
});

describe("tally", () => {
  test("is bounded: the stalest address goes", () => {
    const tally = new Tally(createFakeClock());
    for (let i = 0; i < mostTallied; i++) tally.add(`10.0.${i >> 8}.${i & 255}`);
    expect([tally.size, tally.add("10.0.0.0")]).toEqual([mostTallied, 2]);
    tally.add("one above");
    expect([tally.size, tally.add("10.0.0.1")]).toEqual([mostTallied, 1]);
  });
});
