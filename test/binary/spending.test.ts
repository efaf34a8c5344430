import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  makeDir,
  needBinary,
  providersOf,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { endless, errorReply, hangMidStream } from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";

const messages = [{ role: "user", content: "hello" }];
const dialects = [
  ["/v1/chat/completions", "oai"],
  ["/v1/messages", "ant"],
] as const;
const otherKey = "cpk_test-Zq4Rb8Wn2Lx6Vt0Ky5Mj9Hs3Dg7Fp1Cc";

let upstream: FakeUpstream;
let url: string;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  url = upstream.url;
});
afterAll(cleanUp);

interface Asked {
  readonly status: number;
  readonly retryAfter: number;
  readonly headers: Headers;
  readonly text: string;
}

let models = 0;
/** A model of its own, so that a test can count what the upstream was sent. */
function newModel(): string {
  models += 1;
  return `model-${models}`;
}

async function ask(
  proxy: RunningProxy,
  model: string,
  more: { path?: string; key?: string; body?: object } = {},
): Promise<Asked> {
  const answer = await proxy.post(
    more.path ?? "/v1/chat/completions",
    { model, max_tokens: 50, messages, ...more.body },
    { headers: { authorization: `Bearer ${more.key ?? clientKey}` } },
  );
  const text = await answer.text();
  const retryAfter = Number(answer.headers.get("retry-after"));
  return { status: answer.status, retryAfter, headers: answer.headers, text };
}

/** Providers by name, each with limits of its own. */
function providers(limits: Readonly<Record<string, object>>, protocol = "openai") {
  return Object.fromEntries(
    Object.entries(limits).map(([name, limit]) => [
      name,
      { protocol, base_url: url, api_key: `key-of-${name}`, ...limit },
    ]),
  );
}

const perMinute = (requests: number) => ({ rate_limit: { requests_per_minute: requests } });

