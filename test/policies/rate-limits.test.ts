import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { policy as allow } from "../../policies/ip-allowlist.ts";
import { policy as client } from "../../policies/rate-limit-client.ts";
import { policy as server } from "../../policies/rate-limit-server.ts";
import type { Deny, Exchange, Hooks, Principal, ResponseHead } from "../../src/contract/policy.ts";
import { usualLine } from "../../src/plan.ts";
import { policies } from "../../src/registry.gen.ts";
import { enabled, exchange, hooksFor, told, walkThrough } from "../harness/policies.ts";
import { activePolicy, createStubHost } from "../harness/stubs.ts";

const guide = { enabled: true, requestsPerSecond: 10, burst: 20, perIp: true };

function as(peer: string, userId?: string): Exchange {
  const x = exchange({ peer });
  const principal: Principal | undefined =
    userId === undefined ? undefined : { keyId: `key-${userId}`, userId };
  return Object.assign(x, { principal });
}

function ask(hooks: Hooks, x: Exchange): string {
  return told(hooks.request?.(x));
}

function admitted(hooks: Hooks, x: () => Exchange, times: number): number {
  return Array.from({ length: times }, () => ask(hooks, x())).filter((a) => a === "pass").length;
}

function fieldsOf(hooks: Hooks, x: Exchange, headers = {}): Record<string, string> {
  const head: ResponseHead = { status: 200, headers, stream: false, code: undefined };
  const verdict = hooks.response?.(x, head) as { edit: { headers: Record<string, string> } };
  return typeof verdict === "string" ? {} : verdict.edit.headers;
}

describe("rate-limit-client by address", () => {
  test("103: exactly 20 at once, then 10 a second, for each address on its own", async () => {
    const host = createStubHost();
    const hooks = await enabled(client, guide, host);
    expect(admitted(hooks, () => as("203.0.113.1"), 50)).toBe(20);
    expect(admitted(hooks, () => as("203.0.113.2"), 50)).toBe(20);
    for (let second = 0; second < 3; second++) {
      host.clock.advance(1000);
      expect(admitted(hooks, () => as("203.0.113.1"), 50)).toBe(10);
    }
  });

  const same: readonly (readonly [one: string, other: string, shared: boolean])[] = [
    ["203.0.113.1", "::ffff:203.0.113.1", true],
    ["203.0.113.1", "203.0.113.2", false],
    ["2001:db8::1", "2001:db8::ffff:1", true],
    ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
    ["64:ff9b::203.0.113.1", "203.0.113.1", true],
    ["64:ff9b::203.0.113.1", "64:ff9b::203.0.113.2", false],
    ["fe80::1%eth0", "fe80::1", true],
    ["", "nonsense", true],
    ["0.0.0.1", "::1", false],
  ];
  test.each(same)("%j and %j share a bucket: %p", async (one, other, shared) => {
    const hooks = await enabled(client, { ...guide, burst: 1 });
    expect(ask(hooks, as(one))).toBe("pass");
    expect(ask(hooks, as(other))).toBe(shared ? "rate_limited" : "pass");
  });

  test("106: a refusal is true to the second, and costs nothing", async () => {
    const host = createStubHost();
    const hooks = await enabled(client, { requestsPerSecond: 0.4, burst: 2 }, host);
    const x = as("203.0.113.1");
    expect(admitted(hooks, () => x, 2)).toBe(2);
    for (let i = 0; i < 100; i++) {
      const refusal = hooks.request?.(x) as unknown as Deny;
      expect([refusal.deny, refusal.retryAfterSeconds]).toEqual(["rate_limited", 3]);
      expect(refusal.message).toContain("server.security.rate_limiting");
    }
    host.clock.advance(2400);
    expect(ask(hooks, x)).toBe("rate_limited");
    host.clock.advance(600);
    expect(ask(hooks, x)).toBe("pass");
  });

  test("addresses on the trust list are exempt, and told no limit", async () => {
    const limited = await enabled(client, { ...guide, burst: 1 });
    const trust = await enabled(allow, { allowedIps: ["10.0.0.0/8"], denyAll: false });
    const line = [
      activePolicy("rate-limit-client", limited, { stage: "edge" }),
      activePolicy("ip-allowlist", trust, { stage: "edge" }),
    ];
    const walk = async (peer: string) => (await walkThrough(line, { peer })) === undefined;
    for (let i = 0; i < 9; i++) expect(await walk("10.0.0.1")).toBe(true);
    expect([await walk("203.0.113.1"), await walk("203.0.113.1")]).toEqual([true, false]);
    const trusted = Object.assign(exchange({ peer: "10.0.0.1" }), { trusted: true });
    expect(fieldsOf(limited, trusted)).toEqual({});
  });

  test("RateLimit fields stand on what passes and on what is refused", async () => {
    const hooks = await enabled(client, guide);
    const x = as("203.0.113.1");
    expect(admitted(hooks, () => x, 5)).toBe(5);
    const policy = '"client";q=20;w=2';
    const now = { "ratelimit-policy": policy, ratelimit: '"client";r=15;t=1' };
    expect(fieldsOf(hooks, x)).toEqual(now);
    admitted(hooks, () => x, 50);
    expect(fieldsOf(hooks, x).ratelimit).toBe('"client";r=0;t=1');
  });

  test("above the limit of addresses the others share one bucket; nobody is forgotten", async () => {
    const hooks = await enabled(client, { requestsPerSecond: 1, burst: 3, maxAddresses: 2 });
    for (const peer of ["203.0.113.1", "203.0.113.2"]) {
      expect(admitted(hooks, () => as(peer), 9)).toBe(3);
    }
    let last = 0;
    expect(admitted(hooks, () => as(`198.51.100.${last++ % 250}`), 500)).toBe(3);
    expect(ask(hooks, as("203.0.113.1"))).toBe("rate_limited");
  });

  test("a reload keeps what is in use and takes the new rate", async () => {
    const host = createStubHost();
    const old = await enabled(client, guide, host);
    const x = as("203.0.113.1");
    expect(admitted(old, () => x, 50)).toBe(20);
    const wider = await enabled(client, { ...guide, burst: 25 }, host);
    // Built, but it does not serve yet; a reload that is refused changes nothing.
    expect(ask(old, x)).toBe("rate_limited");
    expect(admitted(wider, () => x, 50)).toBe(5);
    const slower = await enabled(client, { ...guide, requestsPerSecond: 1 }, host);
    expect(ask(slower, x)).toBe("rate_limited");
    host.clock.advance(1000);
    expect(admitted(slower, () => x, 50)).toBe(1);
  });
});

