import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, type RawClient, requestBytes } from "../harness/raw.ts";
import {
  endless,
  endMidStream,
  hangBeforeHead,
  hangMidStream,
  resetMidStream,
  truncated,
} from "../harness/scripts.ts";
import { sleep } from "../harness/wait.ts";
import { byRuntime } from "./targets.ts";

const paths = ["/v1/chat/completions", "/v1/messages"] as const;
const auth = [["authorization", `Bearer ${clientKey}`]] as const;

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

/** Long JSON in chunks, which breaks off; the head has gone out when it does. */
function brokenJson(how: "reset" | "close"): Script {
  return async (wire) => {
    const headers = { "content-type": "application/json", "transfer-encoding": "chunked" };
    await wire.head(200, headers);
    await wire.chunk(`{"x":"${"x".repeat(100_000)}`);
    await sleep(100);
    wire[how]();
  };
}

describe.each(byRuntime)("%s:", (runtime) => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startProxy({ runtime, config: { providers: providersOf(upstream.url) } });
  });

  async function ask(model: string, stream = true, path: string = paths[0]): Promise<RawClient> {
    const client = await openRaw(proxy.url);
    const body = JSON.stringify({ model, stream, max_tokens: 9, messages: [] });
    client.send(requestBytes("POST", path, auth, body));
    return client;
  }

  const breaks = [
    ["ends too early", truncated],
    ["is reset", resetMidStream],
    ["ends without its last chunk", endMidStream],
  ] as const;
  const broken = breaks.flatMap(([how, script]) =>
    paths.map((path) => [how, path, script] as const),
  );
  test.concurrent.each(broken)("a stream that %s is told in the dialect: %s", async (...one) => {
    const [how, path, script] = one;
    const model = `${runtime} ${how} ${path}`;
    upstream.on(model, script);
    const client = await ask(model, true, path);
    const text = await client.read((t) => t.endsWith("\r\n0\r\n\r\n"));
    client.close();
    // Whole for HTTP, so that the client reads the event; an error for the dialect.
    expect(text).toEndWith("\r\n0\r\n\r\n");
    expect(text).not.toMatch(/\[DONE\]|message_stop/);
    expect(text).toContain("ended its answer before it was complete");
    expect(text).toContain(path.endsWith("messages") ? "event: error\n" : '"upstream_truncated"');
  });

  const cuts = (["reset", "close"] as const).flatMap((how) =>
    (["1.1", "1.0"] as const).map((http) => [how, http] as const),
  );
  test.concurrent.each(cuts)("JSON that breaks off (%s) cuts HTTP/%s", async (how, http) => {
    const model = `${runtime} broken ${how} ${http}`;
    upstream.on(model, brokenJson(how));
    const client = await openRaw(proxy.url);
    const request = requestBytes("POST", paths[0], auth, JSON.stringify({ model, messages: [] }));
    client.send(request.replace("HTTP/1.1", `HTTP/${http}`));
    // Only a reset can't be taken for the end of a body that has neither length nor chunks.
    expect(await client.closed(3000)).toBe("reset");
    expect(client.text()).not.toEndWith("0\r\n\r\n");
    expect(client.text()).not.toContain("Error");
    client.close();
  });

  const leave = [
    ["by RST", (client: RawClient) => client.vanish()],
    ["by FIN", (client: RawClient) => client.socket.end()],
  ] as const;
  const phases = [
    ["before the head", hangBeforeHead],
    ["in a silent stream", hangMidStream],
    ["in a lively stream", endless(20)],
  ] as const;
  const leaves = phases.flatMap(([when, script]) =>
    leave.map(([how, go]) => [when, how, script, go] as const),
  );
  test.concurrent.each(leaves)("a client that leaves %s, %s, is gone upstream", async (...one) => {
    const [when, how, script, go] = one;
    const model = `${runtime} ${when} ${how}`;
    upstream.on(model, script);
    const client = await ask(model);
    const seen = await upstream.arrived(model);
    if (when !== "before the head") await client.read((t) => t.includes("data: "));
    await sleep(50);
    expect(seen.goneAtMs).toBeUndefined();
    const left = performance.now();
    go(client);
    await seen.gone(1000);
    expect((seen.goneAtMs ?? 0) - left).toBeLessThan(1000);
    client.close();
  });

  test("500 streams run at once, none waits for another", async () => {
    const model = `${runtime} 500`;
    upstream.on(model, hangMidStream);
    const clients = await Promise.all(Array.from({ length: 500 }, () => ask(model)));
    await upstream.arrived(model, 500, 4000);
    await Promise.all(clients.map((client) => client.read((t) => t.includes("data: "), 4000)));
    for (const client of clients) client.vanish();
  }, 10_000);

  test("ends with exit code 0, and nothing went wrong on the way", async () => {
    expect(await proxy.stop()).toBe(0);
    expect(proxy.stderr()).not.toMatch(/stray|escaped|request failed|\n\s+at /);
  });
});
