import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  configOf,
  makeDir,
  needBinary,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { hangMidStream, normal } from "../harness/scripts.ts";
import { sleep, until, within } from "../harness/wait.ts";

const messages = [{ role: "user", content: "hello" }];
const hour = { limit: 1000, reset: "monthly" };

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

/** One provider with a quota, and a state file that outlives the proxy. */
function configWith(path: string, quota: object = hour, model = "m") {
  const one = {
    protocol: "openai",
    base_url: upstream.url,
    api_key: "k-1",
    models: [model],
    quota,
  };
  return { state: { path }, providers: { one } };
}

function newPath(): string {
  return join(makeDir(), "state", "cliproxy.db");
}

async function ask(proxy: RunningProxy, model: string, maxTokens = 100) {
  const body = { model, max_tokens: maxTokens, messages };
  const answer = await proxy.post("/v1/chat/completions", body);
  const text = await answer.text();
  return { status: answer.status, text, retryAfter: Number(answer.headers.get("retry-after")) };
}

/** Answers that are still open: who drops one leaves. */
const open: Response[] = [];

async function openStream(proxy: RunningProxy, model: string, maxTokens: number): Promise<void> {
  const body = { model, stream: true, max_tokens: maxTokens, messages };
  const answer = await proxy.post("/v1/chat/completions", body);
  expect(answer.status).toBe(200);
  open.push(answer);
}

async function kill(proxy: RunningProxy): Promise<void> {
  process.kill(proxy.pid, "SIGKILL");
  await within("it is dead", proxy.exited);
}

/** Tokens of the quota that the file knows of, once its process is gone. */
function spentIn(path: string): number {
  const db = new Database(path);
  try {
    const rows = db.query("SELECT spent FROM quotas WHERE space = 'quota'").all();
    return (rows[0] as { spent: number } | undefined)?.spent ?? 0;
  } finally {
    db.close();
  }
}

