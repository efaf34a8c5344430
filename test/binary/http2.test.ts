import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { makeSelfSigned } from "../../src/kit/self-signed.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { curl } from "../harness/handshake.ts";
import {
  clientKey,
  configOf,
  makeDir,
  needBinary,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

let files: { readonly cert_file: string; readonly key_file: string };
let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  const dir = makeDir();
  const { cert, key } = await makeSelfSigned(["localhost", "127.0.0.1"], 9, Date.now());
  files = { cert_file: join(dir, "tls.crt"), key_file: join(dir, "tls.key") };
  writeFileSync(files.cert_file, cert);
  writeFileSync(files.key_file, key, { mode: 0o600 });
  upstream = await startUpstream();
  proxy = await start(true);
});
afterAll(cleanUp);

function start(http2: boolean): Promise<RunningProxy> {
  const one = { protocol: "openai-compatible", base_url: upstream.url, models: ["m"] };
  return startProxy({
    config: {
      server: { tls: { enabled: true, http2, ...files } },
      providers: { sandbox: {}, one },
    },
  });
}

const bearer = `Bearer ${clientKey}`;
const chat = (stream: boolean, model = "sandbox-echo", words = 3): string =>
  JSON.stringify({
    ...{ model, stream },
    messages: [{ role: "user", content: "word ".repeat(words) }],
  });
const version = ["-k", "-o", "/dev/null", "-w", "%{http_version}"];

test("is spoken where it is set, and else never", async () => {
  expect(await curl(`${proxy.url}/healthz`, "--http2", ...version)).toBe("2");
  expect(await curl(`${proxy.url}/healthz`, "--http1.1", ...version)).toBe("1.1");
  const without = await start(false);
  expect(await curl(`${without.url}/healthz`, "--http2", ...version)).toBe("1.1");
  await without.stop();
});

test.each([false, true])("a call, streamed %p, with the client's address", async (stream) => {
  const words = ["-k", "--http2", "-H", `Authorization: ${bearer}`, "-d", chat(stream)];
  const told = await curl(`${proxy.url}/v1/chat/completions`, ...words);
  expect(told).toContain(stream ? "data: [DONE]" : '"object":"chat.completion"');
  expect(await curl(`${proxy.url}/v1/models`, "-k", "--http2")).toContain("No valid client key");
});

function open(url = proxy.url): ClientHttp2Session {
  const session = connect(url, { rejectUnauthorized: false, maxSendHeaderBlockLength: 2 ** 24 });
  session.on("error", () => {});
  return session;
}

/** The status of an answer, or the code of the error that came instead. */
function ask(headers: Record<string, string | string[]>, body?: string): Promise<number | string> {
  return new Promise((resolve) => {
    const session = open();
    const end = (told: number | string): void => {
      resolve(told);
      session.destroy();
    };
    session.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? "error"));
    session.on("close", () => end("closed"));
    const stream = session.request(headers, { endStream: body === undefined });
    stream.on("response", (head) => end(head[":status"] ?? 0));
    stream.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? "error"));
    if (body !== undefined) stream.end(body);
  });
}

