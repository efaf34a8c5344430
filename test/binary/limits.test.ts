/** Each limit of docs/limits.md at its value and one above, on the binary; bodies: streams.test. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { clientKey, providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { openRaw, type RawClient, requestBytes } from "../harness/raw.ts";
import { hangBeforeHead, hangMidStream } from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";

const path = "/v1/chat/completions";
const auth = [["authorization", `Bearer ${clientKey}`]] as const;
const messages = [{ role: "user", content: "hello" }];

let upstream: FakeUpstream;

function startWith(
  limits: Readonly<Record<string, unknown>>,
  timeout: Readonly<Record<string, string>> = {},
): Promise<RunningProxy> {
  const { oai } = providersOf(upstream.url);
  return startProxy({ config: { providers: { oai: { ...oai, timeout } }, server: { limits } } });
}

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(cleanUp);

/** A call whose body has exactly so many bytes. */
function bodyOf(model: string, bytes: number, stream = false): string {
  const empty = JSON.stringify({ model, stream, messages, x: "" });
  return empty.replace('"x":""', `"x":"${"a".repeat(bytes - empty.length)}"`);
}

async function statusOf(proxy: RunningProxy, request: string, pieces = 1): Promise<string> {
  const client = await openRaw(proxy.url);
  const size = Math.ceil(request.length / pieces);
  for (let at = 0; at < request.length; at += size) {
    client.send(request.slice(at, at + size));
    if (pieces > 1) await sleep(5);
  }
  const text = await client.read((t) => t.includes("\r\n\r\n"));
  client.close();
  return text.slice(9, 12);
}

describe("headers, by the runtime's parser", () => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startWith({});
  });

  const start = "GET /v1/models HTTP/1.1\r\n";
  const fields = [["Host", "127.0.0.1"], ...auth].map(([n, v]) => `${n}: ${v}\r\n`).join("");
  /** A head of exactly so many bytes, from the first of its line to the last line end. */
  const inOneField = (bytes: number): string =>
    `${start}${fields}X: ${"a".repeat(bytes - start.length - fields.length - 7)}\r\n\r\n`;
  const inTarget = (bytes: number): string =>
    `${start.replace("models", `models?${"a".repeat(bytes - start.length - fields.length - 3)}`)}${fields}\r\n`;
  const ofFields = (count: number): string =>
    `${start}${fields}${Array.from({ length: count - 2 }, (_, i) => `X${i}: a\r\n`).join("")}\r\n`;

  const cases: readonly (readonly [name: string, head: string, status: string])[] = [
    ["16 KiB in one field", inOneField(16_384), "200"],
    ["16 KiB and a byte in one field", inOneField(16_385), "431"],
    ["16 KiB by the target", inTarget(16_384), "200"],
    ["16 KiB and a byte by the target", inTarget(16_385), "431"],
    ["198 fields", ofFields(198), "200"],
    ["199 fields", ofFields(199), "431"],
  ];
  test.each(cases)("%s", async (_name, head, status) => {
    expect(await statusOf(proxy, head)).toBe(status);
    expect(await statusOf(proxy, head, 5)).toBe(status);
  });
});

