/** The worst load of bodies that the defaults allow stays below 256 MiB; more in test/slow. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { hangBeforeHead, hangMidStream } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";
import { defaults, MiB, sendBody, statusOf } from "./body-load.ts";
import { memoryOf } from "./process-facts.ts";

const { bodyBytes, bodyBytesInFlight } = defaults;
const most = 256 * MiB;

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
});
afterAll(cleanUp);

test.each([
  ["with a length", false],
  ["in chunks", true],
] as const)(
  "as many of the largest bodies as fit, %s, and not one more",
  async (name, isChunked) => {
    upstream.on(name, hangBeforeHead);
    const count = bodyBytesInFlight / bodyBytes;
    const clients = await Promise.all(
      Array.from({ length: count }, () => sendBody(proxy, name, bodyBytes, isChunked)),
    );
    await upstream.arrived(name, count, 10_000);
    const another = await sendBody(proxy, "m", 1000);
    expect(await statusOf(another)).toBe("503");
    expect(memoryOf(proxy.pid, "VmHWM")).toBeLessThan(most);
    for (const client of [...clients, another]) client.vanish();
    upstream.received.length = 0;
    await until("there is room again", async () => {
      const client = await sendBody(proxy, "m", 1000);
      const status = await statusOf(client);
      client.close();
      return status === "200";
    });
  },
  20_000,
);

test("bodies whose answers stream are held no longer: ten times what fits, one after the other", async () => {
  upstream.on("m-streams", hangMidStream);
  const clients = [];
  for (let sent = 0; sent < 10 * bodyBytesInFlight; sent += 4 * MiB) {
    const client = await sendBody(proxy, "m-streams", 4 * MiB);
    expect(await statusOf(client)).toBe("200");
    clients.push(client);
    upstream.received.length = 0;
  }
  expect(memoryOf(proxy.pid, "VmRSS")).toBeLessThan(160 * MiB);
  expect(memoryOf(proxy.pid, "VmHWM")).toBeLessThan(most);
  for (const client of clients) client.vanish();
}, 30_000);

test("ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
});
