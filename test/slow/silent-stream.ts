/** Run by `npm run test:slow`: it waits longer than the runtime's idle timer of 60 s. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, providersOf, startProxy } from "../harness/proxy.ts";
import { openRaw } from "../harness/raw.ts";
import { normal } from "../harness/scripts.ts";
import { sleep } from "../harness/wait.ts";

/** Above the idle timer, which looks every few seconds. */
const silenceMs = 70_000;

beforeAll(needBinary);
afterAll(cleanUp);

test.concurrent("a head that never ends is closed by the runtime within 15 s; others are served", async () => {
  const proxy = await startProxy({ config: { providers: { sandbox: {} } } });
  const clients = await Promise.all(Array.from({ length: 200 }, () => openRaw(proxy.url)));
  const started = performance.now();
  for (const client of clients)
    client.send("POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ");
  const drip = setInterval(() => {
    for (const client of clients) client.send("a");
  }, 1000);
  expect((await proxy.get("/v1/models")).status).toBe(200);
  await Promise.all(clients.map((client) => client.closed(17_000)));
  clearInterval(drip);
  expect(performance.now() - started).toBeLessThan(16_000);
  expect(await proxy.stop()).toBe(0);
}, 30_000);

const silences = ["before the head", "mid-stream", "in a whole reply"] as const;

test.concurrent.each(silences)(
  "silence of 70 s survives: %s",
  async (when) => {
    const upstream = await startUpstream();
    upstream.on("m-silent", async (wire, request) => {
      if (when === "before the head" || when === "in a whole reply") await sleep(silenceMs);
      if (when !== "mid-stream") return normal()(wire, request);
      await wire.stream();
      await wire.chunk(": thinking\n\n");
      await sleep(silenceMs);
      return wire.chunk("data: [DONE]\n\n").then(() => wire.endChunks());
    });
    const proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
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
