import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { OAuthServer } from "../harness/oauth-server.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

const managementKey = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";
const encryptionKey = "8f3b1c6e9a7d4052c1e8b7f6a5d4c3b2918f7e6d5c4b3a291807f6e5d4c3b2a1";
let api: OAuthServer;

beforeAll(async () => {
  needBinary();
  api = await new OAuthServer().open();
});
afterAll(cleanUp);

function start(more: object = {}, auth: object = {}): Promise<RunningProxy> {
  const acme = { protocol: "openai", base_url: api.url, models: ["m"] };
  const config = {
    providers: { acme, other: { ...acme, models: ["n"] } },
    management: { key: managementKey },
    state: { store: "memory" },
    auth,
    ...more,
  };
  return startProxy({ config });
}

interface Told {
  readonly status: number;
  readonly etag: string | null;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, asserted where read
  readonly json: any;
}

async function manage(
  proxy: RunningProxy,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Told> {
  const reply = await fetch(`${proxy.url}/v0/management${path}`, {
    method,
    headers: {
      authorization: `Bearer ${managementKey}`,
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  const json = text === "" ? undefined : JSON.parse(text);
  return { status: reply.status, etag: reply.headers.get("etag"), text, json };
}

async function call(proxy: RunningProxy, model = "m"): Promise<number> {
  const messages = [{ role: "user", content: "hi" }];
  const reply = await proxy.post("/v1/chat/completions", { model, messages });
  await reply.text();
  return reply.status;
}

describe("the guide's requests", () => {
  test("add, in use when answered; delete, out of use when answered; nothing is shown", async () => {
    const proxy = await start();
    expect(await call(proxy)).toBe(503);
    const token = api.issue();
    const added = await manage(proxy, "POST", "/auths", {
      provider: "acme",
      type: "api_key",
      token,
    });
    expect([added.status, added.json]).toMatchObject([
      201,
      { provider: "acme", id: "default", type: "api_key", encrypted: false, last4: "8Rb1" },
    ]);
    expect(await call(proxy)).toBe(200);
    const file = join(proxy.authDir, "acme.json");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const listed = await manage(proxy, "GET", "/auths");
    expect(listed.json.auths).toHaveLength(1);
    for (const { text } of [added, listed]) expect(text).not.toContain(token.slice(0, -4));
    const removed = await manage(proxy, "DELETE", "/auths/acme");
    expect([removed.status, removed.json]).toEqual([
      200,
      { provider: "acme", removed: ["default"] },
    ]);
    expect(await call(proxy)).toBe(503);
    expect(existsSync(file)).toBe(false);
    expect((await manage(proxy, "DELETE", "/auths/acme")).status).toBe(404);
    // Credentials change without another generation.
    expect((await manage(proxy, "GET", "/status")).json.generation).toBe(1);
    expect(await proxy.stop()).toBe(0);
  });

  test("encrypted when a key is configured, and replaced by the same request", async () => {
    const proxy = await start({}, { encryption: { enabled: true, key: encryptionKey } });
    for (let i = 0; i < 2; i++) {
      const token = api.issue();
      const body = { provider: "acme", type: "api_key", token };
      const added = await manage(proxy, "POST", "/auths", body);
      expect([added.status, added.json.encrypted]).toEqual([201, true]);
      expect(readFileSync(join(proxy.authDir, "acme.json"), "utf8")).not.toContain(token);
      expect(await call(proxy)).toBe(200);
      expect(api.calls.at(-1)).toBe(`Bearer ${token}`);
    }
    expect(readdirSync(proxy.authDir).filter((name) => /^[^.].*json$/.test(name))).toHaveLength(1);
    expect(await proxy.stop()).toBe(0);
  });

  test("with no provider configured, a credential is all that is needed", async () => {
    const proxy = await startProxy({ config: { management: { key: managementKey } } });
    const body = { provider: "claude", type: "api_key", token: "sk-ant-api03-Zk3vQ9xT7mW2" };
    expect((await manage(proxy, "POST", "/auths", body)).status).toBe(201);
    const plan = (await manage(proxy, "GET", "/plan")).json;
    expect(plan.providers.map((p: { name: string }) => p.name)).toEqual(["claude", "sandbox"]);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("what is refused", () => {
  const good = { provider: "acme", type: "api_key", token: "k-7Qm2vXz9Kd4Lw8Rb1Tn6" };
  type Case = readonly [name: string, body: object, status: number, words: RegExp];
  const cases: readonly Case[] = [
    ["the guide's sample", { ...good, token: "sk-ant-xxxxx" }, 422, /`token` is a sample/],
    ["a token with a line break", { ...good, token: "k-7Qm2vXz9Kd4\nLw8Rb1" }, 422, /`token`/],
    ["no token", { provider: "acme", type: "api_key" }, 422, /`token` is missing/],
    ["another type", { ...good, type: "magic" }, 422, /`type`/],
    ["an unknown key", { ...good, tokn: "x" }, 422, /`tokn` is not known here/],
    ["an unknown provider", { ...good, provider: "nobody" }, 422, /Configured: acme, other/],
    ["an id that is a path", { ...good, id: "../x" }, 422, /the id must be/],
    ["oauth without tokens", { provider: "acme", type: "oauth" }, 422, /access_token/],
    [
      "a token endpoint in the clear",
      {
        provider: "acme",
        type: "oauth",
        refresh_token: "r-7Qm2vXz9Kd4Lw8Rb",
        token_url: "http://a.example/t",
      },
      422,
      /`token_url`/,
    ],
    [
      "a service account without a key",
      { provider: "acme", type: "service_account", client_email: "a@b.example" },
      422,
      /`private_key` is missing/,
    ],
  ];
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await start();
  });

  test.each(cases)("%s", async (_name, body, status, words) => {
    const told = await manage(proxy, "POST", "/auths", body);
    expect([told.status, told.json.error.message]).toEqual([status, expect.stringMatching(words)]);
    for (const secret of ["k-7Qm2vXz9Kd4", "r-7Qm2vXz9Kd4"])
      expect(told.text).not.toContain(secret);
    expect(existsSync(proxy.authDir) ? readdirSync(proxy.authDir) : []).not.toContain("acme.json");
  });

  test("unknown providers and ids", async () => {
    for (const [method, path, words] of [
      ["DELETE", "/auths/nobody", "Configured: acme, other"],
      ["DELETE", "/auths/acme", "no credential"],
      ["DELETE", "/auths/acme/work", "no credential `work`"],
    ] as const) {
      const told = await manage(proxy, method, path);
      expect([told.status, told.json.error.message]).toEqual([404, expect.stringContaining(words)]);
    }
    const told = await manage(proxy, "PUT", "/auths/acme/work", { disabled: true });
    expect(told.status).toBe(404);
  });

  test("without the management key", async () => {
    const reply = await fetch(`${proxy.url}/v0/management/auths`, { method: "DELETE" });
    expect(reply.status).toBe(401);
    await reply.text();
  });
});

describe("several of one provider", () => {
  test("priority, off and on, one removed, and If-Match", async () => {
    const proxy = await start();
    const [one, two] = [api.issue(), api.issue()];
    const add = (id: string, token: string, priority: number) =>
      manage(proxy, "POST", "/auths", { provider: "acme", id, type: "api_key", token, priority });
    await add("one", one, 0);
    const second = await add("two", two, 5);
    await call(proxy);
    expect(api.calls.at(-1)).toBe(`Bearer ${one}`);
    const match = { "if-match": second.etag ?? "" };
    const first = await manage(proxy, "PUT", "/auths/acme/two", { priority: -1 }, match);
    expect([first.status, first.json.priority]).toEqual([200, -1]);
    const late = await manage(proxy, "PUT", "/auths/acme/two", { priority: 3 }, match);
    expect(late.status).toBe(412);
    await call(proxy);
    expect(api.calls.at(-1)).toBe(`Bearer ${two}`);
    await manage(proxy, "PUT", "/auths/acme/two", { disabled: true });
    await call(proxy);
    expect(api.calls.at(-1)).toBe(`Bearer ${one}`);
    expect((await manage(proxy, "PUT", "/auths/acme/two", {})).status).toBe(422);
    const stale = await manage(proxy, "DELETE", "/auths/acme", undefined, match);
    expect(stale.status).toBe(412);
    expect((await manage(proxy, "DELETE", "/auths/acme/one")).json.removed).toEqual(["one"]);
    expect(await call(proxy)).toBe(503);
    expect(await proxy.stop()).toBe(0);
  });

  test("while a broken configuration waits to be mended, a deleted one is out of use", async () => {
    const proxy = await start();
    const token = api.issue();
    await manage(proxy, "POST", "/auths", { provider: "acme", type: "api_key", token });
    writeFileSync(proxy.configFile, "no: such: thing");
    await until("it says so", () => proxy.stderr().includes("reload rejected"));
    expect(await call(proxy)).toBe(200);
    await manage(proxy, "DELETE", "/auths/acme");
    expect(await call(proxy)).toBe(503);
    expect(await proxy.stop()).toBe(0);
  });
});

test("every write is in the audit: who, what, and digests; never a secret", async () => {
  const file = "audit.log";
  const proxy = await start({ logging: { audit: { enabled: true, file } } });
  const token = api.issue();
  await manage(proxy, "POST", "/auths", { provider: "acme", type: "api_key", token });
  await manage(proxy, "DELETE", "/auths/acme");
  const log = join(proxy.dir, "cwd", file);
  const text = (): string => (existsSync(log) ? readFileSync(log, "utf8") : "");
  await until("the records", () => text().includes("removeAuths"));
  const records = text()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter((record) => record.event_type === "config_change");
  expect(
    records.map(({ result, user_id, details }) => [result, user_id, details.operation]),
  ).toEqual([
    ["applied", "management", "addAuth"],
    ["applied", "management", "removeAuths"],
  ]);
  expect(records[0].details).toMatchObject({ what: "credential acme default", before: "none" });
  expect(records[0].details.after).toMatch(/^[0-9a-f]{64}$/);
  expect(text()).not.toContain(token);
  expect(await proxy.stop()).toBe(0);
});