describe("rate-limit-client by user", () => {
  const perUser = { requestsPerSecond: 1, burst: 2, perUser: true };

  test("counts users, wherever they come from", async () => {
    const hooks = await enabled(client, perUser);
    expect(ask(hooks, as("203.0.113.1", "alice"))).toBe("pass");
    expect(ask(hooks, as("203.0.113.2", "alice"))).toBe("pass");
    expect(ask(hooks, as("203.0.113.3", "alice"))).toBe("rate_limited");
    expect(ask(hooks, as("203.0.113.1", "bob"))).toBe("pass");
    expect(fieldsOf(hooks, as("203.0.113.9", "bob")).ratelimit).toBe('"client";r=1;t=1');
  });

  test("stands behind authentication, and by address in front of it", () => {
    const stage = client.stage as (config: unknown) => string;
    const of = (config: object) => stage(v.parse(client.config.schema, config));
    expect(of(perUser)).toBe("admit");
    expect(of(guide)).toBe("edge");
    expect(of({})).toBe("edge");
  });
});

describe("rate-limit-server", () => {
  test("one bucket for all", async () => {
    const host = createStubHost();
    const hooks = await enabled(
      server,
      { enabled: true, requestsPerSecond: 100, burst: 200 },
      host,
    );
    let last = 0;
    const next = () => as(`203.0.113.${last++ % 250}`, `user-${last}`);
    expect(admitted(hooks, next, 500)).toBe(200);
    host.clock.advance(500);
    expect(admitted(hooks, next, 500)).toBe(50);
    const refusal = hooks.request?.(next()) as unknown as Deny;
    expect(refusal).toMatchObject({ deny: "rate_limited", retryAfterSeconds: 1 });
    expect(refusal.message).toContain("server.rate_limit");
  });

  test("tells only those whom it knows how busy it is, behind the fields of others", async () => {
    const hooks = await enabled(server, { requestsPerSecond: 100, burst: 200 });
    expect(fieldsOf(hooks, as("203.0.113.1"))).toEqual({});
    const others = { ratelimit: '"client";r=1;t=1', "ratelimit-policy": '"client";q=2;w=2' };
    expect(fieldsOf(hooks, as("203.0.113.1", "alice"), others)).toEqual({
      ratelimit: '"client";r=1;t=1, "server";r=200;t=0',
      "ratelimit-policy": '"client";q=2;w=2, "server";q=200;w=2',
    });
  });

  test("a reload keeps what is in use", async () => {
    const host = createStubHost();
    const rate = { requestsPerSecond: 1, burst: 5 };
    const old = await enabled(server, rate, host);
    expect(admitted(old, () => as("203.0.113.1"), 9)).toBe(5);
    const next = await enabled(server, { ...rate, burst: 6 }, host);
    expect(admitted(next, () => as("203.0.113.1"), 9)).toBe(1);
  });
});

