import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Counts, mostValues } from "../../../policies/metrics/counts.ts";
import { Histogram } from "../../../policies/metrics/family.ts";
import { policy } from "../../../policies/metrics/index.ts";
import { mostGaugeSeries, scrape } from "../../../policies/metrics/scrape.ts";
import type { PlannedListener } from "../../../src/contract/listen.ts";
import type { Exchange, Hooks, Outcome, Policy } from "../../../src/contract/policy.ts";
import {
  createStubHost,
  createStubHouse,
  type StubHost,
  startExchange,
} from "../../harness/stubs.ts";
import { until } from "../../harness/wait.ts";

async function create(config: object, host: StubHost): Promise<Hooks | undefined> {
  const settings = v.parse(policy.config.schema, config);
  return (policy as unknown as Policy).create(settings, host);
}

/** The hooks, and what listens. */
async function start(config: object = {}, host = createStubHost()) {
  const hooks = await create({ enabled: true, ...config }, host);
  const plan: PlannedListener[] = [];
  hooks?.listen?.({ secure: () => {}, add: (one) => void plan.push(one) });
  const [listener] = plan;
  if (hooks === undefined || listener === undefined) throw new Error("nothing listens");
  const get = async (init: RequestInit & { url?: string } = {}): Promise<Response> =>
    listener.handle(
      new Request(init.url ?? "http://127.0.0.1:9090/metrics", {
        ...init,
        headers: { host: "127.0.0.1:9090", ...(init.headers as Record<string, string>) },
      }),
    );
  return { hooks, listener, get };
}

const outcome: Outcome = {
  kind: "success",
  status: 200,
  code: undefined,
  policy: undefined,
  provider: "claude",
  model: "m",
  usage: undefined,
  bytes: 10,
  durationMs: 30,
  firstByteMs: 20,
};

function exchange(peer = "192.0.2.1"): Exchange {
  return startExchange(createStubHouse(), { peer });
}

describe("the guide's three", () => {
  test("are there with HELP and TYPE from the first scrape", async () => {
    const { get } = await start();
    const text = await (await get()).text();
    const expected = [
      "# HELP cliproxy_auth_failures_total Total authentication failures",
      "# TYPE cliproxy_auth_failures_total counter",
      'cliproxy_auth_failures_total{provider="home"} 0',
      "# HELP cliproxy_rate_limit_violations_total Total rate limit violations",
      "# TYPE cliproxy_rate_limit_violations_total counter",
      'cliproxy_rate_limit_violations_total{ip="other"} 0',
      "# HELP cliproxy_security_events_total Total security events",
      "# TYPE cliproxy_security_events_total counter",
      'cliproxy_security_events_total{event_type="suspicious_activity"} 0',
    ];
    for (const line of expected) expect(text.split("\n")).toContain(line);
  });

  test("count what they say", async () => {
    const { hooks, get } = await start();
    const refused = (code: Outcome["code"], ip: string): void =>
      hooks.finish?.(exchange(ip), { ...outcome, kind: "denied", code });
    for (let i = 0; i < 5; i++) refused("unauthenticated", "192.0.2.1");
    for (let i = 0; i < 4; i++) refused("rate_limited", "192.168.1.100");
    for (const code of ["provider_limited", "quota_exceeded", "too_many_failures"] as const) {
      refused(code, "192.168.1.100");
    }
    refused("not_found", "192.0.2.9");
    hooks.event?.({ type: "suspicious_activity", result: "x" });
    const text = await (await get()).text();
    expect(text).toContain('cliproxy_auth_failures_total{provider="home"} 6\n');
    expect(text).toContain('cliproxy_rate_limit_violations_total{ip="192.168.1.100"} 7\n');
    expect(text).not.toContain("192.0.2.9");
    expect(text).toContain('cliproxy_security_events_total{event_type="suspicious_activity"} 1\n');
    expect(text).toContain('cliproxy_errors_total{code="rate_limited"} 4\n');
  });
});

