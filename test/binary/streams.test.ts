import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
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
  errorAfterStart,
  hangBeforeHead,
  hangInWhole,
  hangMidStream,
  resetMidStream,
  truncated,
  truncatedAs,
  truncatedInLine,
} from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";

const messages = [{ role: "user", content: "hello" }];
const auth = [["authorization", `Bearer ${clientKey}`]] as const;
const paths = ["/v1/chat/completions", "/v1/messages"] as const;

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
});
afterAll(cleanUp);

function requestFor(model: string, stream: boolean, path: string = paths[0]): string {
  return requestBytes(
    "POST",
    path,
    auth,
    JSON.stringify({ model, stream, max_tokens: 9, messages }),
  );
}

async function openStream(where: RunningProxy, model: string, path?: string): Promise<RawClient> {
  const client = await openRaw(where.url);
  client.send(requestFor(model, true, path));
  return client;
}

function rssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

describe("a stream that the provider breaks is told in the dialect, and never looks complete:", () => {
  const breaks = [
    ["ends without its terminal event", truncated],
    ["ends so, its type in capitals", truncatedAs("Text/Event-Stream")],
    ["ends so, its type with a space", truncatedAs("TEXT/event-stream ; charset=UTF-8")],
    ["ends in a line", truncatedInLine],
    ["is reset", resetMidStream],
    ["ends without its last chunk", endMidStream],
  ] as const;
  const all = breaks.flatMap(([name, script]) =>
    paths.map((path) => [name, path, script] as const),
  );
  test.concurrent.each(all)("%s, %s", async (name, path, script) => {
    const model = `${name} ${path}`;
    upstream.on(model, script);
    const client = await openStream(proxy, model, path);
    const text = await client.read((t) => t.endsWith("\r\n0\r\n\r\n"));
    client.close();
    // Whole for HTTP, so that the client reads the event; an error for the dialect.
    expect(text).toEndWith("\r\n0\r\n\r\n");
    expect(text).not.toContain("[DONE]");
    expect(text).not.toContain("message_stop");
    expect(text).toContain("ended its answer before it was complete");
    if (path.endsWith("messages")) expect(text).toContain("event: error\n");
    else expect(text).toContain('"code":"upstream_truncated"');
  });

  test.concurrent.each(paths)(
    "the provider's own error goes through as it is: %s",
    async (path) => {
      const model = `own error ${path}`;
      upstream.on(model, errorAfterStart);
      const client = await openStream(proxy, model, path);
      const text = await client.read((t) => t.endsWith("\r\n0\r\n\r\n"));
      client.close();
      expect(text).toContain("the fake upstream is overloaded");
      expect(text).not.toContain("upstream_truncated");
      expect(text.match(/"error"/g)?.length).toBe(path.endsWith("messages") ? 2 : 1);
    },
  );
});

describe("a client that leaves is gone upstream within a second:", () => {
  const leave = [
    ["by RST", (client: RawClient) => client.vanish()],
    ["by FIN", (client: RawClient) => client.socket.end()],
  ] as const;
  const phases = [
    ["before the head", hangBeforeHead, true],
    ["in a silent stream", hangMidStream, true],
    ["in a lively stream", endless(20), true],
    ["in a whole reply", hangInWhole, false],
  ] as const;
  const all = phases.flatMap(([phase, script, stream]) =>
    leave.map(([how, go]) => [phase, how, script, stream, go] as const),
  );
  test.concurrent.each(all)("%s, %s", async (phase, how, script, stream, go) => {
    const model = `${phase} ${how}`;
    upstream.on(model, script);
    const client = await openRaw(proxy.url);
    client.send(requestFor(model, stream));
    const seen = await upstream.arrived(model);
    await sleep(50);
    expect(seen.goneAtMs).toBeUndefined();
    const left = performance.now();
    go(client);
    await seen.gone(1000);
    expect((seen.goneAtMs ?? 0) - left).toBeLessThan(1000);
    client.close();
  });

  test("while the request is still being sent: nothing goes upstream", async () => {
    const client = await openRaw(proxy.url);
    const all = requestFor("m-half", true);
    client.send(all.slice(0, -10));
    await sleep(50);
    client.vanish();
    await sleep(100);
    expect(upstream.for("m-half")).toEqual([]);
  });
});

describe("many", () => {
  test("300 slow streams are all opened at once, beyond the runtime's cap of 256", async () => {
    upstream.on("m-300", hangMidStream);
    for (const args of [
      undefined,
      (dir: string) => ["--config", `${dir}/config.yaml`, "serve", "--json"],
    ]) {
      const config = { providers: providersOf(upstream.url) };
      const mine = await startProxy({ config, ...(args && { args }) });
      const before = upstream.for("m-300").length;
      const clients = await Promise.all(
        Array.from({ length: 300 }, () => openStream(mine, "m-300")),
      );
      await upstream.arrived("m-300", before + 300, 3000);
      await Promise.all(clients.map((c) => c.read((t) => t.includes("data: "), 3000)));
      for (const client of clients) client.vanish();
      await mine.stop();
    }
  });

  test("500 clients vanish mid-stream: alive, cancelled upstream, memory flat", async () => {
    upstream.on("m-500", endless(50, 200));
    const sizes: number[] = [];
    for (let round = 0; round < 3; round++) {
      const before = upstream.for("m-500").length;
      const clients = await Promise.all(
        Array.from({ length: 500 }, () => openStream(proxy, "m-500")),
      );
      await upstream.arrived("m-500", before + 500, 5000);
      await Promise.all(clients.map((c) => c.read((t) => t.includes("tick"), 5000)));
      for (const client of clients) client.vanish();
      const mine = upstream.for("m-500").slice(before);
      await until("all are gone upstream", () => mine.every((r) => r.goneAtMs !== undefined), 3000);
      const answer = await proxy.post(paths[0], { model: "m-after", messages });
      expect(answer.status).toBe(200);
      await answer.text();
      await sleep(100);
      sizes.push(rssOf(proxy.pid));
    }
    const [first = 0, , last = 0] = sizes;
    expect(last - first).toBeLessThan(30_000_000);
  }, 20_000);
});