describe("body_bytes_in_flight", () => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startWith({ body_bytes: 2000, body_bytes_in_flight: 5000 });
  });

  const post = (bytes: number) =>
    statusOf(proxy, requestBytes("POST", path, auth, bodyOf("m", bytes)));
  const room = (bytes: number) =>
    until(`room for ${bytes}`, async () => (await post(bytes)) === "200");

  const holders: readonly (readonly [name: string, script: Script, stream: boolean])[] = [
    ["while the provider is silent", hangBeforeHead, false],
    ["while the answer streams, since the runtime keeps a short body", hangMidStream, true],
  ];
  test.each(holders)("%s", async (name, script, stream) => {
    upstream.on(name, script);
    const clients: RawClient[] = [];
    for (let i = 0; i < 2; i++) {
      const client = await openRaw(proxy.url);
      client.send(requestBytes("POST", path, auth, bodyOf(name, 2000, stream)));
      clients.push(client);
    }
    await upstream.arrived(name, 2);
    expect(await post(1000)).toBe("200");
    expect(await post(1001)).toBe("503");
    for (const client of clients) client.vanish();
    await room(2000);
  });

  test("while a body is on its way, whether it says its length or not", async () => {
    const one = await openRaw(proxy.url);
    one.send(requestBytes("POST", path, [...auth, ["content-length", "1999"]]));
    const two = await openRaw(proxy.url);
    two.send(requestBytes("POST", path, [...auth, ["transfer-encoding", "chunked"]], "1\r\n{\r\n"));
    await until("both are reserved", async () => (await post(1002)) === "503");
    expect(await post(1001)).toBe("200");
    one.vanish();
    two.vanish();
    await room(2000);
  });

  test("lengths that are no number don't switch it off", async () => {
    for (const length of ["5, 5", "9, 9"]) {
      const twice = length.split(", ").map((n) => ["content-length", n] as const);
      expect(await statusOf(proxy, requestBytes("POST", path, [...auth, ...twice], "{}"))).toBe(
        "400",
      );
    }
    const client = await openRaw(proxy.url);
    client.send(requestBytes("POST", path, [...auth, ["content-length", "2000"]]));
    const other = await openRaw(proxy.url);
    other.send(requestBytes("POST", path, [...auth, ["content-length", "2000"]]));
    await until("no room for more", async () => (await post(1001)) === "503");
    client.vanish();
    other.vanish();
    await room(2000);
  });
});

describe("body_timeout", () => {
  test("a body that takes less is served, one that takes more is refused", async () => {
    const proxy = await startWith({ body_timeout: "1200ms" });
    const request = requestBytes("POST", path, auth, bodyOf("m", 1000));
    const head = request.slice(0, request.indexOf("\r\n\r\n") + 4);
    const ask = async (afterMs: number): Promise<string> => {
      const client = await openRaw(proxy.url);
      client.send(head);
      await sleep(afterMs);
      client.send(request.slice(head.length));
      const text = await client.read((t) => t.includes("\r\n\r\n"));
      client.close();
      return text.slice(9, 12);
    };
    expect(await Promise.all([ask(600), ask(1600)])).toEqual(["200", "408"]);
  });
});

describe("stream_idle", () => {
  /** Silent once, so long, in the middle of a stream. */
  const pause =
    (ms: number): Script =>
    async (wire) => {
      await wire.stream();
      await wire.chunk('data: {"a":1}\n\n');
      await sleep(ms);
      await wire.chunk("data: [DONE]\n\n");
      await wire.endChunks();
    };
  const ask = async (proxy: RunningProxy, model: string): Promise<boolean> => {
    const answer = await proxy.post(path, { model, stream: true, messages });
    return (await answer.text()).includes("[DONE]");
  };

  test("is the limit of every provider that names none", async () => {
    upstream.on("m-short", pause(400)).on("m-long", pause(1500));
    const [plain, own] = await Promise.all([
      startWith({ stream_idle: "900ms" }),
      startWith({ stream_idle: "900ms" }, { idle: "10s" }),
    ]);
    expect(await Promise.all([ask(plain, "m-short"), ask(plain, "m-long")])).toEqual([true, false]);
    expect(await Promise.all([ask(own, "m-short"), ask(own, "m-long")])).toEqual([true, true]);
  });
});

describe("write_stall", () => {
  test("a client that reads now and then is served whole", async () => {
    const proxy = await startWith({ write_stall: "1500ms" });
    const line = `data: {"x":"${"x".repeat(64_000)}"}\n\n`;
    upstream.on("m-flood", async (wire) => {
      await wire.stream();
      for (let i = 0; i < 400 && wire.isOpen; i++) await wire.chunk(line);
      await wire.chunk("data: [DONE]\n\n");
      await wire.endChunks();
    });
    const client = await openRaw(proxy.url);
    client.send(requestBytes("POST", path, auth, bodyOf("m-flood", 1000, true)));
    for (let i = 0; i < 5; i++) {
      client.socket.pause();
      await sleep(400);
      client.socket.resume();
      await sleep(20);
    }
    const end = (): boolean => Buffer.from(client.bytes().slice(-20)).includes("\r\n0\r\n\r\n");
    await until("the whole has come", end, 8000);
    expect(Buffer.from(client.bytes()).includes("[DONE]")).toBe(true);
    client.close();
  }, 15_000);
});
