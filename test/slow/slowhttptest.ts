/** Run by `npm run test:slow`: the tool of the trade against slow clients, from Debian. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { clientKey, needBinary, providersOf, startProxy } from "../harness/proxy.ts";
import { sleep } from "../harness/wait.ts";
import { memoryOf } from "../hostile/process-facts.ts";

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  if (spawnSync("slowhttptest", ["-h"]).error !== undefined) {
    throw new Error("slowhttptest is missing: apt-get install slowhttptest");
  }
  upstream = await startUpstream();
});
afterAll(cleanUp);

/** What it is told to do, and by when the server must have closed the last connection. */
const kinds = [
  ["slow heads", "-H", "/", 15],
  ["slow bodies", "-B", `/v1/chat/completions?key=${clientKey}`, 15],
  ["slow readers", "-X", `/v1/models?key=${clientKey}`, undefined],
] as const;

test.each(kinds)(
  "%s: the service stays available, and memory flat",
  async (_name, flag, target, closedBy) => {
    const proxy = await startProxy({
      config: {
        providers: providersOf(upstream.url),
        auth: { allow_query_key: true },
        server: { limits: { body_timeout: "10s" } },
      },
    });
    const before = memoryOf(proxy.pid, "VmRSS");
    // 200 connections, 100 a second, a piece each second, for 25 seconds.
    const words = [flag, "-c", "200", "-r", "100", "-i", "1", "-l", "25", "-p", "3"];
    const child = spawn("slowhttptest", [...words, "-u", `${proxy.url}${target}`]);
    let raw = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      raw += text;
    });
    let isOver = false;
    child.on("close", () => {
      isOver = true;
    });
    while (!isOver) {
      const answer = await proxy.get("/v1/models");
      expect(answer.status).toBe(200);
      await answer.text();
      await sleep(500);
    }
    const out = raw.replace(/\x1b\[[\d;]*[A-Za-z]/g, "");
    expect(out).toMatch(/service available: +YES/);
    expect(out).not.toMatch(/service available: +NO/);
    const seconds = Number(/Test ended on (\d+)/.exec(out)?.[1]);
    if (closedBy !== undefined) {
      expect(out).toContain("No open connections left");
      expect(seconds).toBeWithin(8, closedBy + 1);
    }
    expect(memoryOf(proxy.pid, "VmRSS") - before).toBeLessThan(32 * 1024 * 1024);
    expect(await proxy.stop()).toBe(0);
  },
  60_000,
);