describe("a client that doesn't read", () => {
  test("bounds what is read for it, and is cut after write_stall", async () => {
    const config = {
      providers: providersOf(upstream.url),
      server: { limits: { write_stall: "800ms" } },
    };
    const mine = await startProxy({ config });
    const line = `data: {"x":"${"x".repeat(64_000)}"}\n\n`;
    let sent = 0;
    upstream.on("m-flood", async (wire) => {
      await wire.stream();
      while (wire.isOpen && sent < 300_000_000) {
        await Promise.race([wire.chunk(line), sleep(3000)]);
        sent += line.length;
      }
    });
    const client = await openStream(mine, "m-flood");
    await client.read((t) => t.includes("data: "));
    const before = rssOf(mine.pid);
    client.socket.pause();
    const seen = await upstream.arrived("m-flood");
    await seen.gone(4000);
    expect(sent).toBeLessThan(60_000_000);
    expect(rssOf(mine.pid) - before).toBeLessThan(60_000_000);
    client.close();
    expect(await mine.stop()).toBe(0);
  });
});

describe("limits on bodies", () => {
  let limited: RunningProxy;
  beforeAll(async () => {
    limited = await startProxy({
      config: {
        providers: providersOf(upstream.url),
        server: {
          limits: {
            body_bytes: 2000,
            body_bytes_in_flight: 5000,
            body_timeout: "500ms",
            concurrent_requests: 8,
          },
        },
      },
    });
  });

  function bodyOf(bytes: number): string {
    const empty = JSON.stringify({ model: "m-size", messages, x: "" });
    return empty.replace('"x":""', `"x":"${"a".repeat(bytes - empty.length)}"`);
  }

  function chunkedRequest(body: string): string {
    const headers = [...auth, ["transfer-encoding", "chunked"]] as const;
    const half = body.length >> 1;
    const chunks = [body.slice(0, half), body.slice(half)]
      .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
      .join("");
    return requestBytes("POST", paths[0], headers, `${chunks}0\r\n\r\n`);
  }

  const sizes: readonly (readonly [bytes: number, status: number])[] = [
    [2000, 200],
    [2001, 413],
  ];
  test.each(sizes)("%d bytes: %d, with a length and in chunks", async (bytes, status) => {
    const body = bodyOf(bytes);
    for (const request of [requestBytes("POST", paths[0], auth, body), chunkedRequest(body)]) {
      const client = await openRaw(limited.url);
      client.send(request);
      expect(await client.read((t) => t.includes("\r\n\r\n"))).toStartWith(`HTTP/1.1 ${status}`);
      client.close();
    }
  });

  test("too large by its length: answered before it is sent", async () => {
    const client = await openRaw(limited.url);
    client.send(requestBytes("POST", paths[0], [...auth, ["content-length", "999999"]]));
    expect(await client.read((t) => t.includes("\r\n\r\n"), 400)).toStartWith("HTTP/1.1 413");
    client.close();
  });

  test("a body that drips is ended by body_timeout", async () => {
    for (const framing of [
      ["content-length", "100"],
      ["transfer-encoding", "chunked"],
    ] as const) {
      const client = await openRaw(limited.url);
      const started = performance.now();
      client.send(requestBytes("POST", paths[0], [...auth, framing]));
      const text = await client.read((t) => t.includes("\r\n\r\n"), 2000);
      expect(text).toStartWith("HTTP/1.1 408");
      expect(performance.now() - started).toBeWithin(450, 1000);
      client.close();
    }
  });

  test("bytes in flight are shared, and given back", async () => {
    const waiting = await Promise.all([1, 2].map(() => openRaw(limited.url)));
    for (const client of waiting) {
      client.send(requestBytes("POST", paths[0], [...auth, ["content-length", "2000"]]));
    }
    await sleep(50);
    const full = await limited.post(paths[0], bodyOf(1500));
    expect(full.status).toBe(503);
    expect(full.headers.get("retry-after")).toBe("1");
    for (const client of waiting) client.vanish();
    await sleep(100);
    expect((await limited.post(paths[0], bodyOf(1500))).status).toBe(200);
  });

  test("concurrent requests: eight run, the ninth is refused", async () => {
    upstream.on("m-slots", hangMidStream);
    const clients = await Promise.all(
      Array.from({ length: 8 }, () => openStream(limited, "m-slots")),
    );
    await upstream.arrived("m-slots", 8);
    const ninth = await limited.post(paths[0], { model: "m", messages });
    expect(ninth.status).toBe(503);
    expect(await ninth.text()).toContain("overloaded");
    clients[0]?.vanish();
    // Which of the eight requests is that client's, nobody can tell.
    const isOneGone = () => upstream.for("m-slots").some((r) => r.goneAtMs !== undefined);
    await until("one is gone upstream", isOneGone);
    await until("a slot is free", async () => {
      const answer = await limited.post(paths[0], { model: "m", messages });
      return answer.status === 200;
    });
    for (const client of clients) client.vanish();
  });
});

test("ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
});
