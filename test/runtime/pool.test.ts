import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { canUseProxy, proxyGaps } from "../../src/runtime/node.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import {
  needBinary,
  providersOf,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { dropAtOnce, garbage, hangBeforeHead, stale } from "../harness/scripts.ts";
import { sleep } from "../harness/wait.ts";
import { byRuntime } from "./targets.ts";

const path = "/v1/chat/completions";

/** Leaves HTTP, although nobody asked for that. */
const switches: Script = (wire) => wire.head(101, { connection: "upgrade", upgrade: "websocket" });

beforeAll(needBinary);
afterAll(cleanUp);

describe.each(byRuntime)("%s:", (runtime, target) => {
  let upstream: FakeUpstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    upstream = await startUpstream();
    proxy = await startProxy({ runtime, config: { providers: providersOf(upstream.url) } });
  });
  const lastOf = (model: string) => upstream.for(model).at(-1)?.connection as number;
  const chat = (model: string) => proxy.post(path, { model, messages: [] });

  test("a connection is used again", async () => {
    for (let i = 0; i < 5; i++) expect(await (await chat("m-again")).text()).toContain("m-again");
    expect(new Set(upstream.for("m-again").map((r) => r.connection)).size).toBe(1);
  });

  test.each(["reset", "end"] as const)("one gone stale by %s: sent once more", async (how) => {
    const model = `m-stale-${how}`;
    upstream.queue(stale(how));
    expect((await chat("m-before")).status).toBe(200);
    const answer = await chat(model);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain(model);
    expect(upstream.for(model).map((r) => r.dropped)).toEqual([true, false]);
  });

  test("one that breaks while the provider works is sent once: it might be paid twice", async () => {
    expect((await chat("m-warm")).status).toBe(200);
    upstream.on("m-works", async (wire) => {
      await sleep(1200);
      wire.reset();
    });
    expect((await chat("m-works")).status).toBe(502);
    await sleep(200);
    expect(upstream.for("m-works").map((r) => r.connection)).toEqual([lastOf("m-warm")]);
  });

  test("one that its client has left is not sent again either", async () => {
    expect((await chat("m-warm")).status).toBe(200);
    upstream.on("m-left", hangBeforeHead);
    const left = new AbortController();
    const { signal } = left;
    const answer = proxy.post(path, { model: "m-left", messages: [] }, { signal });
    const seen = await upstream.arrived("m-left");
    left.abort();
    await answer.catch(() => {});
    await seen.gone(1000);
    await sleep(200);
    expect(upstream.for("m-left").map((r) => r.connection)).toEqual([lastOf("m-warm")]);
  });

  test("a provider that always hangs up is asked twice at most: 502", async () => {
    upstream.on("m-drop", dropAtOnce("reset"));
    const answer = await chat("m-drop");
    expect(answer.status).toBe(502);
    expect(await answer.text()).toContain("upstream_unreachable");
    expect(upstream.for("m-drop").length).toBeLessThanOrEqual(2);
  });

  const odd: readonly (readonly [name: string, script: Script])[] = [
    ["no HTTP", garbage],
    ["other protocol", switches],
    ["status 999", (wire) => wire.whole(999, {}, "")],
  ];
  test.each(odd)(
    "%s: an error for the client, and the next one is served",
    async (name, script) => {
      upstream.on(`m-${name}`, script);
      expect((await chat(`m-${name}`)).status).toBeWithin(500, 600);
      expect((await chat("m-next")).status).toBe(200);
    },
  );

  test.each([
    [60, 200],
    [70, target.toLongAnswerHead],
  ])("an answer with a head of %d KiB: %d", async (kibibytes, status) => {
    const headers = { "x-long": "a".repeat(kibibytes * 1024) };
    upstream.on("m-long", (wire) => wire.whole(200, headers, "{}"));
    expect((await chat("m-long")).status).toBe(status);
  });

  test("a proxy of the environment is used, or its absence is told", async () => {
    const between = await startUpstream();
    const env = { HTTP_PROXY: between.url };
    const base_url = "http://provider.invalid";
    const far = { protocol: "openai", base_url, api_key: "k", allow_insecure: true };
    const config = { providers: { far, near: providersOf(upstream.url).oai } };
    const mine = await startProxy({ runtime, config, env });
    const nodeVersion = spawnSync("node", ["--version"], { encoding: "utf8" }).stdout;
    const isUsed = target.name !== "node" || canUseProxy(nodeVersion);
    const answer = await mine.post(path, { model: "far/m-far", messages: [] });
    expect(answer.status).toBe(isUsed ? 200 : 502);
    expect(between.for("m-far").map((r) => r.target)).toEqual(
      isUsed ? [`${base_url}/v1/chat/completions`] : [],
    );
    // What stays on this machine never takes the detour.
    expect((await mine.post(path, { model: "near/m-near", messages: [] })).status).toBe(200);
    expect(between.for("m-near")).toEqual([]);
    const gap = isUsed ? [] : [expect.stringMatching(/^HTTP_PROXY is set, but Node 2\d/)];
    expect(mine.greeting.warnings).toEqual([...gap, ...target.warns]);
    const args = ["policies", "plan", "--config", mine.configFile];
    const plan = await runBinary(args, { runtime, env });
    expect(plan.out.includes("gap: HTTP_PROXY")).toBe(!isUsed);
    expect(await mine.stop()).toBe(0);
  });
});

describe("a proxy of the environment, by version of Node", () => {
  test.each([
    ["20.20.2", false],
    ["22.20.0", false],
    ["22.21.0", true],
    ["23.11.0", false],
    ["24.4.1", false],
    ["v24.5.0", true],
    ["26.10.0", true],
  ])("%s: %p", (version, expected) => {
    expect(canUseProxy(version)).toBe(expected);
    const gaps = proxyGaps(version, { https_proxy: "http://p", HTTP_PROXY: "", HOME: "/a" });
    expect(gaps.map(({ key }) => key)).toEqual(expected ? [] : ["https_proxy"]);
  });
});
