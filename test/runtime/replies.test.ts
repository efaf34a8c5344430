import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
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
import { openRaw, requestBytes } from "../harness/raw.ts";
import {
  chatEvents,
  chatReply,
  messageEvents,
  messageReply,
  replyText,
} from "../harness/replies.ts";
import { bomb, compressed, redirect, split } from "../harness/scripts.ts";
import { byRuntime } from "./targets.ts";

const dialects = [
  ["/v1/chat/completions", chatEvents, chatReply],
  ["/v1/messages", messageEvents, messageReply],
] as const;
const messages = [{ role: "user" as const, content: "hello" }];

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

describe.each(byRuntime)("%s:", (runtime, target) => {
  let proxy: RunningProxy;
  const post = (path: string, model: string, stream: boolean) =>
    proxy.post(path, { model, stream, max_tokens: 9, messages });

  beforeAll(async () => {
    proxy = await startProxy({ runtime, config: { providers: providersOf(upstream.url) } });
  });

  test("says what it runs on, listens where it greets, and knows who may come in", async () => {
    const { code, out } = await runBinary(["version", "--json"], { runtime });
    expect(code).toBe(0);
    const { name, compiled } = target;
    expect(JSON.parse(out).runtime).toMatchObject({ name, compiled });
    expect(proxy.greeting.warnings).toEqual([...target.warns]);
    expect((await proxy.get("/healthz")).status).toBe(200);
    for (const authorization of ["", "Bearer wrong"]) {
      expect((await proxy.get("/v1/models", { headers: { authorization } })).status).toBe(401);
    }
    expect(await (await proxy.get("/v1/models")).text()).toContain("fake-1");
  });

  test.each(dialects)("%s: whole and streamed, byte for byte", async (path, events, reply) => {
    const whole = await post(path, "m-whole", false);
    expect(whole.headers.get("content-type")).toBe("application/json");
    expect(await whole.text()).toBe(reply("m-whole"));
    for (const size of [1, 7, 1000]) {
      const model = `m-split-${size}`;
      upstream.on(model, split(size));
      const answer = await post(path, model, true);
      expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
      expect(await answer.text()).toBe(events(model).join(""));
    }
  });

  test("the first event arrives before the last is sent, each as it comes", async () => {
    const [first = "", second = "", ...rest] = chatEvents("m-turns");
    let goOn = (): void => {};
    const step = () => new Promise<void>((resolve) => (goOn = resolve));
    upstream.on("m-turns", async (wire) => {
      await wire.stream();
      for (const part of [first, second, rest.join("")]) {
        await wire.chunk(part);
        await step();
      }
      await wire.endChunks();
    });
    const client = await openRaw(proxy.url);
    const auth = [["authorization", `Bearer ${clientKey}`]] as const;
    const body = JSON.stringify({ model: "m-turns", stream: true, messages });
    client.send(requestBytes("POST", "/v1/chat/completions", auth, body));
    const parts = [first, second, rest.join("")].map((part) => part.trimEnd());
    for (const part of parts) {
      expect(await client.read((t) => t.includes(part), 2000)).toContain(part);
      goOn();
    }
    expect(await client.read((t) => t.endsWith("\r\n0\r\n\r\n"))).toEndWith("\r\n0\r\n\r\n");
    client.close();
  });

  test.each(["gzip", "deflate", "br"] as const)("a provider's %s is decoded", async (coding) => {
    upstream.on("m-coded", compressed(coding));
    for (const stream of [false, true]) {
      const answer = await post("/v1/chat/completions", "m-coded", stream);
      expect(answer.headers.get("content-encoding")).toBeNull();
      const expected = stream ? chatEvents("m-coded").join("") : chatReply("m-coded");
      expect(await answer.text()).toBe(expected);
    }
  });

  test("a bomb is no whole answer", async () => {
    upstream.on("m-bomb", bomb(64));
    const answer = await post("/v1/chat/completions", "m-bomb", false);
    const text = await answer.text().catch(() => undefined);
    if (answer.status === 200) expect(text).toBeUndefined();
    else expect(answer.status).toBe(502);
  });

  test.each([301, 303, 304, 307])(
    "%d of a provider is refused and not followed",
    async (status) => {
      const before = upstream.received.length;
      upstream.on("m-moved", redirect(`${upstream.url}/elsewhere`, status));
      const answer = await post("/v1/chat/completions", "m-moved", false);
      expect(answer.status).toBe(502);
      expect(await answer.text()).toContain("upstream_bad_answer");
      expect(upstream.received.length).toBe(before + 1);
    },
  );

  test("the official clients, whole and streamed", async () => {
    const openai = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: clientKey, maxRetries: 0 });
    const anthropic = new Anthropic({ baseURL: proxy.url, apiKey: clientKey, maxRetries: 0 });
    const chat = await openai.chat.completions.create({ model: "m-sdk", messages });
    expect(chat.choices[0]?.message.content).toBe(replyText());
    let text = "";
    const stream = await openai.chat.completions.create({ model: "m-sdk", messages, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe(replyText());
    const call = { model: "m-sdk", max_tokens: 9, messages };
    const whole = await anthropic.messages.create(call);
    const final = await anthropic.messages.stream(call).finalMessage();
    for (const { content } of [whole, final]) {
      expect(content).toEqual([expect.objectContaining({ type: "text", text: replyText() })]);
    }
  });

  test("ends with exit code 0, and no output holds a key", async () => {
    expect(await proxy.stop()).toBe(0);
    const output = proxy.stdout() + proxy.stderr();
    for (const key of [clientKey, "upstream-secret-key-1"]) expect(output).not.toContain(key);
  });
});
