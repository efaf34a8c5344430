import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

let upstream: FakeUpstream;
beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

const done = JSON.stringify({ choices: [{ message: { content: "x" }, finish_reason: "stop" }] });

/** Requests for a model stay open until they are let go. */
function hold(model: string): (() => void)[] {
  const held: (() => void)[] = [];
  upstream.on(model, async (wire) => {
    await new Promise<void>((resolve) => void held.push(resolve));
    return wire.whole(200, { "content-type": "application/json" }, done);
  });
  return held;
}

function start(concurrency: object): Promise<RunningProxy> {
  const one = { protocol: "openai-compatible", base_url: upstream.url, api_key: "k-1" };
  return startProxy({ config: { providers: { one: { ...one, models: ["m"], concurrency } } } });
}
const body = { model: "m", messages: [{ role: "user", content: "hi" }] };

test("the third waits for one of two, and the fourth is told to come again", async () => {
  const proxy = await start({ max: 2, queue: 1, wait: "4s" });
  const held = hold("m");
  const ask = () => proxy.post("/v1/chat/completions", body);
  const running = [ask(), ask()];
  await until("two have arrived", () => held.length === 2);
  const third = ask();
  const fourth = await ask().then(async (reply) => {
    // The third may come behind it: then that one is refused.
    return {
      status: reply.status,
      wait: reply.headers.get("retry-after"),
      text: await reply.text(),
    };
  });
  expect([fourth.status, fourth.wait]).toEqual([429, "1"]);
  expect(fourth.text).toContain("provider_limited");
  expect(held.length).toBe(2);
  held[0]?.();
  await until("the one that waited has arrived", () => held.length === 3);
  for (const go of held) go();
  const statuses = await Promise.all(
    [...running, third].map(async (reply) => (await reply).status),
  );
  expect(statuses).toEqual([200, 200, 200]);
  expect(await proxy.stop()).toBe(0);
});

test("a client that leaves gives its slot back, also while it waits", async () => {
  const proxy = await start({ max: 1, queue: 5, wait: "4s" });
  const held = hold("m");
  const leaves = [new AbortController(), new AbortController()];
  const gone = leaves.map(({ signal }) =>
    proxy.post("/v1/chat/completions", body, { signal }).catch(() => undefined),
  );
  await until("one has arrived", () => held.length === 1);
  for (const leave of leaves) leave.abort();
  await Promise.all(gone);
  const next = proxy.post("/v1/chat/completions", body);
  await until("the next has arrived", () => held.length >= 2);
  for (const go of held) go();
  await until("all that is held is let go", async () => {
    for (const go of held) go();
    return (await Promise.race([next, new Promise((r) => setTimeout(r, 20))])) !== undefined;
  });
  expect((await next).status).toBe(200);
  expect(await proxy.stop()).toBe(0);
});
