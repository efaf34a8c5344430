import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  configOf,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

const messages = [{ role: "user", content: "hello" }];

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

async function readyz(proxy: RunningProxy): Promise<string> {
  return (await fetch(`${proxy.url}/readyz`, { keepalive: false })).text();
}

async function serves(proxy: RunningProxy, model: string): Promise<boolean> {
  const answer = await proxy.post("/v1/chat/completions", { model, messages });
  await answer.text();
  return answer.status === 200;
}

describe("./config.yaml, which nobody named,", () => {
  const losses: readonly (readonly [name: string, lose: (file: string) => void])[] = [
    ["removed", (file) => rmSync(file)],
    ["emptied", (file) => writeFileSync(file, "")],
  ];
  const causes = ["file", "SIGHUP"] as const;
  const cases = losses.flatMap(([name, lose]) => causes.map((by) => [name, by, lose] as const));
  test.concurrent.each(cases)("%s while it serves, told by %s: it still serves", async (...one) => {
    const [, by, lose] = one;
    const providers = { oai: { ...providersOf(upstream.url).oai, models: ["one"] } };
    const proxy = await startProxy({
      noConfig: true,
      args: () => ["serve", "--json"],
      prepare(dir) {
        const text = JSON.stringify(configOf(dir, { providers }));
        writeFileSync(join(dir, "cwd", "config.yaml"), text);
      },
    });
    const file = join(proxy.dir, "cwd", "config.yaml");
    const text = readFileSync(file, "utf8");
    expect(await serves(proxy, "one")).toBe(true);
    lose(file);
    if (by === "SIGHUP") proxy.signal("SIGHUP");
    await until("it says so", async () => (await readyz(proxy)).includes("rejected"), 3000);
    expect(await serves(proxy, "one")).toBe(true);
    expect(await serves(proxy, "sandbox-echo")).toBe(false);
    expect(proxy.stderr()).toContain("reload rejected");
    writeFileSync(file, text);
    if (by === "SIGHUP") proxy.signal("SIGHUP");
    await until("it is healed", async () => !(await readyz(proxy)).includes("rejected"), 3000);
    expect(await serves(proxy, "one")).toBe(true);
    expect(await proxy.stop()).toBe(0);
  });
});

test.concurrent("what changes right after the greeting is seen", async () => {
  const { oai } = providersOf(upstream.url);
  const proxy = await startProxy({ config: { providers: { oai: { ...oai, models: ["one"] } } } });
  proxy.writeConfig({ providers: { oai: { ...oai, models: ["two"] } } });
  await until("the new model", () => serves(proxy, "two"), 3000);
  expect(await proxy.stop()).toBe(0);
});

test.concurrent("a signal right after the greeting is heard: exit 0", async () => {
  for (let i = 0; i < 5; i++) {
    const proxy = await startProxy({ config: { providers: { sandbox: {} } } });
    if (i % 2 === 0) proxy.signal("SIGHUP");
    expect(await proxy.stop()).toBe(0);
  }
});

test.concurrent("a reload that takes all keys away tells where the made one is", async () => {
  const proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
  expect(await serves(proxy, "one")).toBe(true);
  proxy.writeConfig({
    providers: providersOf(upstream.url),
    auth: { api_keys: undefined },
  });
  const path = join(proxy.authDir, "client.key");
  await until("a line with its path", () => proxy.stderr().includes(path), 3000);
  const key = readFileSync(path, "utf8").trim();
  expect(proxy.stdout() + proxy.stderr()).not.toContain(key);
  const headers = { authorization: `Bearer ${key}` };
  expect((await proxy.get("/v1/models", { headers })).status).toBe(200);
  expect((await proxy.get("/v1/models")).status).toBe(401);
  expect(proxy.stderr()).not.toContain(clientKey);
  expect(await proxy.stop()).toBe(0);
});

const folders = [
  ["that exists", true],
  ["that doesn't exist yet", false],
] as const;
test.concurrent.each(folders)(
  "a new auth.dir %s is watched from then on",
  async (_name, exists) => {
    const { api_key: _key, ...bare } = providersOf(upstream.url).oai as Record<string, unknown>;
    const providers = { oai: { ...bare, models: ["one"] } };
    const proxy = await startProxy({ config: { providers } });
    expect(await serves(proxy, "one")).toBe(false);
    const moved = join(proxy.dir, "deep", "moved");
    if (exists) mkdirSync(moved, { recursive: true, mode: 0o700 });
    proxy.writeConfig({ providers, auth: { dir: moved } });
    await until("the reload", () => proxy.stderr().includes('"reloaded"'), 3000);
    expect(await serves(proxy, "one")).toBe(false);
    mkdirSync(moved, { recursive: true, mode: 0o700 });
    const token = `from-a-moved-folder-${exists}`;
    const file = join(moved, "oai-work.json");
    writeFileSync(file, JSON.stringify({ type: "api_key", token }), { mode: 0o600 });
    await until("the credential", () => serves(proxy, "one"), 3000);
    const keys = upstream.for("one").map((r) => r.header("authorization"));
    expect(keys).toContain(`Bearer ${token}`);
    rmSync(file);
    await until("its end", async () => !(await serves(proxy, "one")), 3000);
    expect(proxy.stdout() + proxy.stderr()).not.toContain(token);
    expect(await proxy.stop()).toBe(0);
  },
);