describe("a quota", () => {
  test("is still used up after a restart, and says until when", async () => {
    const [path, model] = [newPath(), "quota-restart"];
    // 600 tokens each.
    upstream.on(model, normal({ inputTokens: 550, outputTokens: 50 }));
    const config = configWith(path, hour, model);
    const first = await startProxy({ config });
    expect((await ask(first, model)).status).toBe(200);
    expect((await ask(first, model)).status).toBe(200);
    expect((await ask(first, model)).status).toBe(429);
    expect(await first.stop()).toBe(0);
    expect(spentIn(path)).toBe(1200);

    const second = await startProxy({ config });
    const refused = await ask(second, model);
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.text).error.code).toBe("quota_exceeded");
    const now = new Date();
    const end = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
    const seconds = (end - now.getTime()) / 1000;
    expect(Math.abs(refused.retryAfter - seconds)).toBeLessThan(30);
    expect(upstream.for(model)).toHaveLength(2);
    expect(await second.stop()).toBe(0);
  });

  test("a kill charges open streams as reserved, and loses less than a second of what was settled", async () => {
    const [path, model, settled] = [newPath(), "quota-kill", "quota-settled"];
    upstream.on(model, hangMidStream).on(settled, normal({ inputTokens: 5, outputTokens: 5 }));
    const config = configWith(path, { limit: 10_000, reset: "daily" }, model);
    config.providers.one.models.push(settled);
    const proxy = await startProxy({ config });
    await openStream(proxy, model, 1000);
    await openStream(proxy, model, 2000);
    for (let i = 0; i < 3; i++) expect((await ask(proxy, settled)).status).toBe(200);
    await sleep(1000);
    await kill(proxy);

    const again = await startProxy({ config });
    expect(again.stderr()).toContain("charged as reserved");
    expect(again.stderr()).toContain('"count":2');
    expect(await again.stop()).toBe(0);
    const spent = spentIn(path);
    // 30 settled, 3000 of output reserved, and the estimated input of two small bodies.
    expect(spent).toBeGreaterThan(3030);
    expect(spent).toBeLessThan(3030 + 200);

    // It is charged once.
    const third = await startProxy({ config });
    expect(third.stderr()).not.toContain("charged as reserved");
    expect(await third.stop()).toBe(0);
    expect(spentIn(path)).toBe(spent);
  });

  test("a stream that the client leaves is settled once, to what came", async () => {
    const [path, model] = [newPath(), "quota-left"];
    upstream.on(model, hangMidStream);
    const proxy = await startProxy({ config: configWith(path, hour, model) });
    const leave = new AbortController();
    const body = { model, stream: true, max_tokens: 900, messages };
    const answer = await proxy.post("/v1/chat/completions", body, { signal: leave.signal });
    await answer.body?.getReader().read();
    leave.abort();
    await (await upstream.arrived(model)).gone();
    upstream.on(model, normal({ inputTokens: 1, outputTokens: 1 }));
    await until(
      "what it held is given back",
      async () => (await ask(proxy, model, 800)).status === 200,
    );
    expect(await proxy.stop()).toBe(0);
    expect(spentIn(path)).toBeGreaterThan(10);
    expect(spentIn(path)).toBeLessThan(100);
  });

  test("a stream that SIGTERM ends is settled before the end", async () => {
    const [path, model] = [newPath(), "quota-term"];
    upstream.on(model, hangMidStream);
    const config = { ...configWith(path, hour, model), server: { drain_timeout: "100ms" } };
    const proxy = await startProxy({ config });
    await openStream(proxy, model, 900);
    expect(await proxy.stop()).toBe(0);
    expect(spentIn(path)).toBeLessThan(100);
    const db = new Database(path);
    expect(db.query("SELECT * FROM holds").all()).toEqual([]);
    db.close();
  });

  test("usage is counted into the same file", async () => {
    const [path, model] = [newPath(), "usage-file"];
    upstream.on(model, normal({ inputTokens: 5, outputTokens: 6 }));
    const proxy = await startProxy({ config: configWith(path, hour, model) });
    expect((await ask(proxy, model)).status).toBe(200);
    expect((await ask(proxy, "nobody-has-it")).status).toBe(404);
    expect(await proxy.stop()).toBe(0);
    const db = new Database(path);
    const rows = db.query("SELECT key, counts FROM counts ORDER BY key").all();
    db.close();
    const day = new Date().toISOString().slice(0, 10);
    expect(rows).toMatchObject([
      { key: `${day} tester none none`, counts: '{"requests":1,"refused":1}' },
      { key: `${day} tester one ${model}`, counts: expect.stringContaining('"input_tokens":5') },
    ]);
  });
});

