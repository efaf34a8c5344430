import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  configOf,
  makeDir,
  needBinary,
  providersOf,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { normal, paced } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

const on = { enabled: true, port: 0 };

/** Where the metrics of a proxy are. */
function urlOf(proxy: RunningProxy): string {
  return proxy.greeting.listeners.metrics ?? "";
}

async function scrape(proxy: RunningProxy): Promise<string> {
  const answer = await fetch(urlOf(proxy), { keepalive: false });
  expect(answer.status).toBe(200);
  return answer.text();
}

/** The value of one series; NaN where it is not there. */
function valueIn(text: string, series: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
}

/** Names of metrics as the scrape announces them. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+) \S+$/gm)].map(([, name]) => name as string);
}

/** A port that nobody listens on right now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function takenPort(): Promise<number> {
  const server = createServer();
  onCleanup(() => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

describe("metrics", () => {
  test("the guide's three are there from the first scrape, exactly as printed", async () => {
    const text = await scrape(await startProxy({ config: { metrics: on } }));
    for (const line of [
      "# HELP cliproxy_auth_failures_total Total authentication failures",
      "# TYPE cliproxy_auth_failures_total counter",
      'cliproxy_auth_failures_total{provider="claude"} 0',
      "# HELP cliproxy_rate_limit_violations_total Total rate limit violations",
      "# TYPE cliproxy_rate_limit_violations_total counter",
      "# HELP cliproxy_security_events_total Total security events",
      "# TYPE cliproxy_security_events_total counter",
      'cliproxy_security_events_total{event_type="suspicious_activity"} 0',
    ]) {
      expect(text.split("\n")).toContain(line);
    }
  });

  test("count failed logins by the dialect's home, and where they were slowed", async () => {
    const proxy = await startProxy({ config: { metrics: on } });
    const wrong = { headers: { authorization: "Bearer wrong" } };
    for (let i = 0; i < 5; i++) await proxy.post("/v1/messages", {}, wrong);
    for (let i = 0; i < 7; i++) await proxy.post("/v1/chat/completions", {}, wrong);
    const text = await scrape(proxy);
    expect(valueIn(text, 'cliproxy_auth_failures_total{provider="claude"}')).toBe(5);
    expect(valueIn(text, 'cliproxy_auth_failures_total{provider="openai"}')).toBe(7);
    expect(valueIn(text, 'cliproxy_rate_limit_violations_total{ip="127.0.0.1"}')).toBe(2);
    const suspicious = 'cliproxy_security_events_total{event_type="suspicious_activity"}';
    expect(valueIn(text, suspicious)).toBe(1);
  });

  test("count requests, tokens and times, also of streams", async () => {
    const providers = providersOf(upstream.url);
    const config = { metrics: on, providers };
    const proxy = await startProxy({ config });
    upstream.on("metered", normal()).on("slow", paced(20));
    const body = { model: "metered", messages: [{ role: "user", content: "hello" }] };
    await (await proxy.post("/v1/chat/completions", body)).text();
    const slow = { ...body, model: "slow", stream: true };
    await (await proxy.post("/v1/chat/completions", slow)).text();
    await until("both counted", async () => {
      const text = await scrape(proxy);
      return valueIn(text, 'cliproxy_requests_total{surface="chat",outcome="success"}') === 2;
    });
    const text = await scrape(proxy);
    expect(valueIn(text, 'cliproxy_provider_requests_total{provider="oai",result="ok"}')).toBe(2);
    expect(valueIn(text, 'cliproxy_tokens_total{provider="oai",type="output"}')).toBeGreaterThan(0);
    expect(valueIn(text, 'cliproxy_request_duration_seconds_count{surface="chat"}')).toBe(2);
    expect(valueIn(text, 'cliproxy_first_token_seconds_count{provider="oai"}')).toBe(2);
    const firstToken = valueIn(text, 'cliproxy_first_token_seconds_sum{provider="oai"}');
    const whole = valueIn(text, 'cliproxy_request_duration_seconds_sum{surface="chat"}');
    expect(firstToken).toBeLessThan(whole);
  });

  test("without the key nothing listens", async () => {
    const proxy = await startProxy({ config: { metrics: { ...on, enabled: false } } });
    expect(proxy.greeting.listeners).toEqual({});
  });

  test("can only be read, and only at their path", async () => {
    const proxy = await startProxy({ config: { metrics: { ...on, path: "/m" } } });
    const { origin, pathname } = new URL(urlOf(proxy));
    const status = async (path: string, init: RequestInit = {}): Promise<number> =>
      (await fetch(origin + path, { ...init, keepalive: false })).status;
    expect(pathname).toBe("/m");
    expect(await status("/m")).toBe(200);
    expect(await status("/m", { method: "HEAD" })).toBe(200);
    expect(await status("/m", { method: "POST", body: "x" })).toBe(405);
    expect(await status("/metrics")).toBe(404);
    expect(await status("/v1/models")).toBe(404);
    expect(await status("/m", { headers: { host: "evil.example" } })).toBe(403);
  });

  test("are not on the listener of clients", async () => {
    const proxy = await startProxy({ config: { metrics: on } });
    expect((await proxy.get("/metrics")).status).toBe(404);
  });
});

describe("their listener", () => {
  test("a port that is taken is a start-up error at its key", async () => {
    const port = await takenPort();
    const dir = makeDir();
    const file = join(dir, "c.yaml");
    writeFileSync(file, JSON.stringify(configOf(dir, { metrics: { enabled: true, port } })));
    const { code, err } = await runBinary(["serve", "--config", file]);
    expect([code, err]).toEqual([78, expect.stringContaining("metrics.port")]);
    expect(err).toContain(`127.0.0.1:${port} is in use`);
  });

  test("the port of clients is a configuration error, also in check", async () => {
    const dir = makeDir();
    const file = join(dir, "c.yaml");
    const metrics = { enabled: true, port: 8317 };
    writeFileSync(file, JSON.stringify(configOf(dir, { server: { port: 8317 }, metrics })));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect([code, err]).toEqual([78, expect.stringContaining("metrics.port")]);
  });

  test("lives through a reload, and moves with its port; counts stay", async () => {
    const proxy = await startProxy({ config: { metrics: on } });
    const url = urlOf(proxy);
    await proxy.get("/v1/models", { headers: { authorization: "Bearer wrong" } });
    proxy.signal("SIGHUP");
    await until("the reload", async () => {
      const text = await (await fetch(url, { keepalive: false })).text();
      return valueIn(text, 'cliproxy_config_changes_total{result="applied"}') === 1;
    });
    const port = await freePort();
    proxy.writeConfig({ metrics: { enabled: true, port } });
    const moved = `http://127.0.0.1:${port}/metrics`;
    let text = "";
    await until("the new port", async () => {
      const answer = await fetch(moved, { keepalive: false }).catch(() => undefined);
      text = (await answer?.text()) ?? "";
      return answer?.status === 200;
    });
    expect(valueIn(text, 'cliproxy_auth_failures_total{provider="openai"}')).toBe(1);
    await until("the old port to close", () =>
      fetch(url, { keepalive: false }).then(
        () => false,
        () => true,
      ),
    );
  });

  test("a reload to a port that is taken is rejected, and all goes on", async () => {
    const proxy = await startProxy({ config: { metrics: on } });
    proxy.writeConfig({ metrics: { enabled: true, port: await takenPort() } });
    await until("the rejection", async () => {
      const text = await scrape(proxy);
      return valueIn(text, "cliproxy_reload_rejected") === 1;
    });
    expect((await proxy.get("/v1/models")).status).toBe(200);
    expect(valueIn(await scrape(proxy), "cliproxy_generations")).toBe(1);
  });
});

describe("what is written about them", () => {
  const root = join(import.meta.dirname, "../..");
  const read = (file: string): string => readFileSync(join(root, file), "utf8");
  let names: readonly string[] = [];

  beforeAll(async () => {
    const dir = makeDir();
    const audit = { enabled: true, file: join(dir, "audit.log") };
    const quota = { limit: 1000, reset: "daily" };
    const rate_limit = { requests_per_minute: 10 };
    const sandbox = { quota, rate_limit, concurrency: { max: 5 } };
    const api_keys = [{ id: "k", key: clientKey, quota }];
    const auth = { dir: join(dir, "auths"), api_keys };
    const proxy = await startProxy({
      config: { metrics: on, logging: { audit }, auth, providers: { sandbox }, routing: {} },
    });
    names = namesIn(await scrape(proxy));
    await proxy.stop();
  });

  test("docs/metrics.md lists each, and no other", () => {
    const listed = [...read("docs/metrics.md").matchAll(/^\| `((?:cliproxy|process)_\w+)/gm)];
    expect(listed.map(([, name]) => name).sort()).toEqual([...names].sort());
  });

  /** A histogram has three names. */
  const isKnown = (name: string): boolean =>
    names.includes(name) || names.includes(name.replace(/_(?:bucket|sum|count)$/, ""));

  test.each(["deploy/grafana/cliproxy.json", "deploy/alerts.yaml"])(
    "%s names only these",
    (file) => {
      const used = [...read(file).matchAll(/\b(?:cliproxy|process)_\w+\b/g)].map(([name]) => name);
      expect(used.length).toBeGreaterThan(5);
      expect(used.filter((name) => !isKnown(name))).toEqual([]);
    },
  );

  test("the dashboard is JSON with panels that all have a query", () => {
    const { panels } = JSON.parse(read("deploy/grafana/cliproxy.json")) as {
      panels: { title: string; type: string; targets?: { expr: string }[] }[];
    };
    const charts = panels.filter(({ type }) => type !== "row");
    expect(charts.length).toBeGreaterThan(10);
    for (const { title, targets } of charts) {
      expect([title, targets?.every(({ expr }) => expr !== "")]).toEqual([title, true]);
    }
  });
});
