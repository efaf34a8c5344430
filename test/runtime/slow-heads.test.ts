import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { needBinary, startProxy } from "../harness/proxy.ts";
import { openRaw } from "../harness/raw.ts";
import { byRuntime } from "./targets.ts";

/** What every runtime closes a connection within, in milliseconds. */
const latestMs = 15_000;

beforeAll(needBinary);
afterAll(cleanUp);

const heads = [
  ["nothing at all", "", /^$|^HTTP\/1\.1 408/],
  ["half a head", "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", undefined],
] as const;
const all = byRuntime.flatMap(([runtime, target]) =>
  heads.map(([what, start, told]) => [runtime, what, start, told ?? target.toSlowHead] as const),
);

// The longest wait of the suite: all of them wait at the same time.
test.concurrent.each(all)(
  "%s: %s is closed within 15 s, however it drips",
  async (...one) => {
    const [runtime, what, start, told] = one;
    const proxy = await startProxy({ runtime, config: { providers: { sandbox: {} } } });
    const clients = await Promise.all(Array.from({ length: 50 }, () => openRaw(proxy.url)));
    const started = performance.now();
    for (const client of clients) client.send(start);
    const drip = setInterval(() => {
      if (start !== "") for (const client of clients) client.send("a");
    }, 1000);
    expect((await proxy.get("/v1/models")).status).toBe(200);
    await Promise.all(clients.map((client) => client.closed(latestMs + 1000)));
    clearInterval(drip);
    expect([what, performance.now() - started < latestMs]).toEqual([what, true]);
    for (const client of clients) expect(client.text()).toMatch(told);
    expect(await proxy.stop()).toBe(0);
  },
  30_000,
);
