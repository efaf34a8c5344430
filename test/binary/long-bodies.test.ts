import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:net";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, type Received, startUpstream } from "../harness/fake-upstream.ts";
import { clientKey, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { endless, normal, rateLimited, stale } from "../harness/scripts.ts";

const path = "/v1/chat/completions";
const auth = [["authorization", `Bearer ${clientKey}`]] as const;
const KiB = 1024;
const MiB = 1024 * KiB;

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  upstream = await startUpstream();
  proxy = await startProxy({
    config: {
      providers: {
        oai: {
          protocol: "openai",
          base_url: upstream.url,
          api_key: "key-one",
          models: ["m-long", "m-stale", "m-other", { name: "m-alias", upstream: "m-real-name" }],
        },
        two: {
          protocol: "openai",
          base_url: upstream.url,
          api_key: "key-two",
          models: ["m-other"],
        },
      },
    },
  });
});
afterAll(cleanUp);

/** A body of exactly so many bytes, no two pieces of which are alike. */
function bodyOf(model: string, bytes: number): string {
  const empty = JSON.stringify({ model, messages: [{ role: "user", content: "" }] });
  let text = "";
  for (let i = 0; text.length < bytes; i++) text += `${i}.`;
  return empty.replace('"content":""', `"content":"${text.slice(0, bytes - empty.length)}"`);
}

function digest(body: string | Uint8Array): string {
  return createHash("sha256").update(body).digest("hex");
}

function chunked(body: string): string {
  let wire = "";
  for (let at = 0; at < body.length; at += 100_000) {
    const piece = body.slice(at, at + 100_000);
    wire += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${wire}0\r\n\r\n`;
}

describe("a long body goes up byte for byte, by its length:", () => {
  const sizes = [128 * KiB, 128 * KiB + 1, MiB, MiB + 1, 3 * MiB + 17, 32 * MiB];
  test.each(sizes)(
    "%d bytes",
    async (bytes) => {
      const body = bodyOf("m-long", bytes);
      for (const request of [
        requestBytes("POST", path, auth, body),
        requestBytes("POST", path, [...auth, ["transfer-encoding", "chunked"]], chunked(body)),
      ]) {
        upstream.received.length = 0;
        const client = await openRaw(proxy.url);
        client.send(request);
        expect(await client.read((t) => t.includes("\r\n\r\n"))).toStartWith("HTTP/1.1 200");
        client.close();
        const [seen] = upstream.received as [Received];
        expect(seen.header("content-length")).toBe(String(bytes));
        expect(seen.header("transfer-encoding")).toBeUndefined();
        expect(digest(seen.body)).toBe(digest(body));
      }
    },
    20_000,
  );

  test("under another name of its model", async () => {
    const body = bodyOf("m-alias", 2 * MiB);
    expect((await proxy.post(path, body)).status).toBe(200);
    const [seen] = upstream.for("m-real-name");
    expect(digest(seen?.body ?? "")).toBe(digest(body.replace("m-alias", "m-real-name")));
  });
});

describe("a long body is sent again, whole,", () => {
  test.each(["reset", "end"] as const)("after a stale connection: %s", async (how) => {
    const body = bodyOf("m-stale", 2 * MiB);
    upstream.received.length = 0;
    upstream.queue(stale(how));
    expect((await proxy.post(path, body)).status).toBe(200);
    expect((await proxy.post(path, body)).status).toBe(200);
    const whole = upstream.for("m-stale").filter((r) => !r.dropped);
    expect(whole.map((r) => digest(r.body))).toEqual([digest(body), digest(body)]);
  });

  test("to the next provider", async () => {
    const body = bodyOf("m-other", 2 * MiB);
    upstream.queue(rateLimited("1"), normal());
    expect((await proxy.post(path, body)).status).toBe(200);
    const seen = upstream.for("m-other");
    expect(seen.map((r) => r.header("authorization"))).toEqual([
      "Bearer key-one",
      "Bearer key-two",
    ]);
    expect(seen.map((r) => digest(r.body))).toEqual([digest(body), digest(body)]);
  });
});

test("its memory is free while the answer still streams", async () => {
  upstream.on("m-long", endless(50));
  const body = bodyOf("m-long", 31 * MiB).replace("{", '{"stream":true,');
  // Two at a time fit into body_bytes_in_flight; all six stream at the end.
  const clients = [];
  for (let i = 0; i < 6; i++) {
    const client = await openRaw(proxy.url);
    client.send(requestBytes("POST", path, auth, body));
    expect(await client.read((t) => t.includes("data: "))).toStartWith("HTTP/1.1 200");
    clients.push(client);
  }
  for (const client of clients) client.vanish();
}, 20_000);

describe("a provider that answers before it has read all", () => {
  let server: Server;
  let early: RunningProxy;
  let answer = "";
  beforeAll(async () => {
    server = createServer((socket) => {
      let left = 0;
      socket.on("error", () => {});
      socket.on("data", (data: Buffer) => {
        for (let rest = data; rest.byteLength > 0; ) {
          if (left === 0) {
            const end = rest.indexOf("\r\n\r\n") + 4;
            left = Number(/content-length: (\d+)/i.exec(rest.toString("latin1", 0, end))?.[1]);
            rest = rest.subarray(end);
            // Answered at its head; the body is read later.
            socket.write(answer);
            socket.pause();
            setTimeout(() => socket.resume(), 50);
          }
          const taken = Math.min(left, rest.byteLength);
          left -= taken;
          rest = rest.subarray(taken);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onCleanup(() => server.close());
    const { port } = server.address() as { port: number };
    early = await startProxy({
      config: {
        providers: {
          oai: { protocol: "openai", base_url: `http://127.0.0.1:${port}`, api_key: "k" },
        },
      },
    });
  });

  const sizes = [MiB, 8 * MiB];
  test.each(sizes)("with an error: it is passed on, %d bytes", async (bytes) => {
    const error = '{"error":{"message":"too much for us"}}';
    const head = `HTTP/1.1 413 X\r\nContent-Type: application/json\r\nContent-Length: ${error.length}`;
    answer = `${head}\r\n\r\n${error}`;
    for (let i = 0; i < 5; i++) {
      const got = await early.post(path, bodyOf("m", bytes));
      expect([got.status, await got.text()]).toEqual([413, error]);
    }
    expect((await fetch(`${early.url}/healthz`)).status).toBe(200);
  });

  test.each(sizes)("with a stream: it is passed on, %d bytes", async (bytes) => {
    const event = "data: [DONE]\n\n";
    const head = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    answer = `${head}\r\n\r\n${event.length.toString(16)}\r\n${event}\r\n0\r\n\r\n`;
    for (let i = 0; i < 5; i++) {
      const got = await early.post(path, bodyOf("m", bytes).replace("{", '{"stream":true,'));
      expect([got.status, await got.text()]).toEqual([200, event]);
    }
    expect((await fetch(`${early.url}/healthz`)).status).toBe(200);
  });
});

test("ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
});
