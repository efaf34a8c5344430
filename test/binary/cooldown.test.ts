import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import process from "node:process";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { completion, whole } from "../harness/json-replies.ts";
import { makeDir, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

const key = "m-7Qm2vXz9Kd4Lw8Rb1Tn6";
const auth = { authorization: `Bearer ${key}` };
let first: FakeUpstream;
let second: FakeUpstream;

beforeAll(async () => {
  needBinary();
  first = await startUpstream();
  second = await startUpstream();
});
afterAll(cleanUp);

const good = (text: string): Script => whole(completion(text));
const limited = whole({ error: { message: "slow down" } }, 429, { "retry-after": "30" });

function start(
  names: Readonly<Record<string, FakeUpstream>>,
  more: { dir?: string; config?: object; provider?: object } = {},
): Promise<RunningProxy> {
  const providers = Object.fromEntries(
    Object.entries(names).map(([name, { url }]) => [
      name,
      {
        protocol: "openai-compatible",
        base_url: url,
        api_key: `secret-of-${name}`,
        models: ["m", "other"],
        ...more.provider,
      },
    ]),
  );
  const { dir = makeDir() } = more;
  return startProxy({
    config: {
      providers,
      management: { key },
      routing: {},
      state: { path: join(dir, "state.db") },
      ...more.config,
    },
  });
}

function ask(proxy: RunningProxy, model = "m"): Promise<Response> {
  return proxy.post("/v1/chat/completions", {
    model,
    messages: [{ role: "user", content: "hi" }],
  });
}
async function manage(proxy: RunningProxy, path: string, body?: object) {
  const reply = await fetch(`${proxy.url}/v0/management/providers${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { ...auth, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: reply.status, body: (await reply.json()) as never };
}

describe("two providers of one model", () => {
  test("the one that is at its limit is left alone until it said, and is told of", async () => {
    const proxy = await start({ one: first, two: second });
    first.on("m", limited).on("other", good("first"));
    second.on("m", good("second"));
    const before = first.received.length;
    for (let i = 0; i < 4; i++) {
      const reply = await ask(proxy);
      expect(reply.status).toBe(200);
      expect(await reply.text()).toContain("second");
    }
    expect(first.received.length - before).toBe(1);
    expect(await (await ask(proxy, "other")).text()).toContain("first");
    const { body } = await manage(proxy, "");
    expect(body).toMatchObject({
      providers: [
        {
          name: "one",
          state: "degraded",
          cooldowns: [{ credential: "one-inline", model: "m", reason: "limit" }],
          credentials: [{ id: "one-inline", ok: 1, failed: 1, last_status: 200 }],
        },
        { name: "two", state: "ok", credentials: [{ ok: 4, failed: 0 }] },
      ],
    });
    expect(JSON.stringify(body)).not.toContain("secret-of");
    await proxy.stop();
  });
});

describe("a single provider", () => {
  test("at its limit: its own words first, then ours with the time to wait", async () => {
    const proxy = await start({ one: first });
    first.on("m", limited);
    const told = await ask(proxy);
    expect([told.status, told.headers.get("retry-after")]).toEqual([429, "30"]);
    expect(await told.text()).toContain("slow down");
    const before = first.received.length;
    const held = await ask(proxy);
    expect(held.status).toBe(429);
    expect(Number(held.headers.get("retry-after"))).toBeWithin(28, 31);
    const { error } = (await held.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe("model_cooldown");
    expect(error.message).toContain("limit for that model is used up");
    expect(first.received.length).toBe(before);
    await proxy.stop();
  });

  test("is asked again at once after `recover`, and not during a `cooldown`", async () => {
    const proxy = await start({ one: first });
    first.on("m", limited);
    await ask(proxy);
    first.on("m", good("again"));
    expect((await ask(proxy)).status).toBe(429);
    const recovered = await manage(proxy, "/one/recover", {});
    expect(recovered).toMatchObject({ status: 200, body: { ended: [{ reason: "limit" }] } });
    expect((await ask(proxy)).status).toBe(200);
    expect((await manage(proxy, "/one/cooldown", { for: "1h" })).status).toBe(200);
    expect((await ask(proxy, "other")).status).toBe(429);
    expect((await manage(proxy, "")).body).toMatchObject({ providers: [{ state: "cooling" }] });
    await manage(proxy, "/one/recover", {});
    expect((await ask(proxy)).status).toBe(200);
    expect((await manage(proxy, "/nobody/recover", {})).status).toBe(404);
    expect((await manage(proxy, "/one/cooldown", { for: "1h", model: "m" })).status).toBe(422);
    await proxy.stop();
  });

  test("what it asked for outlives a restart, also by SIGKILL", async () => {
    const dir = makeDir();
    let proxy = await start({ one: first }, { dir });
    first.on("m", limited);
    await ask(proxy);
    await proxy.stop();
    proxy = await start({ one: first }, { dir });
    expect((await ask(proxy)).status).toBe(429);
    expect((await manage(proxy, "/one/cooldown", { for: 3600 })).status).toBe(200);
    process.kill(proxy.pid, "SIGKILL");
    await proxy.exited;
    proxy = await start({ one: first }, { dir });
    expect((await ask(proxy, "other")).status).toBe(429);
    await proxy.stop();
  });

  test.each([
    ["routing.cooldown.enabled: false", { config: { routing: { cooldown: { enabled: false } } } }],
    ["providers.one.cooldown: false", { provider: { cooldown: false } }],
  ])("%s: is always asked", async (_case, more) => {
    const proxy = await start({ one: first }, more);
    first.on("m", limited);
    await ask(proxy);
    const before = first.received.length;
    await ask(proxy);
    expect(first.received.length).toBe(before + 1);
    await proxy.stop();
  });

  test("whose credential is refused is asked again when the configuration changes", async () => {
    const proxy = await start({ one: first });
    first.on("m", whole({ error: { message: "bad key" } }, 401));
    expect((await ask(proxy)).status).toBe(502);
    expect((await ask(proxy)).status).toBe(429);
    first.on("m", good("again"));
    proxy.signal("SIGHUP");
    await until("it is asked again", async () => (await ask(proxy)).status === 200);
    await proxy.stop();
  });
});