describe("the state file", () => {
  test("is used by one process; another one says so and ends", async () => {
    const path = newPath();
    const proxy = await startProxy({ config: configWith(path) });
    const dir = makeDir();
    writeFileSync(join(dir, "c.yaml"), JSON.stringify(configOf(dir, configWith(path))));
    const second = await runBinary(["serve", "--config", join(dir, "c.yaml")]);
    expect(second.code).toBe(78);
    expect(second.err).toContain("in use by another process");
    expect(second.err).toContain("state.path");
    expect((await ask(proxy, "m")).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
    const third = await startProxy({ config: configWith(path) });
    expect(await third.stop()).toBe(0);
  });

  test("that is corrupt is set aside and told; the proxy serves", async () => {
    const path = newPath();
    mkdirSync(dirname(path));
    writeFileSync(path, "this is no database, whatever it is".repeat(500));
    const proxy = await startProxy({ config: configWith(path) });
    expect(proxy.greeting.warnings.join()).toContain("was set aside as");
    expect((await ask(proxy, "m")).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
    expect(readdirSync(dirname(path)).filter((name) => name.includes(".corrupt-"))).toHaveLength(1);
  });

  test("that is gone is told apart from one that never was", async () => {
    const path = newPath();
    const first = await startProxy({ config: configWith(path) });
    expect(first.greeting.warnings).toEqual([]);
    expect(await first.stop()).toBe(0);
    rmSync(path);
    const second = await startProxy({ config: configWith(path) });
    expect(second.greeting.warnings.join()).toContain("is gone");
    expect(await second.stop()).toBe(0);
  });

  test("is for its owner alone, also under a careless umask", async () => {
    const path = newPath();
    const wrap = ["/bin/sh", "-c", 'umask 000; exec "$0" "$@"'];
    const proxy = await startProxy({ config: configWith(path), wrap });
    const modeOf = (file: string): number => statSync(file).mode & 0o777;
    expect(modeOf(dirname(path))).toBe(0o700);
    expect(readdirSync(dirname(path)).map((name) => modeOf(join(dirname(path), name)))).toEqual(
      readdirSync(dirname(path)).map(() => 0o600),
    );
    expect(await proxy.stop()).toBe(0);
  });

  test("can't change its place while it is in use", async () => {
    const path = newPath();
    const proxy = await startProxy({ config: configWith(path) });
    proxy.writeConfig(configWith(`${path}.other`));
    await until("it is rejected", () => proxy.stderr().includes("reload rejected"));
    expect(proxy.stderr()).toContain("restart the proxy");
    expect(existsSync(`${path}.other`)).toBe(false);
    expect((await ask(proxy, "m")).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("without a place of its own", () => {
  const noPath = (quota?: object) => {
    const { providers } = configWith("", quota ?? hour);
    const { quota: _quota, ...bare } = providers.one;
    return { providers: { one: quota === undefined ? bare : providers.one } };
  };
  /** A file where a directory would be: that stops the superuser, too. */
  const block = (path: string): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "");
  };

  test("it is in ./state", async () => {
    const proxy = await startProxy({ config: noPath(hour) });
    expect(proxy.greeting.plan).toMatchObject({ state: { path: "state/cliproxy.db" } });
    expect(existsSync(join(proxy.dir, "cwd/state/cliproxy.db"))).toBe(true);
    expect(await proxy.stop()).toBe(0);
  });

  test("it is beside the credentials where ./state can't be, and says so", async () => {
    const proxy = await startProxy({
      config: noPath(hour),
      prepare: (dir) => block(join(dir, "cwd/state")),
    });
    expect(proxy.greeting.warnings.join()).toContain("./state is not writable");
    expect(existsSync(join(proxy.authDir, ".state/cliproxy.db"))).toBe(true);
    expect(await proxy.stop()).toBe(0);
  });

  const nowhere = (dir: string): void => {
    block(join(dir, "cwd/state"));
    block(join(dir, "auths/.state"));
  };

  test("nowhere to write is a warning, as long as nothing has to last", async () => {
    const proxy = await startProxy({ config: noPath(), prepare: nowhere });
    expect(proxy.greeting.warnings.join()).toContain("forgotten when the process ends");
    expect((await ask(proxy, "m")).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  });

  test.each<[string, Record<string, unknown>]>([
    ["a quota of a provider", { providers: { sandbox: { quota: hour } } }],
    ["a state that was asked for", { state: { store: "sqlite" } }],
  ])("nowhere to write stops the start with %s", async (_name, config) => {
    const dir = makeDir();
    nowhere(dir);
    writeFileSync(join(dir, "c.yaml"), JSON.stringify(configOf(dir, config)));
    const cwd = join(dir, "cwd");
    for (const verb of ["serve", "check"]) {
      const ended = await runBinary([verb, "--config", join(dir, "c.yaml")], { cwd });
      expect([verb, ended.code]).toEqual([verb, 78]);
      expect(ended.err).toContain("mend");
    }
  });

  test("memory that was asked for is no warning, and keeps a quota until the end", async () => {
    const model = "quota-memory";
    upstream.on(model, normal({ inputTokens: 1000, outputTokens: 1 }));
    const config = { ...configWith("", hour, model), state: { store: "memory" } };
    const proxy = await startProxy({ config });
    expect(proxy.greeting.warnings).toEqual([]);
    expect((await ask(proxy, model)).status).toBe(200);
    expect((await ask(proxy, model)).status).toBe(429);
    expect(readdirSync(join(proxy.dir, "cwd"))).toEqual([]);
    expect(await proxy.stop()).toBe(0);
  });

  test("check makes nothing", async () => {
    const dir = makeDir();
    writeFileSync(join(dir, "c.yaml"), JSON.stringify(configOf(dir, noPath(hour))));
    const cwd = join(dir, "cwd");
    const ended = await runBinary(["check", "--config", join(dir, "c.yaml")], { cwd });
    expect([ended.code, readdirSync(cwd)]).toEqual([0, []]);
  });
});