describe("counting", () => {
  test("requests, attempts, tokens, durations", async () => {
    const { hooks, get } = await start();
    hooks.finish?.(exchange(), outcome);
    hooks.finish?.(exchange(), { ...outcome, kind: "client_abort", firstByteMs: undefined });
    const usage = { inputTokens: 5, outputTokens: 7, cachedTokens: 3, reasoningTokens: 2 };
    hooks.attemptEnd?.(
      exchange(),
      { index: 0, provider: "claude", credentialId: "one", model: "m" },
      { kind: "ok", status: 200, usage, bytes: 1, durationMs: 1 },
    );
    hooks.event?.({ type: "config_change", result: "rejected" });
    hooks.event?.({ type: "config_change", result: "denylist_added" });
    const text = await (await get()).text();
    for (const line of [
      'cliproxy_requests_total{surface="chat",outcome="success"} 1',
      'cliproxy_requests_total{surface="chat",outcome="client_abort"} 1',
      'cliproxy_provider_requests_total{provider="claude",result="ok"} 1',
      'cliproxy_tokens_total{provider="claude",type="input"} 5',
      'cliproxy_tokens_total{provider="claude",type="output"} 7',
      'cliproxy_tokens_total{provider="claude",type="cached"} 3',
      'cliproxy_tokens_total{provider="claude",type="reasoning"} 2',
      'cliproxy_request_duration_seconds_bucket{le="0.025",surface="chat"} 0',
      'cliproxy_request_duration_seconds_bucket{le="0.05",surface="chat"} 2',
      'cliproxy_request_duration_seconds_count{surface="chat"} 2',
      'cliproxy_first_token_seconds_bucket{le="0.025",provider="claude"} 1',
      'cliproxy_first_token_seconds_count{provider="claude"} 1',
      'cliproxy_security_events_total{event_type="provider_request"} 1',
      'cliproxy_config_changes_total{result="rejected"} 1',
      'cliproxy_config_changes_total{result="other"} 1',
    ]) {
      expect(text.split("\n")).toContain(line);
    }
  });

  test("a histogram counts a bound into its bucket", () => {
    const histogram = new Histogram([1, 2]);
    for (const seconds of [0, 1, 1.5, 2, 3]) histogram.observe(seconds);
    expect(histogram.samples("h", {}).map(({ value }) => value)).toEqual([2, 4, 5, 7.5, 5]);
  });

  test("outlives its generation", async () => {
    const host = createStubHost();
    const first = await start({}, host);
    first.hooks.finish?.(exchange(), outcome);
    const second = await start({}, host);
    expect(await (await second.get()).text()).toContain("cliproxy_request_duration_seconds_count");
  });

  test("labels are bounded whatever the configurations name", () => {
    const counts = new Counts();
    const result = { kind: "ok", status: 200, usage: undefined, bytes: 0, durationMs: 0 } as const;
    const series = (): number =>
      counts.families().find(({ name }) => name === "cliproxy_provider_requests_total")?.values
        .length ?? 0;
    for (let i = 0; i < mostValues; i++) counts.attemptEnd(`p${i}`, result);
    expect(series()).toBe(mostValues);
    for (let i = 0; i < 50; i++) counts.attemptEnd(`q${i}`, result);
    expect(series()).toBe(mostValues + 1);
  });
});

describe("gauges of others", () => {
  test("are shown; `_total` is a counter, and one that throws hides no other", async () => {
    const host = createStubHost();
    host.gauge("cliproxy_test_buckets", "Buckets.", ["policy"], (set) => set(3, 'a"b\\c\nd'));
    host.gauge("cliproxy_test_hits_total", "Hits.", [], (set) => set(4));
    host.gauge("cliproxy_test_broken", "Broken.", [], () => {
      throw new Error("no");
    });
    host.gauge("cliproxy_test_odd", "Odd.", [], (set) => set(Number.NaN));
    const { get } = await start({}, host);
    const text = await (await get()).text();
    expect(text).toContain('cliproxy_test_buckets{policy="a\\"b\\\\c\\nd"} 3\n');
    expect(text).toContain("# TYPE cliproxy_test_hits_total counter\ncliproxy_test_hits_total 4\n");
    expect(text).toContain("# TYPE cliproxy_test_broken gauge\n");
    expect(text).not.toContain("cliproxy_test_odd Na");
  });

  test("are bounded", async () => {
    const read = (count: number) => (set: (value: number, ...labels: string[]) => void) => {
      for (let i = 0; i < count; i++) set(i, `k${i}`);
    };
    const lines = async (count: number): Promise<number> => {
      const gauge = { name: "cliproxy_g", help: "G.", labels: ["k"], read: read(count) };
      const text = await scrape(new Counts(), [gauge]);
      return text.split("\n").filter((line) => line.startsWith("cliproxy_g{")).length;
    };
    expect(await lines(mostGaugeSeries)).toBe(mostGaugeSeries);
    expect(await lines(mostGaugeSeries + 1)).toBe(mostGaugeSeries);
  });

  test("a scrape with everything full is fast", async () => {
    const counts = new Counts();
    for (let i = 0; i < 20_000; i++) {
      const ip = `10.1.${(i >> 8) & 255}.${i & 255}`;
      const full = { ...outcome, code: "rate_limited", provider: `p${i % 120}` } as const;
      counts.finish({ surface: `s${i % 12}`, ip } as unknown as Exchange, full, "claude");
      const usage = { inputTokens: 1, outputTokens: 1, cachedTokens: 0, reasoningTokens: 0 };
      const result = { kind: "ok", status: 200, usage, bytes: 0, durationMs: 0 } as const;
      counts.attemptEnd(`p${i % 120}`, result);
    }
    const gauges = Array.from({ length: 4 }, (_, g) => ({
      name: `cliproxy_full_${g}`,
      help: "Full.",
      labels: ["key"],
      read: (set: (value: number, ...labels: string[]) => void): void => {
        for (let i = 0; i < mostGaugeSeries; i++) set(i, `key-${i}`);
      },
    }));
    await scrape(counts, gauges);
    const times: number[] = [];
    for (let i = 0; i < 10; i++) {
      const startMs = performance.now();
      await scrape(counts, gauges);
      times.push(performance.now() - startMs);
    }
    expect(Math.min(...times)).toBeLessThan(50);
  });
});