describe.each([
  ["rate-limit-client", client],
  ["rate-limit-server", server],
] as const)("%s in the configuration", (_name, policy) => {
  const bad: readonly object[] = [
    { requestsPerSecond: 0 },
    { requestsPerSecond: -1 },
    { requestsPerSecond: Number.POSITIVE_INFINITY },
    { requestsPerSecond: Number.NaN },
    { requestsPerSecond: "10" },
    { requestsPerSecond: 1_000_001 },
    { requestsPerSecond: 10, burst: 0 },
    { requestsPerSecond: 10, burst: -5 },
    { requestsPerSecond: 10, burst: 1.5 },
    { requestsPerSecond: 10, burst: Number.POSITIVE_INFINITY },
    { requestsPerSecond: 10, burst: 1_000_001 },
  ];
  test.each(bad)("124: refuses %j", (config) => {
    expect(v.safeParse(policy.config.schema, config).success).toBe(false);
  });

  const states: readonly (readonly [config: object, expected: "on" | "off" | "error"])[] = [
    [{}, "off"],
    [{ enabled: false, requestsPerSecond: 10 }, "off"],
    [{ requestsPerSecond: 10 }, "on"],
    [{ enabled: true, requestsPerSecond: 1_000_000, burst: 1_000_000 }, "on"],
    [{ enabled: true }, "error"],
    [{ burst: 5 }, "error"],
    [{ enabled: true, burst: 5 }, "error"],
  ];
  test.each(states)("%j is %s", async (config, expected) => {
    const made = hooksFor(policy as typeof client, config);
    if (expected === "error") expect(made).rejects.toThrow("requests_per_second");
    else expect((await made) === undefined).toBe(expected === "off");
    await made.catch(() => {});
  });

  test("without a burst it is what comes in a second, and at least one", async () => {
    for (const [perSecond, burst] of [
      [10, 10],
      [2.5, 3],
      [0.1, 1],
    ] as const) {
      const hooks = await enabled(policy as typeof client, { requestsPerSecond: perSecond });
      expect(admitted(hooks, () => as("203.0.113.1", "alice"), 50)).toBe(burst);
    }
  });
});

test("both kinds of client at once, or neither, is an error", async () => {
  const rate = { requestsPerSecond: 10 };
  expect(hooksFor(client, { ...rate, perIp: true, perUser: true })).rejects.toThrow("both be true");
  expect(hooksFor(client, { ...rate, perIp: false })).rejects.toThrow("both be false");
  expect(await hooksFor(client, { ...rate, perIp: false, perUser: true })).toBeDefined();
});

test("lists are asked before limits, the limit of one before that of all", () => {
  const names = usualLine(policies).map(({ name }) => name);
  const wanted = ["ip-allowlist", "ip-denylist", "rate-limit-client", "auth", "rate-limit-server"];
  expect(names.filter((name) => wanted.includes(name))).toEqual(wanted);
  expect(["rate-limit-client", "rate-limit-server"].sort()[0]).toBe("rate-limit-client");
});
