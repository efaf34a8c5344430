/** Run by `npm run test:slow`: 10,000 idle connections, and slow ones of every kind at once. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { connect, type Socket } from "node:net";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { clientKey, needBinary, providersOf, startProxy } from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { endless } from "../harness/scripts.ts";
import { sleep, until } from "../harness/wait.ts";
import { fdsOf, memoryOf } from "../hostile/process-facts.ts";

const path = "/v1/chat/completions";
const auth = [["authorization", `Bearer ${clientKey}`]] as const;
const messages = [{ role: "user", content: "hello" }];
const MiB = 1024 * 1024;

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

/** As many as the limit of open files allows both sides, with room for the rest of their work. */
function idleCount(): number {
  const hard = Number(spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout);
  const count = Number.isNaN(hard) ? 10_000 : Math.min(10_000, hard - 500);
  if (count < 10_000) console.log(`only ${count} connections: the limit of open files is ${hard}`);
  return count;
}

function open(port: number, from: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress: from });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

test("10,000 idle connections from 20 addresses: others are served, and memory is bounded", async () => {
  const proxy = await startProxy({
    config: { providers: providersOf(upstream.url) },
    wrap: ["sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"'],
  });
  const port = Number(new URL(proxy.url).port);
  const count = idleCount();
  const before = { memory: memoryOf(proxy.pid, "VmRSS"), fds: fdsOf(proxy.pid) };
  const sockets: Socket[] = [];
  const opened = performance.now();
  for (let i = 0; i < count; i += 250) {
    const batch = Array.from({ length: Math.min(250, count - i) }, (_, k) =>
      open(port, `127.0.0.${2 + ((i + k) % 20)}`),
    );
    sockets.push(...(await Promise.all(batch)));
  }
  await until("all are accepted", () => fdsOf(proxy.pid) >= before.fds + count - 50);
  const started = performance.now();
  const answer = await proxy.post(path, { model: "m", messages });
  expect(answer.status).toBe(200);
  expect(performance.now() - started).toBeLessThan(2000);
  const grown = memoryOf(proxy.pid, "VmRSS") - before.memory;
  console.log(`${count} idle connections: ${(grown / MiB).toFixed(1)} MiB more`);
  expect(grown).toBeLessThan(64 * MiB);
  // Without a byte, the runtime closes them by its header timer.
  const gone = () => fdsOf(proxy.pid) <= before.fds + 10;
  await until("they are closed by the server", gone, 30_000);
  console.log(
    `closed ${((performance.now() - opened) / 1000).toFixed(1)} s after the first was opened`,
  );
  for (const socket of sockets) socket.destroy();
  expect((await proxy.get("/v1/models")).status).toBe(200);
  expect(await proxy.stop()).toBe(0);
}, 90_000);

test("slow heads, bodies and readers at once: closed in time, and others are served all along", async () => {
  upstream.on("m-flood", endless(5, 50_000));
  const proxy = await startProxy({
    config: {
      providers: providersOf(upstream.url),
      server: { limits: { body_timeout: "8s", write_stall: "8s" } },
    },
  });
  const each = 100;
  const all = (bytes: string) =>
    Promise.all(
      Array.from({ length: each }, async () => {
        const client = await openRaw(proxy.url);
        client.send(bytes);
        return client;
      }),
    );
  const started = performance.now();
  const heads = await all("POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ");
  const bodies = await all(requestBytes("POST", path, [...auth, ["content-length", "5000"]]));
  const chunks = await all(requestBytes("POST", path, [...auth, ["transfer-encoding", "chunked"]]));
  const readers = await all(
    requestBytes("POST", path, auth, JSON.stringify({ model: "m-flood", stream: true, messages })),
  );
  await upstream.arrived("m-flood", each);
  for (const client of readers) client.socket.pause();
  const dripping = setInterval(() => {
    for (const client of [...heads, ...bodies]) client.send("a");
    for (const client of chunks) client.send("1\r\na\r\n");
  }, 1000);
  const asked: number[] = [];
  const asking = setInterval(async () => {
    const from = performance.now();
    const answer = await proxy.post(path, { model: "m", messages }).catch(() => undefined);
    asked.push(answer?.status === 200 ? performance.now() - from : Number.POSITIVE_INFINITY);
  }, 500);
  try {
    const refused = [...bodies, ...chunks].map((c) =>
      c.read((t) => t.includes("\r\n\r\n"), 20_000),
    );
    for (const text of await Promise.all(refused)) expect(text).toStartWith("HTTP/1.1 408");
    expect(performance.now() - started).toBeLessThan(12_000);
    await Promise.all(heads.map((client) => client.closed(20_000)));
    expect(performance.now() - started).toBeLessThan(16_000);
    const cut = () => upstream.for("m-flood").every((r) => r.goneAtMs !== undefined);
    await until("slow readers are cut", cut, 20_000);
  } finally {
    clearInterval(dripping);
    clearInterval(asking);
  }
  await sleep(200);
  expect(asked.length).toBeGreaterThan(10);
  expect(Math.max(...asked)).toBeLessThan(2000);
  for (const client of [...heads, ...bodies, ...chunks, ...readers]) client.close();
  expect(await proxy.stop()).toBe(0);
}, 90_000);
