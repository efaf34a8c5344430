import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type Ask, ask, openStreamFrom, type RawAnswer } from "../harness/edge.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { paced } from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";

const otherKey = "cpk_test-Ot8Hz3Vn6Xw1Bm5Rk9Pd2";
let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

const usual = (server: object, more: object = {}) => ({
  providers: providersOf(upstream.url),
  state: { store: "memory" },
  server,
  ...more,
});

function start(server: object, more: object = {}): Promise<RunningProxy> {
  return startProxy({ config: usual(server, more) });
}

async function statuses(proxy: RunningProxy, times: number, options: Ask = {}): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: times }, () => ask(proxy, options)));
  return answers.map(({ status }) => status).sort();
}

/** A rate so slow that no request is added while a test runs. */
const still = 0.001;

describe("by address", () => {
  test("103: of many at once exactly the burst passes; 112: also of those without a key", async () => {
    const security = {
      rate_limiting: { enabled: true, requests_per_second: still, burst: 20, per_ip: true },
    };
    const proxy = await start({ security });
    const twenty = new Array<number>(20);
    expect(await statuses(proxy, 50)).toEqual([...twenty.fill(200), ...new Array(30).fill(429)]);
    const stranger = await statuses(proxy, 22, { from: "127.0.0.2", key: "wrong" });
    // The first ten failures are 401, the next ten are slowed by the lockout, two are too many.
    expect(stranger.filter((status) => status === 401)).toHaveLength(10);
    const refused = await ask(proxy, { from: "127.0.0.2" });
    expect([refused.status, refused.body.includes("rate_limited")]).toEqual([429, true]);
    expect((await ask(proxy, { path: "/healthz" })).status).toBe(200);
    expect((await ask(proxy, { path: "/readyz" })).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  });

  test("106: after exactly Retry-After the next one passes; the fields say so", async () => {
    const security = { rate_limiting: { requests_per_second: 1, burst: 3 } };
    const proxy = await start({ security });
    const first = await ask(proxy);
    expect(first.header("ratelimit-policy")).toBe('"client";q=3;w=3');
    expect(first.header("ratelimit")).toMatch(/^"client";r=2;t=1$/);
    const seen: RawAnswer[] = [];
    await until("a refusal", async () => {
      seen.push(await ask(proxy));
      return seen.at(-1)?.status === 429;
    });
    const refused = seen.at(-1);
    const wait = Number(refused?.header("retry-after"));
    expect(wait).toBe(1);
    expect(refused?.header("ratelimit")).toBe('"client";r=0;t=1');
    expect(refused?.header("ratelimit-policy")).toBe('"client";q=3;w=3');
    await sleep(wait * 1000);
    expect((await ask(proxy)).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  });

  test("a reload keeps what is in use, and takes a new rate", async () => {
    const limits = (burst: number) => ({
      security: { rate_limiting: { requests_per_second: still, burst } },
    });
    const proxy = await start(limits(3));
    expect(await statuses(proxy, 5)).toEqual([200, 200, 200, 429, 429]);
    proxy.writeConfig(usual(limits(5)));
    await until("the new rate", async () => {
      const answer = await ask(proxy, { from: "127.0.0.9" });
      return answer.header("ratelimit-policy")?.includes("q=5") === true;
    });
    expect(await statuses(proxy, 5)).toEqual([200, 200, 429, 429, 429]);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("by user and for all", () => {
  const api_keys = [
    { id: "tester", user_id: "alice@example.org", key: clientKey },
    { id: "other", user_id: "bob@example.org", key: otherKey },
  ];

  test("per_user counts users wherever they come from", async () => {
    const security = {
      rate_limiting: { enabled: true, requests_per_second: still, burst: 2, per_user: true },
    };
    const proxy = await start({ security }, { auth: { api_keys } });
    expect((await ask(proxy, { from: "127.0.0.2" })).status).toBe(200);
    expect((await ask(proxy, { from: "127.0.0.3" })).status).toBe(200);
    expect((await ask(proxy, { from: "127.0.0.4" })).status).toBe(429);
    expect(await statuses(proxy, 3, { key: otherKey })).toEqual([200, 200, 429]);
    expect(await proxy.stop()).toBe(0);
  });

  test("server.rate_limit counts all, strangers not; a client over its own limit drains none", async () => {
    const proxy = await start(
      {
        rate_limit: { enabled: true, requests_per_second: still, burst: 6 },
        security: { rate_limiting: { requests_per_second: still, burst: 3 } },
      },
      { auth: { api_keys } },
    );
    expect(await statuses(proxy, 3, { from: "127.0.0.2", key: "wrong" })).toEqual([401, 401, 401]);
    expect(await statuses(proxy, 9, { from: "127.0.0.3" })).toEqual([
      ...[200, 200, 200],
      ...new Array(6).fill(429),
    ]);
    const answer = await ask(proxy, { from: "127.0.0.4", key: otherKey });
    expect(answer.header("ratelimit")).toMatch(/^"server";r=2;t=\d+, "client";r=2;t=\d+$/);
    expect(await statuses(proxy, 2, { from: "127.0.0.5" })).toEqual([200, 200]);
    const refused = await ask(proxy, { from: "127.0.0.6" });
    expect([refused.status, refused.body.includes("server.rate_limit")]).toEqual([429, true]);
    expect(Number(refused.header("retry-after"))).toBeGreaterThan(900);
    expect(await proxy.stop()).toBe(0);
  });

  test("a refusal is worded in the client's dialect", async () => {
    const proxy = await start({ rate_limit: { requests_per_second: still, burst: 1 } });
    await ask(proxy);
    const body = { model: "m", max_tokens: 1, messages: [{ role: "user", content: "hi" }] };
    const chat = await ask(proxy, { method: "POST", path: "/v1/chat/completions", body });
    expect(JSON.parse(chat.body).error.code).toBe("rate_limited");
    const claude = await ask(proxy, { method: "POST", path: "/v1/messages", body });
    expect(JSON.parse(claude.body)).toMatchObject({ error: { type: "rate_limit_error" } });
    expect(await proxy.stop()).toBe(0);
  });
});

test("109: more output tokens than server.limits.max_output_tokens are refused", async () => {
  const proxy = await start({ limits: { max_output_tokens: 100 } });
  const post = (path: string, tokens: number | undefined) => {
    const message = { role: "user", content: "hi" };
    const body = { model: "m-tokens", max_tokens: tokens, messages: [message] };
    return ask(proxy, { method: "POST", path, body });
  };
  expect((await post("/v1/messages", 100)).status).toBe(200);
  expect((await post("/v1/chat/completions", undefined)).status).toBe(200);
  const asked = upstream.for("m-tokens").length;
  for (const path of ["/v1/messages", "/v1/chat/completions"]) {
    const refused = await post(path, 101);
    expect(refused.status).toBe(400);
    expect(refused.body).toContain("server.limits.max_output_tokens");
  }
  expect((await post("/v1/messages", 1e18)).status).toBe(400);
  expect(upstream.for("m-tokens").length).toBe(asked);
  expect(await proxy.stop()).toBe(0);
});

describe("maintenance", () => {
  const on = {
    maintenance_mode: true,
    message: "Scheduled maintenance in progress",
    retry_after: "5m",
  };

  test("146: on and off by the configuration; running streams end as they would", async () => {
    const proxy = await start({});
    upstream.on("edge-maintained", paced(150, { text: "a b c d e f g h i j k l".split(" ") }));
    const stream = await openStreamFrom(proxy, "127.0.0.1", "edge-maintained");
    proxy.writeConfig(usual(on));
    await until("it is on", async () => (await ask(proxy)).status === 503);
    const refused = await ask(proxy);
    expect(refused.header("retry-after")).toBe("300");
    expect(JSON.parse(refused.body).error).toMatchObject({
      code: "maintenance",
      message: "Scheduled maintenance in progress",
    });
    const claude = await ask(proxy, { method: "POST", path: "/v1/messages", body: {} });
    expect([claude.status, JSON.parse(claude.body).type]).toEqual([503, "error"]);
    // Strangers are refused as strangers.
    expect((await ask(proxy, { key: undefined })).status).toBe(401);
    for (const path of ["/healthz", "/readyz", "/health"]) {
      expect((await ask(proxy, { path, key: undefined })).status).toBe(200);
    }
    expect(await stream.read((text) => text.includes("[DONE]"), 10_000)).toContain("[DONE]");
    stream.close();
    proxy.writeConfig(usual({}));
    await until("it is off", async () => (await ask(proxy)).status === 200);
    expect(await proxy.stop()).toBe(0);
  });
});