describe("requests of a provider", () => {
  test.each(dialects)(
    "%s: exactly so many pass; a refusal is told in its words",
    async (path, provider) => {
      const { oai, ant } = providersOf(url);
      const proxy = await startProxy({
        config: {
          providers: { oai: { ...oai, ...perMinute(20) }, ant: { ...ant, ...perMinute(20) } },
        },
      });
      const model = newModel();
      const answers = await Promise.all(
        Array.from({ length: 30 }, () => ask(proxy, `${provider}/${model}`, { path })),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(20);
      expect(upstream.for(model)).toHaveLength(20);
      const refused = answers.find(({ status }) => status === 429);
      expect(refused?.retryAfter).toBeGreaterThanOrEqual(1);
      expect(refused?.retryAfter).toBeLessThanOrEqual(3);
      expect(refused?.headers.get("ratelimit-policy")).toBe('"provider-requests";q=20;w=60');
      expect(refused?.headers.get("ratelimit")).toMatch(/^"provider-requests";r=0;t=[123]$/);
      const { error } = JSON.parse(refused?.text ?? "");
      if (provider === "ant") expect(error).toMatchObject({ type: "rate_limit_error" });
      else expect(error).toMatchObject({ code: "provider_limited" });
      expect(error.message).toContain("limit of requests or tokens");
      // What it promises holds.
      await sleep((refused?.retryAfter ?? 0) * 1000 + 50);
      expect((await ask(proxy, `${provider}/${model}`, { path })).status).toBe(200);
      expect(await proxy.stop()).toBe(0);
    },
  );

  test("go to another provider of the model before any is refused, then to the earliest", async () => {
    const model = newModel();
    const proxy = await startProxy({
      config: {
        providers: providers({
          slow: { models: [model], ...perMinute(1) },
          fast: { models: [model], ...perMinute(6) },
        }),
      },
    });
    const answers = [];
    for (let i = 0; i < 9; i++) answers.push(await ask(proxy, model));
    expect(answers.map(({ status }) => status)).toEqual([
      200, 200, 200, 200, 200, 200, 200, 429, 429,
    ]);
    const keys = upstream.for(model).map((sent) => sent.header("authorization"));
    expect(keys.filter((key) => key === "Bearer key-of-slow")).toHaveLength(1);
    expect(keys.filter((key) => key === "Bearer key-of-fast")).toHaveLength(6);
    // The slow one is there again after a minute, the fast one after ten seconds.
    expect(answers.at(-1)?.retryAfter).toBeLessThanOrEqual(10);
    expect(answers.at(-1)?.retryAfter).toBeGreaterThan(5);
    expect(await proxy.stop()).toBe(0);
  });

  test("cost nothing where a client has no key, and no other provider", async () => {
    const model = newModel();
    const { oai } = providersOf(url);
    const proxy = await startProxy({ config: { providers: { oai: { ...oai, ...perMinute(2) } } } });
    for (let i = 0; i < 10; i++) {
      expect((await ask(proxy, `oai/${model}`, { key: "wrong" })).status).not.toBe(200);
    }
    expect((await ask(proxy, `oai/${model}`)).status).toBe(200);
    expect((await ask(proxy, `oai/${model}`)).status).toBe(200);
    expect((await ask(proxy, `oai/${model}`)).status).toBe(429);
    expect(await proxy.stop()).toBe(0);
  });

  test("a reload keeps what is used, and applies the new limit", async () => {
    const [model, marker] = [newModel(), newModel()];
    const config = (requests: number, ...listed: string[]) => ({
      providers: providers({ one: { models: [model, ...listed], ...perMinute(requests) } }),
    });
    const proxy = await startProxy({ config: config(3) });
    for (let i = 0; i < 3; i++) expect((await ask(proxy, model)).status).toBe(200);
    expect((await ask(proxy, model)).status).toBe(429);
    proxy.writeConfig(config(5, marker));
    await until("the new list", async () => (await proxy.get(`/v1/models/${marker}`)).ok);
    expect((await ask(proxy, model)).status).toBe(200);
    expect((await ask(proxy, model)).status).toBe(200);
    expect((await ask(proxy, model)).status).toBe(429);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("tokens of a provider", () => {
  const limited = (model: string, tokens: number) => ({
    server: { drain_timeout: "100ms" },
    providers: providers({ one: { models: [model], rate_limit: { tokens_per_minute: tokens } } }),
  });

  test("are held by streams that run, and given back when they end", async () => {
    const model = newModel();
    upstream.on(model, hangMidStream);
    const proxy = await startProxy({ config: limited(model, 1000) });
    const streams = [];
    for (let i = 0; i < 2; i++) {
      const stream = new AbortController();
      const body = { model, stream: true, max_tokens: 450, messages };
      const answer = await proxy.post("/v1/chat/completions", body, { signal: stream.signal });
      expect(answer.status).toBe(200);
      streams.push({ stream, answer });
    }
    const body = { max_tokens: 450 };
    expect((await ask(proxy, model, { body })).status).toBe(429);
    for (const { stream } of streams) stream.abort();
    upstream.on(model, (wire, request) => errorReply(400, "{}")(wire, request));
    await until("they are settled", async () => (await ask(proxy, model, { body })).status !== 429);
    // What a provider refuses costs no tokens: nothing of 1000 is used up by that.
    for (let i = 0; i < 5; i++) expect((await ask(proxy, model, { body })).status).toBe(400);
    expect(await proxy.stop()).toBe(0);
  });

  test("an image counts its flat figure, not its characters", async () => {
    const model = newModel();
    upstream.on(model, hangMidStream);
    const proxy = await startProxy({ config: limited(model, 10_000) });
    // A million characters would be a quarter of a million tokens.
    const image = `data:image/png;base64,${"iVBORw0KGgoAAAANSUhEUgAA".repeat(40_000)}`;
    const content = [{ type: "image_url", image_url: { url: image } }];
    const body = { model, stream: true, max_tokens: 2000, messages: [{ role: "user", content }] };
    // Who drops an answer leaves, so all of them are kept.
    const open: Response[] = [];
    for (let i = 0; i < 3; i++) open.push(await proxy.post("/v1/chat/completions", body));
    expect(open.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(await proxy.stop()).toBe(0);
  });

  test.each<[string, object, number]>([
    ["absent", { max_tokens: undefined }, 200],
    ["huge", { max_tokens: 9_007_199_254_740_991 }, 200],
    ["negative", { max_tokens: -1 }, 400],
    ["1e18", { max_tokens: 1e18 }, 400],
    ["text", { max_tokens: "5" }, 400],
  ])("max_tokens %s: a full bucket admits or the body is refused", async (_name, body, status) => {
    const model = newModel();
    const proxy = await startProxy({ config: limited(model, 100) });
    expect((await ask(proxy, model, { body })).status).toBe(status);
    expect(await proxy.stop()).toBe(0);
  });
});

test("usage is told by the management API, to whom it is for", async () => {
  const model = newModel();
  const key = "m-7Qm2vXz9Kd4Lw8Rb1Tn6";
  const proxy = await startProxy({
    config: { management: { key }, providers: providers({ one: { models: [model] } }) },
  });
  expect((await ask(proxy, model)).status).toBe(200);
  expect((await ask(proxy, model)).status).toBe(200);
  expect((await ask(proxy, "nobody-has-it")).status).toBe(404);
  const usage = async (query: string, token = key) => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await proxy.get(`/v0/management/usage${query}`, { headers });
    return { status: answer.status, body: (await answer.json()) as { rows: object[] } };
  };
  const { status, body } = await usage("?by=key,provider,model");
  expect(status).toBe(200);
  const tester = { key: "tester", errors: 0 };
  expect(body.rows).toMatchObject([
    { ...tester, provider: "none", model: "none", requests: 1, refused: 1, input_tokens: 0 },
    {
      ...tester,
      provider: "one",
      model,
      requests: 2,
      refused: 0,
      input_tokens: 22,
      output_tokens: 14,
    },
  ]);
  expect((await usage("?from=2020-01-01&to=2020-01-31")).body.rows).toEqual([]);
  expect((await usage("?by=user")).status).toBe(400);
  expect((await usage("?from=2026-02-30")).status).toBe(400);
  expect((await usage("", clientKey)).status).toBe(401);
  expect(await proxy.stop()).toBe(0);
});

test("the example of the docs is a good configuration, and all of it is enforced", async () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/limits-and-quotas.md"), "utf8");
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = ""]) => yaml);
  expect(blocks).toHaveLength(2);
  const dir = makeDir();
  writeFileSync(join(dir, "c.yaml"), blocks.join(""));
  const env = { ALICE_KEY: clientKey };
  const args = ["policies", "plan", "--json", "--config", join(dir, "c.yaml")];
  const { code, out } = await runBinary(args, { cwd: join(dir, "cwd"), env });
  expect(code).toBe(0);
  const { policies } = JSON.parse(out) as { policies: { name: string; mode: string }[] };
  const enforced = policies.filter(({ mode }) => mode === "enforce").map(({ name }) => name);
  for (const name of ["auth", "key-limits", "provider-rate-limit", "quota", "usage"]) {
    expect(enforced).toContain(name);
  }
});

describe("a client key", () => {
  const keysOf = (bounds: object) => ({
    auth: {
      api_keys: [
        { id: "bounded", key: clientKey, ...bounds },
        { id: "free", key: otherKey },
      ],
    },
  });

  test("has limits of its own, told on each of its responses", async () => {
    const model = newModel();
    const config = keysOf({ rate_limit: { requests_per_minute: 3, tokens_per_minute: 10_000 } });
    const proxy = await startProxy({
      config: { ...config, providers: providers({ one: { models: [model] } }) },
    });
    const first = await ask(proxy, model);
    expect(first.headers.get("ratelimit-policy")).toBe(
      '"key-requests";q=3;w=60, "key-tokens";q=10000;w=60',
    );
    expect(first.headers.get("ratelimit")).toMatch(/^"key-requests";r=2;t=20, "key-tokens";r=99/);
    await ask(proxy, model);
    await ask(proxy, model);
    const refused = await ask(proxy, model);
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.text).error.code).toBe("rate_limited");
    expect(refused.retryAfter).toBeGreaterThan(10);
    expect(refused.headers.get("ratelimit")).toMatch(/^"key-requests";r=0/);
    const free = await ask(proxy, model, { key: otherKey });
    expect([free.status, free.headers.get("ratelimit")]).toEqual([200, null]);
    expect(await proxy.stop()).toBe(0);
  });

  test("sees and uses only its models and providers, from its addresses", async () => {
    const [a, b, c] = [newModel(), newModel(), newModel()];
    const from = (allowed_ips: string[]) =>
      startProxy({
        config: {
          ...keysOf({ models: [a, b], providers: ["one"], allowed_ips }),
          providers: providers({ one: { models: [a, c] }, two: { models: [b, c] } }),
        },
      });
    const proxy = await from(["127.0.0.0/8"]);
    const listed = async (key: string) => {
      const answer = await proxy.get("/v1/models", { headers: { authorization: `Bearer ${key}` } });
      const { data } = (await answer.json()) as { data: { id: string }[] };
      return data.map(({ id }) => id).sort();
    };
    expect(await listed(clientKey)).toEqual([a]);
    expect(await listed(otherKey)).toEqual([a, b, c]);
    expect((await proxy.get(`/v1/models/${a}`)).status).toBe(200);
    expect((await proxy.get(`/v1/models/${b}`)).status).toBe(404);
    expect((await ask(proxy, a)).status).toBe(200);
    expect((await ask(proxy, b)).status).toBe(403);
    expect((await ask(proxy, c)).status).toBe(403);
    expect((await ask(proxy, c, { key: otherKey })).status).toBe(200);
    expect(await proxy.stop()).toBe(0);

    const elsewhere = await from(["10.0.0.0/8"]);
    const refused = await ask(elsewhere, a);
    expect([refused.status, JSON.parse(refused.text).error.code]).toEqual([
      403,
      "address_not_allowed",
    ]);
    expect((await ask(elsewhere, a, { key: otherKey })).status).toBe(200);
    expect(await elsewhere.stop()).toBe(0);
  });

  test("that is removed is cut off in the middle of its stream, others are not", async () => {
    const [model, marker] = [newModel(), newModel()];
    upstream.on(model, endless(20));
    const both = { providers: providers({ one: { models: [model, marker] } }) };
    const proxy = await startProxy({ config: { ...both, ...keysOf({}) } });
    const open = async (key: string) => {
      const client = await openRaw(proxy.url);
      const body = JSON.stringify({ model, stream: true, max_tokens: 9, messages });
      client.send(
        requestBytes("POST", "/v1/chat/completions", [["authorization", `Bearer ${key}`]], body),
      );
      await until("it streams", () => client.text().includes("data:"));
      return client;
    };
    const [gone, stays] = [await open(clientKey), await open(otherKey)];
    proxy.writeConfig({ ...both, auth: { api_keys: [{ id: "free", key: otherKey }] } });
    await until("it is told", () => gone.text().includes('"revoked"'));
    await until("it ends", () => gone.text().endsWith("0\r\n\r\n"));
    const seen = stays.text().length;
    await until("the other one goes on", () => stays.text().length > seen);
    expect(stays.text()).not.toContain("revoked");
    expect((await ask(proxy, marker)).status).toBe(401);
    stays.close();
    gone.close();
    expect(await proxy.stop()).toBe(0);
  });
});
