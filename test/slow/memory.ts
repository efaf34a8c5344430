/**
 * Run by `npm run test:slow`: the defaults under a memory limit of 256 MiB that the kernel enforces
 * (a cgroup, which takes root). The figures it prints stand in docs/limits.md.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { hangBeforeHead, hangMidStream } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";
import { defaults, MiB, sendBody, statusOf } from "../hostile/body-load.ts";
import { memoryOf } from "../hostile/process-facts.ts";

const limitBytes = 256 * MiB;

/** A group of its own below the one that the tests run in. */
class MemoryGroup {
  readonly dir: string;
  readonly #isOld: boolean;

  constructor(name: string) {
    const own = readFileSync("/proc/self/cgroup", "utf8");
    const old = /^\d+:(?:[\w,]+,)?memory(?:,[\w,]+)?:(.*)$/m.exec(own)?.[1];
    const root = old === undefined ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const parent = join(root, old ?? /^0::(.*)$/m.exec(own)?.[1] ?? "/");
    this.#isOld = old !== undefined;
    this.dir = join(parent, `cliproxy-test-${process.pid}-${name}`);
    mkdirSync(this.dir);
    onCleanup(() => rmdirSync(this.dir));
    this.#write(this.#isOld ? "memory.limit_in_bytes" : "memory.max", limitBytes);
    const swap = this.#isOld ? "memory.memsw.limit_in_bytes" : "memory.swap.max";
    if (existsSync(join(this.dir, swap))) this.#write(swap, this.#isOld ? limitBytes : 0);
  }

  get peakBytes(): number {
    const file = this.#isOld ? "memory.max_usage_in_bytes" : "memory.peak";
    return Number(readFileSync(join(this.dir, file), "utf8"));
  }

  #write(file: string, value: number): void {
    writeFileSync(join(this.dir, file), String(value));
  }
}

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

type Load = (proxy: RunningProxy, model: string) => Promise<void>;

/** As many at once as there is room for; each answered, then the next. */
function churn(bytes: number, isChunked: boolean): Load {
  return async (proxy, model) => {
    const end = performance.now() + 10_000;
    const lanes = Math.floor(defaults.bodyBytesInFlight / bytes);
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        const client = await sendBody(proxy, model, bytes, isChunked);
        expect(["200", "503"]).toContain(await statusOf(client));
        client.close();
        upstream.received.length = 0;
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  };
}

/** All at once, and held by a provider that is silent. */
function hold(count: number, bytes: number, isChunked: boolean): Load {
  return async (proxy, model) => {
    upstream.on(model, hangBeforeHead);
    const clients = [];
    for (let i = 0; i < count; i += 64) {
      const batch = Array.from({ length: Math.min(64, count - i) }, () =>
        sendBody(proxy, model, bytes, isChunked),
      );
      clients.push(...(await Promise.all(batch)));
    }
    await upstream.arrived(model, count, 30_000);
    for (const client of clients) client.vanish();
    upstream.received.length = 0;
  };
}

/** As many open streams as may stand behind long bodies, each of which holds 128 KiB. */
const streams: Load = async (proxy, model) => {
  upstream.on(model, hangMidStream);
  const clients = [];
  for (let i = 0; i < defaults.bodyBytesInFlight / (128 * 1024) - 8; i++) {
    const client = await sendBody(proxy, model, MiB);
    expect(await statusOf(client)).toBe("200");
    clients.push(client);
    upstream.received.length = 0;
  }
  for (const client of clients) client.vanish();
};

const { bodyBytes, bodyBytesInFlight, concurrentRequests } = defaults;
const largest = bodyBytesInFlight / bodyBytes;
const loads: readonly (readonly [name: string, load: Load])[] = [
  ["largest bodies, held", hold(largest, bodyBytes, false)],
  ["largest bodies in chunks, held", hold(largest, bodyBytes, true)],
  ["largest bodies, one after the other", churn(bodyBytes, false)],
  ["largest bodies in chunks, one after the other", churn(bodyBytes, true)],
  ["bodies of 1 MiB, one after the other", churn(MiB, false)],
  [
    "all concurrent requests, their bodies in flight",
    hold(concurrentRequests, bodyBytesInFlight / concurrentRequests, false),
  ],
  ["504 streams behind bodies of 1 MiB", streams],
];

describe("256 MiB survive", () => {
  test.each(loads)(
    "%s",
    async (name, load) => {
      const group = new MemoryGroup(name.replace(/\W+/g, "-"));
      const proxy = await startProxy({
        config: { providers: providersOf(upstream.url) },
        wrap: ["sh", "-c", `echo $$ >'${group.dir}/cgroup.procs'; exec "$0" "$@"`],
      });
      await load(proxy, name);
      const megabytes = (bytes: number): string => (bytes / MiB).toFixed(0);
      const resident = megabytes(memoryOf(proxy.pid, "VmHWM"));
      console.log(`${name}: ${megabytes(group.peakBytes)} MiB charged, ${resident} MiB resident`);
      await until("it serves on", async () => (await proxy.get("/v1/models")).status === 200);
      expect(group.peakBytes).toBeLessThan(limitBytes);
      expect(await proxy.stop()).toBe(0);
    },
    120_000,
  );
});
