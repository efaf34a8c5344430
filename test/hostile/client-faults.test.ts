/** Section G: clients that go, stall or say more than they should, at every phase. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { openRaw, type RawClient } from "../harness/raw.ts";
import { endless, hangBeforeHead, hangMidStream, normal } from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";
import { fdsOf, memoryOf } from "./process-facts.ts";
import { splitReplies } from "./replies.ts";
import { call, chat, head, hidden, host, key, ownModel } from "./wire-case.ts";

const MiB = 1024 * 1024;

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
});
afterAll(cleanUp);

async function isAlive(): Promise<void> {
  const answer = await proxy.get("/v1/models");
  expect(answer.status).toBe(200);
  await answer.text();
}

describe("vanishes", () => {
  const whole = (id: string): string => call(id);
  const upTo =
    (mark: string, more = 0) =>
    (id: string) =>
      call(id).slice(0, call(id).indexOf(mark) + more);
  const phases: readonly (readonly [
    phase: string,
    bytes: (id: string) => string,
    script: Script,
    upstream: 0 | 1,
  ])[] = [
    ["before a byte", () => "", normal(), 0],
    ["in the method", () => "PO", normal(), 0],
    ["in the target", () => `POST ${chat.slice(0, 5)}`, normal(), 0],
    ["after the first line", upTo("\r\n", 2), normal(), 0],
    ["in a field", upTo("Authorization", 8), normal(), 0],
    ["before the end of the head", upTo("\r\n\r\n", 2), normal(), 0],
    ["after the head", upTo("\r\n\r\n", 4), normal(), 0],
    ["in the body", upTo("\r\n\r\n", 20), normal(), 0],
    ["one byte before the end", (id) => call(id).slice(0, -1), normal(), 0],
    [
      "in a chunked body",
      (id) =>
        head(`POST ${chat} HTTP/1.1`, [host, key, "Transfer-Encoding: chunked"], `ff\r\n${id}`),
      normal(),
      0,
    ],
    ["after the request", whole, hangBeforeHead, 1],
    ["after the head of the answer", whole, hangMidStream, 1],
    ["in a lively answer", whole, endless(10), 1],
  ];
  const ways: readonly (readonly [how: string, go: (client: RawClient) => unknown])[] = [
    ["by RST", (client) => client.vanish()],
    ["by FIN", (client) => client.socket.end()],
  ];
  const all = phases.flatMap(([phase, bytes, script, most]) =>
    ways.map(([how, go]) => [phase, how, bytes, script, most, go] as const),
  );
  test.concurrent.each(all)("%s, %s", async (phase, how, bytes, script, most, go) => {
    const id = `${phase} ${how}`;
    upstream.on(ownModel(id), script);
    const client = await openRaw(proxy.url);
    client.send(bytes(id));
    if (most === 1) {
      const seen = await upstream.arrived(ownModel(id));
      go(client);
      await seen.gone(1500);
    } else {
      await sleep(30);
      go(client);
      await sleep(50);
    }
    client.close();
    expect(upstream.for(ownModel(id)).length).toBe(most);
    await isAlive();
  });

  test("a thousand times without a byte", async () => {
    const before = fdsOf(proxy.pid) - upstream.openSockets;
    for (let round = 0; round < 10; round++) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => openRaw(proxy.url)));
      for (const [i, client] of clients.entries()) i % 2 === 0 ? client.vanish() : client.close();
    }
    await until("all are closed", () => fdsOf(proxy.pid) - upstream.openSockets <= before + 3);
    await isAlive();
  });
});

describe("goes on sending a body that was refused", () => {
  const refusals: readonly (readonly [name: string, lines: readonly string[], status: number])[] = [
    ["too large", [host, key], 413],
    ["no key", [host], 401],
    ["foreign Host", ["Host: evil.example", key], 403],
    ["compressed", [host, key, "Content-Encoding: gzip"], 415],
  ];
  test.each(refusals)(
    "%s: answered at once, the rest is read and forgotten",
    async (name, lines, status) => {
      const bytes = 200 * MiB;
      const block = Buffer.alloc(MiB, hidden(name));
      const client = await openRaw(proxy.url);
      client.send(head(`POST ${chat} HTTP/1.1`, [...lines, `Content-Length: ${bytes}`]));
      expect(await client.read((t) => t.includes("\r\n\r\n"))).toStartWith(`HTTP/1.1 ${status}`);
      const before = memoryOf(proxy.pid, "RssAnon");
      let most = 0;
      for (let sent = 0; sent < bytes; sent += MiB) {
        await new Promise<void>((resolve) => client.socket.write(block, () => resolve()));
        most = Math.max(most, memoryOf(proxy.pid, "RssAnon"));
      }
      // Not a byte of it was taken for a request, and the next request on the connection is one.
      client.send(head("GET /healthz HTTP/1.1", [host]));
      const text = await client.read((t) => t.includes('{"status":"ok"}'));
      expect(splitReplies(text).replies.map((reply) => reply.status)).toEqual([status, 200]);
      expect(upstream.received.filter((r) => r.text.includes("hidden-"))).toEqual([]);
      expect(most - before).toBeLessThan(32 * MiB);
      client.close();
    },
    20_000,
  );
});

describe("says too much at once", () => {
  test("two thousand requests in one write are answered in order", async () => {
    const client = await openRaw(proxy.url);
    client.send(head("GET /healthz HTTP/1.1", [host]).repeat(2000));
    await until("all answers", () => (client.text().match(/"ok"/g) ?? []).length === 2000);
    expect(splitReplies(client.text())).toMatchObject({ rest: "", replies: { length: 2000 } });
    client.close();
    await isAlive();
  });

  test("calls in one write: each goes up at most once, and none of them is answered twice", async () => {
    const ids = Array.from({ length: 20 }, (_, i) => `burst-${i}`);
    const client = await openRaw(proxy.url);
    client.send(ids.map((id) => call(id)).join(""));
    await client.closed();
    await isAlive();
    for (const id of ids) expect(upstream.for(ownModel(id)).length).toBeLessThanOrEqual(1);
    expect(splitReplies(client.text()).replies.length).toBeLessThanOrEqual(1);
  });
});

describe("is slow", () => {
  test("a head that is not there within 15 s ends the connection, dripped or not", async () => {
    const starts = ["", "P", `POST ${chat} HTTP/1.1\r\n`, `GET / HTTP/1.1\r\n${host}\r\nX: `];
    const drips = starts.flatMap((start) => [false, true].map((drip) => [start, drip] as const));
    const opened = performance.now();
    await Promise.all(
      drips.map(async ([start, drip]) => {
        const client = await openRaw(proxy.url);
        client.send(start);
        const dripping = setInterval(() => drip && client.send("a"), 500);
        // What drips in front of a method is no method: refused at once.
        await client.closed(16_000).finally(() => clearInterval(dripping));
        client.close();
      }),
    );
    expect(performance.now() - opened).toBeLessThan(15_500);
    await isAlive();
  }, 20_000);
});

test("nothing was logged as an error, and it ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
  expect(proxy.stderr()).not.toMatch(/"level":"(?:ERROR|FATAL)"/i);
});
