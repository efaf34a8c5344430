import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { cleanUp } from "../harness/cleanup.ts";
import { type Script, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { modelList } from "../harness/replies.ts";
import { bomb } from "../harness/scripts.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const jsonType = { "content-type": "application/json" };

const endlessList: Script = async (wire) => {
  await wire.head(200, { ...jsonType, "transfer-encoding": "chunked" });
  await wire.chunk('{"object":"list","data":[{"id":"never-1"}');
  const entry = ` ,{"id":"never-2","x":"${"x".repeat(1000)}"}`.repeat(256);
  while (wire.isOpen) await wire.chunk(entry);
};

/** A proxy with a provider whose own list is made by the script, and one that is well. */
async function start(script: Script): Promise<RunningProxy> {
  const [odd, well] = await Promise.all([startUpstream(), startUpstream()]);
  odd.on("", script);
  const oai = { protocol: "openai", api_key: "k" };
  return startProxy({
    config: {
      providers: { odd: { ...oai, base_url: odd.url }, well: { ...oai, base_url: well.url } },
    },
  });
}

async function listOf(proxy: RunningProxy): Promise<readonly string[]> {
  const answer = await proxy.get("/v1/models");
  expect(answer.status).toBe(200);
  const { data } = (await answer.json()) as { data: { id: string }[] };
  return data.map((m) => m.id).sort();
}

function rssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

const tooLong = [
  ["endless", endlessList],
  ["a bomb", bomb(300)],
] as const;
test.each(tooLong)(
  "a provider whose list is %s is left out, and costs little",
  async (_name, script) => {
    const proxy = await start(script);
    const before = rssOf(proxy.pid);
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, rssOf(proxy.pid));
    }, 20);
    try {
      expect(await listOf(proxy)).toEqual(["fake-1", "fake-2"]);
    } finally {
      clearInterval(watch);
    }
    expect(most - before).toBeLessThan(200 * 1024 * 1024);
    expect((await proxy.get("/healthz")).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  },
  20_000,
);

test("a compressed list is read, although nobody asked for it", async () => {
  const proxy = await start((wire) => {
    const body = gzipSync(modelList(["packed-1", "packed-2"], false));
    return wire.whole(200, { ...jsonType, "content-encoding": "gzip" }, body);
  });
  expect(await listOf(proxy)).toEqual(["fake-1", "fake-2", "packed-1", "packed-2"]);
  expect(await proxy.stop()).toBe(0);
});