describe("the listener", () => {
  test("is on loopback, port 9090, /metrics, unless it is told otherwise", async () => {
    const usual = (await start()).listener;
    expect([usual.host, usual.port, usual.path]).toEqual(["127.0.0.1", 9090, "/metrics"]);
    const told = (await start({ host: "0.0.0.0", port: 1234, path: "/m/x" })).listener;
    expect([told.host, told.port, told.path]).toEqual(["0.0.0.0", 1234, "/m/x"]);
  });

  type Case = readonly [name: string, init: RequestInit & { url?: string }, status: number];
  const cases: readonly Case[] = [
    ["GET", {}, 200],
    ["HEAD", { method: "HEAD" }, 200],
    ["POST", { method: "POST" }, 405],
    ["DELETE", { method: "DELETE" }, 405],
    ["another path", { url: "http://127.0.0.1:9090/" }, 404],
    ["a path below", { url: "http://127.0.0.1:9090/metrics/x" }, 404],
    ["a query", { url: "http://127.0.0.1:9090/metrics?x=1" }, 200],
    ["localhost", { headers: { host: "localhost:9090" } }, 200],
    ["a name that points here", { headers: { host: "evil.example" } }, 403],
  ];
  test.each(cases)("%s", async (_name, init, status) => {
    const { get } = await start();
    const answer = await get(init);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    if (init.method === "HEAD") expect(await answer.text()).toBe("");
  });

  test("an open one is called by any name", async () => {
    const { get } = await start({ host: "0.0.0.0" });
    expect((await get({ headers: { host: "prometheus-target" } })).status).toBe(200);
  });

  test("says what it is", async () => {
    const { get } = await start();
    const type = (await get()).headers.get("content-type");
    expect(type).toBe("text/plain; version=0.0.4; charset=utf-8");
  });

  const clashes: readonly (readonly [config: object, facts: object, clash: boolean])[] = [
    [{ port: 8317 }, {}, true],
    [{ port: 8317, host: "0.0.0.0" }, {}, true],
    [{ port: 8317 }, { listenHost: "0.0.0.0" }, true],
    [{ port: 8317, host: "192.0.2.1" }, {}, false],
    [{ port: 0 }, { listenPort: 0 }, false],
    [{ port: 9090 }, {}, false],
  ];
  test.each(clashes)("%p beside %p clashes: %p", async (config, facts, clash) => {
    const made = create({ enabled: true, ...config }, createStubHost(facts)).then(
      () => undefined,
      (error: { configPath?: string }) => error.configPath,
    );
    expect(await made).toBe(clash ? "metrics.port" : undefined);
  });

  const paths: readonly (readonly [path: string, good: boolean])[] = [
    ["/metrics", true],
    ["/a/b_c-d.e", true],
    ["metrics", false],
    ["/a b", false],
    ["/a?b", false],
    ["/%2e", false],
  ];
  test.each(paths)("path %s: %p", (path, good) => {
    expect(v.safeParse(policy.config.schema, { path }).success).toBe(good);
  });
});

describe("the first scrape", () => {
  test("is prepared soon after a start, before anybody asks", async () => {
    const host = createStubHost();
    let looks = 0;
    const gauges = () => {
      looks += 1;
      return [];
    };
    const serving = { ...host, gauges, facts: { ...host.facts, serving: true } } as StubHost;
    await start({}, serving);
    expect(looks).toBe(0);
    await until("a scrape that nobody asked for", () => looks > 0);
    expect(looks).toBe(1);
  });

  test("is prepared by no check, and by none that is off", async () => {
    const host = createStubHost();
    const gauges = (): never => {
      throw new Error("nobody serves");
    };
    const checking = { ...host, gauges, facts: { ...host.facts, serving: false } } as StubHost;
    const timers: unknown[] = [];
    const real = globalThis.setTimeout;
    globalThis.setTimeout = ((...to: unknown[]) => timers.push(to)) as never;
    try {
      await start({}, checking);
      await create({ enabled: false }, { ...checking, facts: host.facts } as StubHost);
    } finally {
      globalThis.setTimeout = real;
    }
    expect(timers).toEqual([]);
  });
});
