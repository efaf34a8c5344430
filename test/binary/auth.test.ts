import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { rawExchange } from "../harness/raw.ts";

const limitedKey = "cpk_test-Lq8Zt3Vn6Xw1Bm5Rk9Pd2";
const digestKey = "cpk_test-Dg4Hy7Ju1Mc8Sa2We6Qx0";
const expiredKey = "cpk_test-Ex2Pi9Re5Dk7Ty1Vb4Nm8";
const soonKey = "cpk_test-So5On1Ke8Yz3Fj6Gw9Lu2";
const foreignKey = "cpk_test-Fo1Re6Ig3Nk8Ey5Xt9Vc2";
const messages = [{ role: "user", content: "hello" }];

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  const oai = { protocol: "openai", base_url: upstream.url, api_key: "up-1" };
  proxy = await startProxy({
    config: {
      auth: {
        api_keys: [
          { id: "tester", key: clientKey },
          { id: "limited", key: limitedKey, models: ["fast", "both"], providers: ["one"] },
          {
            id: "digest",
            key_sha256: createHash("sha256").update(digestKey).digest("hex"),
          },
          { id: "expired", key: expiredKey, expires: "2025-01-01T00:00:00Z" },
          {
            id: "soon",
            key: soonKey,
            expires: new Date(Date.now() + 3_600_000).toISOString(),
          },
          { id: "foreign", key: foreignKey, providers: ["ant"] },
        ],
      },
      providers: {
        one: { ...oai, models: [{ name: "fast", upstream: "fast-1" }, "slow", "both"] },
        two: { ...oai, api_key: "up-2", models: ["both", "only-two"] },
        ant: { protocol: "claude", base_url: upstream.url, api_key: "up-3", models: ["claude-x"] },
      },
    },
  });
});
afterAll(cleanUp);

function chat(key: string | undefined, model: string): Promise<Response> {
  const headers = { authorization: key === undefined ? "" : `Bearer ${key}` };
  return proxy.post("/v1/chat/completions", { model, messages }, { headers });
}

describe("without a valid key", () => {
  test("401 in the shape of OpenAI", async () => {
    const answer = await chat("wrong", "fast");
    expect(answer.status).toBe(401);
    const { error } = (await answer.json()) as { error: Record<string, unknown> };
    expect(error.code).toBe("unauthenticated");
    expect(typeof error.message).toBe("string");
    expect(typeof error.type).toBe("string");
  });

  test("401 in the shape of Anthropic", async () => {
    const headers = { authorization: "Bearer wrong" };
    const answer = await proxy.post("/v1/messages", { model: "claude-x" }, { headers });
    expect(answer.status).toBe(401);
    const body = (await answer.json()) as { type: string; error: { type: string } };
    expect([body.type, body.error.type]).toEqual(["error", "authentication_error"]);
  });

  test("no client is asked to try the same key again, nor takes the words for its own", async () => {
    const answer = await chat("wrong", "fast");
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await answer.text()).not.toContain("x-api-key");
    expect((await chat(clientKey, "nope")).headers.has("x-should-retry")).toBe(false);
  });

  test("the same words for a missing, an unknown and an expired key", async () => {
    const texts = await Promise.all(
      [undefined, "wrong", expiredKey].map(async (key) =>
        (await (await chat(key, "fast")).text()).replace(/req_[\w-]+/g, "req"),
      ),
    );
    expect(new Set(texts).size).toBe(1);
  });

  test("the body is not read and the provider not asked", async () => {
    const before = upstream.received.length;
    const head = [["content-length", "10000000"]] as const;
    const text = await rawExchange(proxy.url, "POST", "/v1/messages", head);
    expect(text).toStartWith("HTTP/1.1 401");
    expect(upstream.received.length).toBe(before);
  });
});

describe("a valid key", () => {
  const places: readonly (readonly [name: string, headers: Record<string, string>])[] = [
    ["authorization", { authorization: `Bearer ${clientKey}` }],
    ["authorization, lower case", { authorization: `bearer ${clientKey}` }],
    ["x-api-key", { "x-api-key": clientKey }],
    ["x-goog-api-key", { "x-goog-api-key": clientKey }],
    ["known by its digest", { "x-api-key": digestKey }],
    ["not yet expired", { "x-api-key": soonKey }],
  ];
  test.concurrent.each(places)("as %s", async (_name, headers) => {
    const body = JSON.stringify({ model: "slow", messages });
    const list = Object.entries(headers);
    const text = await rawExchange(proxy.url, "POST", "/v1/chat/completions", list, body);
    expect(text).toStartWith("HTTP/1.1 200");
    const seen = JSON.stringify(upstream.for("slow").map((r) => r.headers));
    for (const key of [clientKey, digestKey, soonKey]) expect(seen).not.toContain(key);
  });

  test("?key= is refused unless it is allowed", async () => {
    const text = await rawExchange(proxy.url, "GET", `/v1/models?key=${clientKey}`);
    expect(text).toStartWith("HTTP/1.1 401");
  });

  const limits: readonly (readonly [key: string, model: string, status: number])[] = [
    [limitedKey, "fast", 200],
    [limitedKey, "slow", 403],
    [limitedKey, "one/fast", 403],
    [limitedKey, "only-two", 403],
    [limitedKey, "fast-1", 403],
    [clientKey, "slow", 200],
    [clientKey, "one/fast", 200],
    // Only others serve it.
    [foreignKey, "fast", 403],
    [foreignKey, "one/fast", 403],
    [limitedKey, "two/both", 403],
  ];
  test.concurrent.each(limits)("%s for %s is %d", async (key, model, status) => {
    expect((await chat(key, model)).status).toBe(status);
  });

  test("a model that only providers out of its reach serve is not allowed, in words", async () => {
    const answer = await chat(foreignKey, "slow");
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("not_allowed");
    const headers = { authorization: `Bearer ${foreignKey}` };
    const body = { model: "claude-x", max_tokens: 9, messages };
    expect((await proxy.post("/v1/messages", body, { headers })).status).toBe(200);
  });

  test("a key that may use one of two providers never reaches the other", async () => {
    for (let i = 0; i < 4; i++) expect((await chat(limitedKey, "both")).status).toBe(200);
    const keys = upstream.for("both").map((r) => r.header("authorization"));
    expect(new Set(keys)).toEqual(new Set(["Bearer up-1"]));
  });
});

