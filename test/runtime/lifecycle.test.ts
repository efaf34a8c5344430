import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildSync } from "esbuild";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  makeDir,
  needBinary,
  type ProxyRuntime,
  programOf,
  providersOf,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { endless, paced } from "../harness/scripts.ts";
import { until, within } from "../harness/wait.ts";
import { byRuntime } from "./targets.ts";

const path = "/v1/chat/completions";
const root = resolve(import.meta.dirname, "../..");

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  upstream.on("m-paced", paced(60)).on("m-endless", endless(30));
});
afterAll(cleanUp);

function serve(runtime: ProxyRuntime, ...models: readonly string[]): Promise<RunningProxy> {
  return startProxy({ runtime, config: withModels(...models) });
}

function withModels(...models: readonly string[]): Record<string, unknown> {
  const { oai } = providersOf(upstream.url);
  return { providers: { oai: { ...oai, ...(models.length > 0 && { models }) } } };
}

async function serves(proxy: RunningProxy, model: string): Promise<boolean> {
  const answer = await proxy.post(path, { model, messages: [] });
  await answer.text();
  return answer.status === 200;
}

function stream(proxy: RunningProxy, model: string): Promise<Response> {
  return proxy.post(path, { model, stream: true, messages: [] });
}

const limitMs = 20_000;

test.concurrent.each(byRuntime)(
  "%s: SIGTERM lets a stream finish, refuses others, closes idle connections, exit 0",
  async (runtime) => {
    const proxy = await serve(runtime);
    const idle = await openRaw(proxy.url);
    idle.send(requestBytes("GET", "/healthz", []));
    await idle.read((t) => t.includes('"ok"'));
    const answer = await stream(proxy, "m-paced");
    proxy.signal("SIGTERM");
    await until("it drains", async () => (await proxy.get("/readyz")).status === 503);
    expect((await proxy.get("/healthz")).status).toBe(200);
    const refused = await proxy.post(path, { model: "m-late", messages: [] });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await answer.text()).toEndWith("data: [DONE]\n\n");
    expect(await within("exit", proxy.exited, 3000)).toBe(0);
    await idle.closed(1000);
    expect(proxy.stderr()).toContain('"stopped"');
  },
  limitMs,
);

test.concurrent.each(byRuntime)(
  "%s: a second signal ends it at once",
  async (runtime) => {
    const proxy = await serve(runtime);
    const answer = await stream(proxy, "m-endless");
    proxy.signal("SIGTERM");
    await until("it drains", async () => (await proxy.get("/readyz")).status === 503);
    proxy.signal("SIGINT");
    // The drain would last 25 s; on a busy machine the end of a process takes its time, too.
    await within("exit", proxy.exited, 10_000);
    await answer.text().catch(() => {});
  },
  limitMs,
);

test.concurrent.each(byRuntime)(
  "%s: reloads on SIGHUP and when the file changes, and a stream goes on",
  async (runtime) => {
    const proxy = await serve(runtime, "m-paced");
    const answer = await stream(proxy, "m-paced");
    proxy.writeConfig(withModels("two"));
    proxy.signal("SIGHUP");
    await until("the second model", () => serves(proxy, "two"), 3000);
    expect(await serves(proxy, "m-paced")).toBe(false);
    expect(await answer.text()).toEndWith("data: [DONE]\n\n");
    proxy.writeConfig(withModels("three"));
    await until("the third model", () => serves(proxy, "three"), 3000);
    const text = readFileSync(proxy.configFile, "utf8").replace('"three"', '"four"');
    writeFileSync(`${proxy.configFile}.new`, text);
    renameSync(`${proxy.configFile}.new`, proxy.configFile);
    await until("the fourth model", () => serves(proxy, "four"), 3000);
    writeFileSync(proxy.configFile, "{ no yaml");
    const rejected = async () => (await (await proxy.get("/readyz")).text()).includes("rejected");
    await until("the bad one is refused", rejected, 3000);
    expect(await serves(proxy, "four")).toBe(true);
    expect(await proxy.stop()).toBe(0);
  },
  limitMs,
);

