/** Run by `npm run test:slow`: the tool of the trade against slow clients (Debian: slowhttptest). */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, providersOf, startProxy } from "../harness/proxy.ts";
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

const kinds = [
  ["slow heads", "-H", "/"],
  ["slow bodies", "-B", "/v1/chat/completions"],
  ["slow readers", "-X", "/v1/models"],
] as const;

test.each(kinds)(
  "%s: the service stays available, and memory flat",
  async (_name, flag, target) => {
    const proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
    const before = memoryOf(proxy.pid, "VmRSS");
    // 200 connections, 100 a second, a piece each second, for 25 seconds.
    const words = [flag, "-c", "200", "-r", "100", "-i", "1", "-l", "25", "-p", "3"];
    const child = spawn("slowhttptest", [...words, "-u", `${proxy.url}${target}`]);
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
    let over = false;
    void ended.then(() => {
      over = true;
    });
    while (!over) {
      const answer = await proxy.get("/v1/models");
      expect(answer.status).toBe(200);
      await answer.text();
      await sleep(500);
    }
    expect(out).toContain("service available:   YES");
    expect(out).not.toContain("service available:   NO");
    expect(memoryOf(proxy.pid, "VmRSS") - before).toBeLessThan(32 * 1024 * 1024);
    expect(await proxy.stop()).toBe(0);
  },
  60_000,
);