describe("many failures", () => {
  test("slow failures down, and never a valid key", async () => {
    const mine = await startProxy({ config: { providers: providersOf(upstream.url) } });
    const get = (key: string) =>
      mine.get("/v1/models", { headers: { authorization: `Bearer ${key}` } });
    for (let i = 0; i < 10; i++) expect((await get("wrong")).status).toBe(401);
    const many = await Promise.all(Array.from({ length: 50 }, () => get("wrong")));
    expect(new Set(many.map((a) => a.status))).toEqual(new Set([429]));
    expect(Number(many[0]?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(many[0]?.headers.get("x-should-retry")).toBe("false");
    const good = await Promise.all(Array.from({ length: 20 }, () => get(clientKey)));
    expect(new Set(good.map((a) => a.status))).toEqual(new Set([200]));
    expect(await mine.stop()).toBe(0);
  });
});

describe("the generated key", () => {
  test("first start makes it for its owner only and shows the path; the second one keeps it", async () => {
    const one = await startProxy({
      noConfig: true,
      args: () => ["serve", "--json", "--port", "0"],
    });
    const [made] = one.greeting.keys;
    const path = made?.path ?? "";
    const full = join(one.dir, "cwd", "auths", "client.key");
    expect(join(one.dir, "cwd", path)).toBe(full);
    expect(statSync(full).mode & 0o777).toBe(0o600);
    expect(statSync(join(full, "..")).mode & 0o777).toBe(0o700);
    const key = readFileSync(full, "utf8").trim();
    expect(key).toMatch(/^cpk_[\w-]{49}$/);
    expect(one.stdout() + one.stderr()).not.toContain(key);
    expect(one.greeting.warnings.join()).toContain("sandbox");
    const headers = { authorization: `Bearer ${key}` };
    const body = { model: "sandbox-echo", messages };
    expect((await one.post("/v1/chat/completions", body, { headers })).status).toBe(200);
    expect((await one.post("/v1/chat/completions", body)).status).toBe(401);
    expect(await one.stop()).toBe(0);

    const again = await startProxy({
      noConfig: true,
      args: () => ["serve", "--port", "0"],
      prepare(dir) {
        const auths = join(dir, "cwd", "auths");
        mkdirSync(auths, { mode: 0o700 });
        writeFileSync(join(auths, "client.key"), `${key}\n`, { mode: 0o600 });
      },
    });
    expect(again.stdout()).toContain("client.key");
    expect(again.stdout()).not.toContain(key);
    expect((await again.post("/v1/chat/completions", body, { headers })).status).toBe(200);
    expect(await again.stop()).toBe(0);
  });

  test("an unreadable one stops the start, with its path", async () => {
    const started = startProxy({
      noConfig: true,
      args: () => ["serve", "--port", "0"],
      prepare(dir) {
        const auths = join(dir, "cwd", "auths");
        mkdirSync(join(auths, "client.key"), { recursive: true });
      },
    });
    expect(started).rejects.toThrow(/client\.key|EISDIR/);
    await started.catch(() => {});
  });
});

describe("a configuration that would open the house", () => {
  const entry = { id: "a", key: clientKey };
  const cases: readonly (readonly [name: string, config: object, words: string])[] = [
    ["sample key", { auth: { api_keys: [{ id: "a", key: "your-api-key-1234567890" }] } }, "sample"],
    [
      "guessable key",
      { auth: { api_keys: [{ id: "a", key: "aaaaaaaaaaaaaaaaaaaaaa" }] } },
      "sample",
    ],
    ["short key", { auth: { api_keys: [{ id: "a", key: "x9f2" }] } }, "sample"],
    ["auth off", { auth: { api_keys: [entry] }, policies: { auth: { mode: "off" } } }, "open"],
    [
      "auth in shadow",
      { auth: { api_keys: [entry] }, policies: { auth: { mode: "shadow" } } },
      "open",
    ],
    ["same id twice", { auth: { api_keys: [entry, { ...entry, key: limitedKey }] } }, "ids"],
  ];
  test.concurrent.each(cases)("refused: %s", async (_name, config, words) => {
    const file = join(proxy.dir, `bad-${crypto.randomUUID()}.yaml`);
    writeFileSync(file, JSON.stringify({ ...config, server: { port: 0 } }, null, 2));
    for (const command of ["check", "serve"]) {
      const { code, out, err } = await runBinary([command, "--config", file]);
      expect(code).toBe(78);
      expect(err).toContain(words);
      expect(err).toMatch(/bad-[\w-]+\.yaml:\d+:\d+/);
      expect(out + err).not.toContain(clientKey);
      expect(out + err).not.toContain("your-api-key-1234567890");
    }
  });
});

test("neither keys nor credentials are in any output", async () => {
  const all = proxy.stdout() + proxy.stderr();
  for (const secret of [clientKey, limitedKey, digestKey, "up-1", "wrong"]) {
    expect(all).not.toContain(secret);
  }
  expect(await proxy.stop()).toBe(0);
});
