import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { completion, whole } from "../harness/json-replies.ts";
import {
  clientKey,
  makeDir,
  needBinary,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

const good = (text: string): Script => whole(completion(text));
const message = whole({
  id: "msg_1",
  type: "message",
  role: "assistant",
  content: [{ type: "text", text: "from messages" }],
  stop_reason: "end_turn",
  usage: { input_tokens: 1, output_tokens: 1 },
});

function compatible(models: readonly unknown[], more: object = {}): object {
  return {
    ...{ protocol: "openai-compatible", base_url: upstream.url, api_key: "k-1", models },
    ...more,
  };
}

function ask(proxy: RunningProxy, model: string, headers = {}): Promise<Response> {
  const body = { model, messages: [{ role: "user", content: "hi" }] };
  return proxy.post("/v1/chat/completions", body, { headers });
}

describe("fallbacks", () => {
  let proxy: RunningProxy;
  const limitedKey = "cpk_test-8Rm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0Gp";

  beforeAll(async () => {
    proxy = await startProxy({
      config: {
        providers: {
          chat: compatible(["big", "small"]),
          ant: {
            ...{ protocol: "claude", base_url: upstream.url, api_key: "k-2" },
            models: ["claude-a"],
          },
        },
        routing: {
          cooldown: { enabled: false },
          fallbacks: { big: ["small", "claude-a"], gone: ["small"] },
        },
        auth: {
          api_keys: [
            { id: "tester", key: clientKey },
            { id: "limited", key: limitedKey, models: ["big", "claude-a"] },
          ],
        },
      },
    });
  });

  test("another model serves, also of another API, and a header tells which", async () => {
    upstream.on("big", good("from big"));
    const plain = await ask(proxy, "big");
    expect(plain.headers.get("x-cliproxy-model")).toBeNull();
    upstream.on("big", whole({ error: { message: "down" } }, 503));
    upstream.on("small", good("from small"));
    const next = await ask(proxy, "big");
    expect([next.status, next.headers.get("x-cliproxy-model")]).toEqual([200, "small"]);
    expect(await next.text()).toContain("from small");
    upstream.on("small", whole({ error: { message: "limit" } }, 429));
    upstream.on("claude-a", message);
    const last = await ask(proxy, "big");
    expect([last.status, last.headers.get("x-cliproxy-model")]).toEqual([200, "claude-a"]);
    expect(await last.text()).toContain("from messages");
    expect(upstream.for("claude-a").at(-1)?.path).toBe("/v1/messages");
  });

  test("a model that nobody has may have one, too", async () => {
    upstream.on("small", good("from small"));
    expect(await (await ask(proxy, "gone")).text()).toContain("from small");
  });

  test("a request fault is nobody else's business", async () => {
    upstream.on("big", whole({ error: { message: "bad" } }, 400));
    const before = upstream.received.length;
    expect((await ask(proxy, "big")).status).toBe(400);
    expect(upstream.received.length).toBe(before + 1);
  });

  test("only to models that the client's key may use", async () => {
    upstream.on("big", whole({ error: { message: "down" } }, 503));
    upstream.on("small", good("from small"));
    const before = upstream.for("small").length;
    const reply = await ask(proxy, "big", { authorization: `Bearer ${limitedKey}` });
    expect(reply.headers.get("x-cliproxy-model")).toBe("claude-a");
    expect(upstream.for("small").length).toBe(before);
  });

  test("all fail: the last one's words", async () => {
    for (const model of ["big", "small", "claude-a"]) {
      upstream.on(model, whole({ error: { message: `no ${model}` } }, 503));
    }
    const reply = await ask(proxy, "big");
    expect(reply.status).toBe(503);
    expect(await reply.text()).toContain("no claude-a");
  });
});

test("max_attempts bounds what one request asks", async () => {
  const models = Array.from({ length: 9 }, (_, i) => `m${i}`);
  const proxy = await startProxy({
    config: {
      providers: { chat: compatible(models) },
      routing: {
        cooldown: { enabled: false },
        max_attempts: 3,
        fallbacks: { m0: models.slice(1) },
      },
    },
  });
  for (const model of models) upstream.on(model, whole({ error: { message: model } }, 503));
  const before = upstream.received.length;
  const reply = await ask(proxy, "m0");
  expect([reply.status, await reply.text()]).toEqual([503, expect.stringContaining("m2")]);
  expect(upstream.received.length).toBe(before + 3);
});

test("a session stays with its provider", async () => {
  const other = await startUpstream();
  const proxy = await startProxy({
    config: {
      providers: { a: compatible(["m"]), b: { ...compatible(["m"]), base_url: other.url } },
      routing: { strategy: "round_robin" },
    },
  });
  upstream.on("m", good("one"));
  other.on("m", good("two"));
  const served = async (session?: string): Promise<string> => {
    const headers = session === undefined ? {} : { "x-claude-code-session-id": session };
    return (await (await ask(proxy, "m", headers)).text()).includes("one") ? "one" : "two";
  };
  expect(new Set([await served(), await served()])).toEqual(new Set(["one", "two"]));
  const mine = await served("s");
  expect([await served("s"), await served("s"), await served("s")]).toEqual([mine, mine, mine]);
  // The one that served it fails: the other takes over, and keeps it.
  const [failing, script] = mine === "one" ? [upstream, good("one")] : [other, good("two")];
  failing.on("m", whole({ error: { message: "down" } }, 503));
  const next = await served("s");
  expect(next).not.toBe(mine);
  failing.on("m", script);
  expect([await served("s"), await served("s")]).toEqual([next, next]);
});

test("names with `*` are served and listed, but for what is excluded", async () => {
  upstream.models = ["gpt-5", "gpt-5-preview", "o3"];
  const proxy = await startProxy({
    config: {
      providers: {
        chat: compatible(["gpt-*", { name: "my-*", upstream: "vendor/*" }, "fixed"], {
          excluded_models: ["*-preview"],
        }),
      },
    },
  });
  const listed = (await (await proxy.get("/v1/models")).json()) as { data: { id: string }[] };
  expect(listed.data.map(({ id }) => id).sort()).toEqual(["fixed", "gpt-5"]);
  upstream.on("gpt-9", good("nine")).on("vendor/x", good("aliased"));
  expect(await (await ask(proxy, "gpt-9")).text()).toContain("nine");
  expect(await (await ask(proxy, "my-x")).text()).toContain("aliased");
  expect((await ask(proxy, "gpt-9-preview")).status).toBe(404);
});

describe("what can't be meant is a start-up error with its place:", () => {
  test.each([
    [
      "a fallback that nobody serves",
      { routing: { fallbacks: { m: ["nope"] } } },
      "nobody serves nope",
    ],
    ["a weight without the strategy", { weight: 2 }, "does nothing where the strategy is priority"],
    ["more stars in the upstream", { models: [{ name: "a-*", upstream: "*-*" }] }, "more `*`"],
    ["an unknown strategy", { routing: { strategy: "random" } }, "routing.strategy"],
  ])("%s", async (_case, more, words) => {
    const { routing, ...provider } = more as { routing?: object };
    const file = join(makeDir(), "config.yaml");
    const config = {
      providers: { chat: { ...compatible(["m"]), ...provider } },
      ...(routing && { routing }),
    };
    writeFileSync(file, JSON.stringify(config));
    const { code, out, err } = await runBinary(["check", "--config", file]);
    expect(code).toBe(78);
    expect(out + err).toContain(words);
  });
});
