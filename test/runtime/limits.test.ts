import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { sleep, until } from "../harness/wait.ts";
import { byRuntime } from "./targets.ts";

const path = "/v1/chat/completions";
const auth = [["authorization", `Bearer ${clientKey}`]] as const;
const replyBytes = 64 * 1024 * 1024;

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

function rssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** A reply of 64 MiB; `sent` counts what the kernel has taken. */
function flood(count: { sent: number }): Script {
  const part = Buffer.alloc(64 * 1024, "x");
  return async (wire) => {
    await wire.head(200, {
      "content-type": "application/json",
      "content-length": String(replyBytes),
    });
    while (wire.isOpen && count.sent < replyBytes) {
      const next = Buffer.from(part);
      // A list, as far as one can tell from its ends.
      if (count.sent === 0) next.write("[");
      count.sent += part.byteLength;
      if (count.sent >= replyBytes) next.write("]", next.byteLength - 1);
      await wire.raw(next);
    }
  };
}

describe.each(byRuntime)("%s:", (runtime) => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    const limits = {
      ...{ body_bytes: 2000, body_bytes_in_flight: 50_000, body_timeout: "500ms" },
      write_stall: "2s",
    };
    const config = { providers: providersOf(upstream.url), server: { limits } };
    proxy = await startProxy({ runtime, config });
  });

  function bodyOf(bytes: number): string {
    const empty = JSON.stringify({ model: "m-size", messages: [], x: "" });
    return empty.replace('"x":""', `"x":"${"a".repeat(bytes - empty.length)}"`);
  }

  function inChunks(body: string): string {
    const half = body.length >> 1;
    const chunks = [body.slice(0, half), body.slice(half)].map(
      (part) => `${part.length.toString(16)}\r\n${part}\r\n`,
    );
    const headers = [...auth, ["transfer-encoding", "chunked"]] as const;
    return requestBytes("POST", path, headers, `${chunks.join("")}0\r\n\r\n`);
  }

  test.each([
    [2000, 200],
    [2001, 413],
  ])("a body of %d bytes: %d, by its length and in chunks", async (bytes, status) => {
    const body = bodyOf(bytes);
    for (const request of [requestBytes("POST", path, auth, body), inChunks(body)]) {
      const client = await openRaw(proxy.url);
      client.send(request);
      const text = await client.read((t) => t.includes("\r\n\r\n"), 2000);
      expect(text).toStartWith(`HTTP/1.1 ${status}`);
      client.close();
    }
  });

  test("a body too long by its length is refused before it is sent", async () => {
    const client = await openRaw(proxy.url);
    client.send(requestBytes("POST", path, [...auth, ["content-length", "999999"]]));
    const text = await client.read((t) => t.includes("\r\n\r\n"), 2000);
    expect(text).toStartWith("HTTP/1.1 413");
    client.close();
  });

  test.each([
    ["content-length", "100"],
    ["transfer-encoding", "chunked"],
  ] as const)("a body that does not come is ended by body_timeout: %s", async (name, value) => {
    const client = await openRaw(proxy.url);
    const started = performance.now();
    client.send(requestBytes("POST", path, [...auth, [name, value]]));
    const text = await client.read((t) => t.includes("\r\n\r\n"), 3000);
    expect(text).toStartWith("HTTP/1.1 408");
    expect(performance.now() - started).toBeWithin(400, 3000);
    client.close();
  });

  test("a client that pauses holds the provider back, and then gets every byte", async () => {
    const count = { sent: 0 };
    const model = `${runtime} pause`;
    upstream.on(model, flood(count));
    const before = rssOf(proxy.pid);
    const client = await openRaw(proxy.url);
    client.send(requestBytes("POST", path, auth, JSON.stringify({ model, messages: [] })));
    await client.read((t) => t.includes("xxx"));
    client.socket.pause();
    await until("the provider waits", async () => {
      const { sent } = count;
      await sleep(200);
      return sent === count.sent;
    });
    expect(count.sent).toBeLessThan(replyBytes / 2);
    expect(rssOf(proxy.pid) - before).toBeLessThan(48 * 1024 * 1024);
    client.socket.removeAllListeners("data");
    let got = client.bytes().byteLength;
    client.socket.on("data", (data: Buffer) => {
      got += data.byteLength;
    });
    client.socket.resume();
    await until("the whole reply", () => got > replyBytes, 10_000);
    client.close();
  }, 15_000);

  test("a client that does not read is cut after write_stall", async () => {
    const count = { sent: 0 };
    const model = `${runtime} stall`;
    upstream.on(model, flood(count));
    const client = await openRaw(proxy.url);
    client.send(requestBytes("POST", path, auth, JSON.stringify({ model, messages: [] })));
    await client.read((t) => t.includes("xxx"));
    client.socket.pause();
    const seen = await upstream.arrived(model);
    await seen.gone(6000);
    expect(count.sent).toBeLessThan(replyBytes / 2);
    client.socket.resume();
    expect(await client.closed(3000)).toBe("reset");
    expect(client.bytes().byteLength).toBeLessThan(replyBytes);
    client.close();
  }, 15_000);
});