test.concurrent.each(byRuntime)(
  "%s: moves to another port, and leaves the old one",
  async (runtime) => {
    const proxy = await serve(runtime);
    const probe = await startUpstream();
    const { port } = new URL(probe.url);
    await probe.close();
    proxy.writeConfig({ ...withModels(), server: { port: Number(port) } });
    const alive = (url: string) =>
      fetch(`${url}/healthz`, { keepalive: false }).then(
        (answer) => answer.status === 200,
        () => false,
      );
    await until("the new port", () => alive(`http://127.0.0.1:${port}`));
    await until("the old port is closed", async () => !(await alive(proxy.url)));
    // One that is taken is refused, and the running one serves on.
    const taken = Number(new URL(upstream.url).port);
    proxy.writeConfig({ ...withModels(), server: { port: taken } });
    await until("it says so", () => proxy.stderr().includes("is in use"));
    expect(await alive(`http://127.0.0.1:${port}`)).toBe(true);
    expect(await proxy.stop()).toBe(0);
  },
  limitMs,
);

test.concurrent.each(byRuntime)(
  "%s: a bad configuration and a taken port are told, exit 78",
  async (runtime) => {
    const dir = makeDir();
    const file = join(dir, "bad.yaml");
    const port = Number(new URL(upstream.url).port);
    const auth = { dir: join(dir, "auths"), api_keys: [{ id: "a", key: clientKey }] };
    const cases = [
      [{ servre: {} }, "did you mean"],
      [{ auth, server: { port } }, "is in use"],
    ] as const;
    for (const [config, words] of cases) {
      writeFileSync(file, JSON.stringify(config));
      const { code, err } = await runBinary(["serve", "--config", file], { runtime });
      expect([code, err]).toEqual([78, expect.stringContaining(words)]);
      expect(err).toMatch(/bad\.yaml:1:\d+/);
      expect(err).not.toMatch(/\n\s+at /);
    }
  },
  limitMs,
);

test.concurrent.each(byRuntime)(
  "%s: a client that asks for its health, by the command",
  async (runtime) => {
    const proxy = await serve(runtime);
    const { code } = await runBinary(["healthcheck", "--url", proxy.url], { runtime });
    expect(code).toBe(0);
    expect(await proxy.stop()).toBe(0);
    expect((await runBinary(["healthcheck", "--url", proxy.url], { runtime })).code).toBe(1);
  },
  limitMs,
);

const modules: readonly (readonly [ProxyRuntime])[] = [["one module, deno"], ["one module, bun"]];
test.concurrent.each(modules)(
  "%s: serves, too",
  async (runtime) => {
    const proxy = await serve(runtime);
    expect(await serves(proxy, "m-any")).toBe(true);
    expect(await proxy.stop()).toBe(0);
  },
  limitMs,
);

test.concurrent.each(byRuntime)(
  "%s: serves on when nobody reads its log any more, and ends when it is told to",
  async (runtime) => {
    const deaf = 'exec "$@" 2> >(exec head -c 0)';
    const proxy = await startProxy({
      ...{ runtime, config: withModels("one"), wrap: ["bash", "-c", deaf, "bash"] },
    });
    for (const model of ["two", "three"]) {
      proxy.writeConfig(withModels(model));
      await until(`a reload, which is logged: ${model}`, () => serves(proxy, model), 3000);
    }
    expect(await proxy.stop()).toBe(0);
  },
  limitMs,
);

/** The executable runs nothing but itself, on the runtime of the first. */
const scripted: readonly (readonly [ProxyRuntime])[] = [["bun"], ["node"], ["deno"]];
test.concurrent.each(scripted)(
  "%s: a failure that nobody awaits does not end the process",
  async (runtime) => {
    const contents = `
      import { onStray } from "./src/runtime/process.ts";
      onStray((error) => console.log("heard", String(error)));
      Promise.reject(new Error("rejected"));
      setTimeout(() => { throw new Error("thrown"); }, 1);
      setTimeout(() => console.log("alive"), 30);`;
    const outfile = join(makeDir(), "stray.mjs");
    const stdin = { contents, resolveDir: root, loader: "ts" } as const;
    const external = ["@hono/node-server"];
    buildSync({ stdin, outfile, external, bundle: true, format: "esm", platform: "node" });
    const [program, ...words] = programOf(runtime).slice(0, -1) as [string, ...string[]];
    const ran = spawnSync(program, [...words, outfile], { encoding: "utf8" });
    // A busy machine may tell of the two in either order.
    const heard = ran.stdout.trimEnd().split("\n").sort();
    expect(heard).toEqual(["alive", "heard Error: rejected", "heard Error: thrown"]);
    expect(ran.status).toBe(0);
  },
  limitMs,
);
