/** Run by `npm run test:slow`: it waits longer than the runtime's idle timer of 60 s. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, providersOf, startProxy } from "../harness/proxy.ts";
import { normal } from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";
import { byRuntime } from "../runtime/targets.ts";

/** Above the idle timer, which looks every few seconds. */
const silenceMs = 70_000;

beforeAll(needBinary);
afterAll(cleanUp);

const silences = ["before the head", "mid-stream", "in a whole reply"] as const;

const all = byRuntime.flatMap(([runtime]) => silences.map((when) => [runtime, when] as const));

test.concurrent.each(all)(
  "%s: silence of 70 s survives: %s",
  async (runtime, when) => {
    const upstream = await startUpstream();
    upstream.on("m-silent", async (wire, request) => {
      if (when === "before the head" || when === "in a whole reply") await sleep(silenceMs);
      if (when !== "mid-stream") return normal()(wire, request);
      await wire.stream();
      await wire.chunk(": thinking\n\n");
      await sleep(silenceMs);
      return wire.chunk("data: [DONE]\n\n").then(() => wire.endChunks());
    });
    const proxy = await startProxy({ runtime, config: { providers: providersOf(upstream.url) } });
    const stream = when !== "in a whole reply";
    const answer = await proxy.post("/v1/chat/completions", {
      model: "m-silent",
      stream,
      messages: [{ role: "user", content: "hello" }],
    });
    expect(answer.status).toBe(200);
    const text = await answer.text();
    if (stream) expect(text).toEndWith("data: [DONE]\n\n");
    else expect(JSON.parse(text)).toMatchObject({ object: "chat.completion" });
    expect(await proxy.stop()).toBe(0);
  },
  silenceMs + 20_000,
);

test.concurrent.each(byRuntime)(
  "%s: an unused connection to a provider is closed after 50 s",
  async (runtime) => {
    const upstream = await startUpstream();
    const proxy = await startProxy({ runtime, config: { providers: providersOf(upstream.url) } });
    const body = { model: "m-once", messages: [{ role: "user", content: "hello" }] };
    expect((await proxy.post("/v1/chat/completions", body)).status).toBe(200);
    await sleep(40_000);
    expect(upstream.openSockets).toBe(1);
    await until("it is closed", () => upstream.openSockets === 0, 20_000);
    expect(await proxy.stop()).toBe(0);
  },
  silenceMs + 20_000,
);