describe("what could be read in two ways, or is without bounds, is refused:", () => {
  const post = {
    ":method": "POST",
    ":path": "/v1/chat/completions",
    authorization: bearer,
    "content-type": "application/json",
  };
  const body = chat(false);
  const cases: readonly (readonly [string, Record<string, string | string[]>, string?])[] = [
    ["20 KB of headers", { ...post, "x-big": "a".repeat(20_000) }, body],
    ["1 MB of headers", { ...post, "x-big": "a".repeat(1_000_000) }, body],
    ["a length that is too short", { ...post, "content-length": "3" }, body],
    ["a length that is too long", { ...post, "content-length": "9999" }, body],
    ["a host beside another authority", { ...post, ":authority": "a.test", host: "b.test" }, body],
    ["a path with a space", { ...post, ":path": "/v1/models HTTP/1.1" }, body],
    ["a line break in a value", { ...post, "x-a": "b\r\nx-c: d" }, body],
  ];
  test.each(cases)("%s", async (_name, headers, text) => {
    let told: number | string;
    try {
      told = await ask(headers, text);
    } catch (error) {
      told = (error as NodeJS.ErrnoException).code ?? "refused by the client itself";
    }
    expect(told).not.toBe(200);
    expect(await ask(post, body)).toBe(200);
  });

  test("frames of HTTP/1.1 after the preface end the connection", async () => {
    const { hostname, port } = new URL(proxy.url);
    const got: Buffer[] = [];
    const socket = connectTls({
      ...{ host: hostname, port: Number(port), rejectUnauthorized: false },
      ALPNProtocols: ["h2"],
    });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("data", (bytes: Buffer) => void got.push(bytes)).on("error", () => {});
    socket.write(
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    await closed;
    expect(Buffer.concat(got).toString("latin1")).not.toContain('"status"');
  });
});

test("rapid reset: the attacker's work is not ours, and others are served", async () => {
  const before = upstream.received.length;
  upstream.on("m", async (wire) => {
    await wire.stream({ "content-type": "text/event-stream" });
  });
  const session = open();
  const headers = {
    ":method": "POST",
    ":path": "/v1/chat/completions",
    authorization: bearer,
    "content-type": "application/json",
  };
  let sent = 0;
  for (; sent < 20_000 && !session.closed && !session.destroyed; sent++) {
    const stream = session.request(headers);
    stream.on("error", () => {});
    stream.end(chat(true, "m"));
    stream.close(constants.NGHTTP2_CANCEL);
    if (sent % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await curl(`${proxy.url}/healthz`, "-k", "-m", "3")).toContain("ok");
  // The listener ends a session that resets a thousand streams; no more than those went up.
  expect(sent).toBeLessThan(20_000);
  expect(upstream.received.length - before).toBeLessThan(1500);
  session.destroy();
  await until("all upstream is given up", () => upstream.openSockets <= 1, 10_000);
});

test("a client that leaves ends its request upstream", async () => {
  upstream.on("m", async (wire) => {
    await wire.stream({ "content-type": "text/event-stream" });
    await wire.chunk("data: {}\n\n");
  });
  const session = open();
  const stream = session.request({
    ...{ ":method": "POST", ":path": "/v1/chat/completions", authorization: bearer },
    "content-type": "application/json",
  });
  stream.on("error", () => {});
  stream.end(chat(true, "m"));
  await new Promise((resolve) => stream.once("data", resolve));
  const held = upstream.openSockets;
  expect(held).toBeGreaterThan(0);
  stream.close(constants.NGHTTP2_CANCEL);
  await until("its request has ended", () => upstream.openSockets < held, 3000);
  session.destroy();
});

test("on Node and Deno it is a start-up error", async () => {
  const dir = makeDir();
  const file = join(dir, "config.yaml");
  const server = { tls: { enabled: true, http2: true, ...files } };
  writeFileSync(file, JSON.stringify(configOf(dir, { server })));
  for (const runtime of ["node", "deno"] as const) {
    const { code, err } = await runBinary(["check", "--config", file], { runtime });
    expect(code).toBe(78);
    expect(err).toContain("server.tls.http2");
  }
});

test("ends in order: a stream that runs is finished first", async () => {
  const own = await start(true);
  const session = open(own.url);
  const stream = session.request({
    ...{ ":method": "POST", ":path": "/v1/chat/completions", authorization: bearer },
    "content-type": "application/json",
  });
  let text = "";
  stream.on("error", () => {});
  stream.end(chat(true, "sandbox-echo", 1500));
  const done = new Promise((resolve) => stream.on("close", resolve));
  await new Promise<void>((resolve) => {
    stream.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      resolve();
    });
  });
  const stopped = own.stop();
  await done;
  expect(text).toEndWith("data: [DONE]\n\n");
  session.destroy();
  expect(await stopped).toBe(0);
});
