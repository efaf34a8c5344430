/** Run by `npm run test:slow`: a drip of one byte a second, and growth over many faults. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, providersOf, startProxy } from "../harness/proxy.ts";
import { partsOf } from "../harness/upstream/faults.ts";
import { sleep } from "../harness/wait.ts";
import {
  dialects,
  isTimed,
  measure,
  openBench,
  type Row,
  runRow,
} from "../hostile/upstream-bench.ts";
import { bodyRows } from "../hostile/upstream-body-rows.ts";
import { errorRows } from "../hostile/upstream-error-rows.ts";
import { headRows } from "../hostile/upstream-head-rows.ts";
import { streamRows } from "../hostile/upstream-stream-rows.ts";

beforeAll(needBinary);
afterAll(cleanUp);

test("a byte a second is alive until it falls silent", async () => {
  const upstream = await startUpstream();
  const idle = { timeout: { idle: "3s" } };
  const providers = Object.entries(providersOf(upstream.url));
  const proxy = await startProxy({
    config: {
      providers: Object.fromEntries(providers.map(([name, p]) => [name, { ...p, ...idle }])),
    },
  });
  upstream.on("drips", async (wire, request) => {
    const { beginning } = partsOf(request);
    await wire.stream();
    for (const letter of beginning.slice(0, 20)) {
      await sleep(1000);
      await wire.chunk(letter);
    }
  });
  const body = { model: "drips", stream: true, messages: [{ role: "user", content: "hello" }] };
  const started = performance.now();
  const text = await (await proxy.post("/v1/chat/completions", body)).text();
  expect(performance.now() - started).toBeGreaterThan(22_500);
  expect(text).toContain("upstream_timeout");
  expect(await proxy.stop()).toBe(0);
}, 40_000);

/** Faults that wait for no deadline. */
function quick(rows: readonly Row[]): readonly Row[] {
  return rows.filter((row) => !isTimed(row) && !/bomb|MB/.test(row[0]));
}

test("hundreds of rounds of faults: neither memory nor connections grow", async () => {
  const bench = await openBench();
  const tables = [
    [
      [...headRows, ...bodyRows, ...errorRows],
      [false, true],
    ],
    [streamRows, [true]],
  ] as const;
  const round = async (): Promise<void> => {
    for (const dialect of dialects) {
      for (const [rows, streams] of tables) {
        const left = [...quick(rows)];
        while (left.length > 0) {
          const some = left.splice(0, 16);
          await Promise.all(some.map((row) => runRow(bench, dialect, row, streams)));
        }
      }
    }
  };
  const sizes: { readonly fds: number; readonly rssBytes: number }[] = [];
  for (let i = 0; i < 40; i++) {
    await round();
    sizes.push({ ...measure(bench.proxy.pid) });
  }
  const [first, last] = [sizes[9], sizes[39]];
  expect((last?.rssBytes ?? 0) - (first?.rssBytes ?? 0)).toBeLessThan(30_000_000);
  expect((last?.fds ?? 0) - (first?.fds ?? 0)).toBeLessThan(40);
  expect(await bench.proxy.stop()).toBe(0);
}, 600_000);
