import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { chatReply, messageReply } from "../harness/replies.ts";
import { hangInWhole, normal } from "../harness/scripts.ts";
import { sleep } from "../harness/wait.ts";

const messages = [{ role: "user", content: "hello" }];
const paths = [["/v1/chat/completions"], ["/v1/messages"]] as const;
const jsonType = { "content-type": "application/json" };

let upstream: FakeUpstream;
let total: RunningProxy;
let idle: RunningProxy;

/** A proxy where only one of the three limits is short. */
function startWith(timeout: Readonly<Record<string, string>>): Promise<RunningProxy> {
  const one = { base_url: upstream.url, api_key: "k", timeout };
  return startProxy({
    config: {
      providers: { oai: { ...one, protocol: "openai" }, ant: { ...one, protocol: "claude" } },
    },
  });
}

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  [total, idle] = await Promise.all([startWith({ total: "1s" }), startWith({ idle: "1s" })]);
});
afterAll(cleanUp);

interface Got {
  readonly status: number;
  /** Undefined: the answer was cut. */
  readonly text: string | undefined;
  readonly ms: number;
}

async function ask(proxy: RunningProxy, path: string, model: string): Promise<Got> {
  const started = performance.now();
  const answer = await proxy.post(path, { model, max_tokens: 9, messages });
  const text = await answer.text().catch(() => undefined);
  return { status: answer.status, text, ms: performance.now() - started };
}

/** A body that comes in thirty pieces over three seconds. */
function dribble(framing: "length" | "chunked"): Script {
  return async (wire, request) => {
    const { model = "" } = request.json;
    const body = Buffer.from(request.isMessages ? messageReply(model) : chatReply(model));
    const length = { "content-length": String(body.byteLength) };
    const chunked = { "transfer-encoding": "chunked" };
    await wire.head(200, { ...jsonType, ...(framing === "length" ? length : chunked) });
    const size = Math.ceil(body.byteLength / 30);
    for (let at = 0; at < body.byteLength && wire.isOpen; at += size) {
      const piece = body.subarray(at, at + size);
      await (framing === "length" ? wire.raw(piece) : wire.chunk(piece));
      await sleep(100);
    }
    if (framing === "chunked") await wire.endChunks();
  };
}

test.concurrent.each(paths)("total bounds the wait for the head: %s", async (path) => {
  const model = `m-late ${path}`;
  upstream.on(model, async (wire, request) => {
    await sleep(3000);
    await normal()(wire, request);
  });
  const got = await ask(total, path, model);
  expect(got.status).toBe(504);
  expect(got.text).toContain("did not answer in time");
  expect(got.ms).toBeWithin(900, 2000);
  await (await upstream.arrived(model)).gone(1000);
  expect(upstream.for(model)).toHaveLength(1);
});

const framings = ["length", "chunked"] as const;
const dribbles = framings.flatMap((framing) => paths.map(([path]) => [framing, path] as const));
test.concurrent.each(dribbles)("total bounds a short body by %s: %s", async (framing, path) => {
  const model = `m-dribble ${framing} ${path}`;
  upstream.on(model, dribble(framing));
  const got = await ask(total, path, model);
  expect(got.ms).toBeWithin(900, 2000);
  // Cut when its head has gone out already; an error before.
  if (got.status === 200) expect(got.text).toBeUndefined();
  else expect([502, 504]).toContain(got.status);
  await (await upstream.arrived(model)).gone(1000);
});

test.concurrent.each(paths)("idle bounds a short body that stalls: %s", async (path) => {
  const model = `m-stall ${path}`;
  upstream.on(model, hangInWhole);
  const got = await ask(idle, path, model);
  expect(got.ms).toBeWithin(900, 2000);
  expect(got.status).toBe(504);
  await (await upstream.arrived(model)).gone(1000);
});

test.concurrent.each(paths)("a short body that keeps coming outlives idle: %s", async (path) => {
  const model = `m-alive ${path}`;
  upstream.on(model, dribble("chunked"));
  const got = await ask(idle, path, model);
  expect(got.status).toBe(200);
  expect(() => JSON.parse(got.text ?? "")).not.toThrow();
});
