import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";
import { type Conversation, converse } from "./converse.ts";
import { parsingCases } from "./parsing-cases.ts";
import { fdsOf, memoryOf } from "./process-facts.ts";
import { smugglingCases } from "./smuggling-cases.ts";
import { ownModel, type WireCase } from "./wire-case.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  upstream = await startUpstream();
  proxy = await startProxy({
    config: {
      providers: providersOf(upstream.url),
      server: { limits: { body_bytes: "16KiB" } },
    },
  });
});
afterAll(cleanUp);

/** Every conversation that was held, with the most that it may have sent upstream. */
const held = new Map<string, 0 | 1>();

/** What holds for every conversation, whatever the runtime decides. */
async function hold(wire: WireCase, pipelined: boolean): Promise<Conversation> {
  const got = await converse(proxy.url, wire, pipelined);
  held.set(got.mark, wire.upstream);
  // Whole answers and nothing between them, unless the connection was cut in one.
  if (!got.verdict.endsWith("closed")) expect(got.rest).toBe("");
  for (const { status } of got.replies) expect([500, 502, 503, 504]).not.toContain(status);
  return got;
}

function isWithin(row: unknown): boolean {
  const [, count, most] = row as [string, number, number];
  return count <= most;
}

describe.each([
  ["parsing", parsingCases],
  ["smuggling", smugglingCases],
] as const)("%s", (_name, cases) => {
  test.each(cases.map((wire) => [wire.id, wire.name, wire] as const))(
    "%s %s",
    async (_id, _what, wire) => {
      const { verdict } = await hold(wire, false);
      expect(wire.safe).toContain(verdict);
      await hold(wire, true);
      const answer = await proxy.get("/v1/models");
      expect(answer.status).toBe(200);
      await answer.text();
    },
  );
});

test("ids are given once", () => {
  const ids = [...parsingCases, ...smugglingCases].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test("all of them again and again: no file left open, no memory lost", async () => {
  const all = [...parsingCases, ...smugglingCases].filter(({ safe }) => !safe.includes("waits"));
  const round = () =>
    Promise.all([false, true].flatMap((pipelined) => all.map((wire) => hold(wire, pipelined))));
  // Kept connections to the provider come and go.
  const fds = () => fdsOf(proxy.pid) - upstream.openSockets;
  await round();
  await until("the first round has left", () => fds() < 40);
  const before = { fds: fds(), memory: memoryOf(proxy.pid, "VmRSS") };
  for (let i = 0; i < 3; i++) await round();
  await until("the rounds have left", () => fds() <= before.fds + 3, 10_000);
  expect(memoryOf(proxy.pid, "VmRSS") - before.memory).toBeLessThan(24 * 1024 * 1024);
}, 60_000);

test("never two requests upstream from one, and never one that was hidden", () => {
  expect(upstream.received.filter(({ text }) => text.includes("hidden-"))).toEqual([]);
  const counts = new Map<string, number>();
  for (const { json } of upstream.received) {
    const mark = json.model?.replace(ownModel(""), "") ?? "";
    counts.set(mark, (counts.get(mark) ?? 0) + 1);
  }
  for (const [mark, most] of held) expect([mark, counts.get(mark) ?? 0, most]).toSatisfy(isWithin);
  expect(counts.size).toBeGreaterThan(20);
});

test("nothing was logged as an error, and it ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
  expect(proxy.stderr()).not.toMatch(/"level":"(?:ERROR|FATAL)"/i);
});
