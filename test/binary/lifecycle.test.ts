import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  cleanEnv,
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, rawExchange, requestBytes } from "../harness/raw.ts";
import { endless, hangBeforeHead, paced } from "../harness/scripts.ts";
import { sleep, until, within } from "../harness/wait.ts";

const messages = [{ role: "user", content: "hello" }];
const paths = ["/v1/chat/completions", "/v1/messages"] as const;
const auth = [["authorization", `Bearer ${clientKey}`]] as const;

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  upstream.on("m-paced", paced(60)).on("m-endless", endless(30)).on("m-hang", hangBeforeHead);
});
afterAll(cleanUp);

function start(server: object = {}): Promise<RunningProxy> {
  return startProxy({ config: { providers: providersOf(upstream.url), server } });
}

function stream(proxy: RunningProxy, model: string, path: string = paths[0]): Promise<Response> {
  return proxy.post(path, { model, stream: true, max_tokens: 9, messages });
}

async function readyz(proxy: RunningProxy): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${proxy.url}/readyz`, { keepalive: false });
  return { status: answer.status, body: await answer.text() };
}

describe("SIGTERM", () => {
  const signals = ["SIGTERM", "SIGINT"] as const;
  test.concurrent.each(signals)(
    "%s: a running stream finishes, nobody else gets in, exit 0",
    async (signal) => {
      const proxy = await start();
      const answer = await stream(proxy, "m-paced");
      proxy.signal(signal);
      await sleep(100);
      expect((await fetch(`${proxy.url}/healthz`)).status).toBe(200);
      expect((await fetch(`${proxy.url}/readyz`)).status).toBe(503);
      const refused = await proxy.post(paths[0], { model: "m-late", messages });
      expect(refused.status).toBe(503);
      expect(refused.headers.get("retry-after")).toBe("1");
      expect(await answer.text()).toEndWith("data: [DONE]\n\n");
      expect(await within("exit", proxy.exited, 2000)).toBe(0);
    },
  );

  test.concurrent.each(paths)(
    "drain_timeout: an error event in the dialect, then exit 0: %s",
    async (path) => {
      const proxy = await start({ drain_timeout: "300ms" });
      const answer = await stream(proxy, "m-endless", path);
      const text = answer.text();
      const started = performance.now();
      proxy.signal("SIGTERM");
      expect(await text).toContain("shutting down");
      if (path.endsWith("messages")) expect(await text).toContain("event: error\n");
      else expect(await text).toContain('"code":"shutting_down"');
      expect(await within("exit", proxy.exited, 3000)).toBe(0);
      expect(performance.now() - started).toBeWithin(280, 2000);
    },
  );

  test.concurrent("drain_timeout: a request that has no answer yet gets a 503", async () => {
    const proxy = await start({ drain_timeout: "300ms" });
    const answer = proxy.post(paths[0], { model: "m-hang", messages });
    await upstream.arrived("m-hang");
    proxy.signal("SIGTERM");
    expect((await answer).status).toBe(503);
    expect(await (await answer).text()).toContain("shutting_down");
    expect(await within("exit", proxy.exited, 3000)).toBe(0);
  });

  test.concurrent("while draining, an open connection is refused politely", async () => {
    const proxy = await start();
    const client = await openRaw(proxy.url);
    client.send(requestBytes("GET", "/readyz", []));
    expect(await client.read((t) => t.includes('"ok"'))).toStartWith("HTTP/1.1 200");
    const running = await stream(proxy, "m-paced");
    proxy.signal("SIGTERM");
    await sleep(100);
    client.send(requestBytes("GET", "/v1/models", auth));
    const text = await client.read((t) => t.includes("shutting_down"), 1000).catch(() => "hung");
    // Either the runtime has closed the idle connection, or the answer is a 503.
    expect(text).not.toBe("hung");
    expect(text).not.toContain("fake-1");
    await running.text();
    expect(await within("exit", proxy.exited, 3000)).toBe(0);
  });

  test.concurrent("idle connections don't hold it up", async () => {
    const proxy = await start();
    const clients = await Promise.all([1, 2, 3].map(() => openRaw(proxy.url)));
    for (const client of clients) client.send(requestBytes("GET", "/healthz", []));
    await Promise.all(clients.map((c) => c.read((t) => t.includes("200"))));
    const started = performance.now();
    expect(await proxy.stop()).toBe(0);
    expect(performance.now() - started).toBeLessThan(1500);
  });

  test.concurrent("a second signal ends it at once", async () => {
    const proxy = await start();
    const answer = await stream(proxy, "m-endless");
    proxy.signal("SIGTERM");
    await sleep(200);
    const started = performance.now();
    proxy.signal("SIGINT");
    await within("exit", proxy.exited, 1000);
    expect(performance.now() - started).toBeLessThan(500);
    await answer.text().catch(() => {});
  });
});

describe("reload", () => {
  function withModels(...models: readonly string[]): Record<string, unknown> {
    const providers = providersOf(upstream.url);
    return { providers: { oai: { ...providers.oai, models } } };
  }
  async function serves(proxy: RunningProxy, model: string): Promise<boolean> {
    const answer = await proxy.post(paths[0], { model, messages });
    await answer.text();
    return answer.status === 200;
  }

  test.concurrent("by file: written in place, and renamed over", async () => {
    const proxy = await startProxy({ config: withModels("one") });
    expect(await serves(proxy, "one")).toBe(true);
    expect(await serves(proxy, "two")).toBe(false);
    proxy.writeConfig(withModels("two"));
    await until("the new model", () => serves(proxy, "two"));
    expect(await serves(proxy, "one")).toBe(false);
    const text = readFileSync(proxy.configFile, "utf8").replace('"two"', '"three"');
    writeFileSync(`${proxy.configFile}.new`, text);
    renameSync(`${proxy.configFile}.new`, proxy.configFile);
    await until("the third model", () => serves(proxy, "three"));
    expect(await proxy.stop()).toBe(0);
  });

  test.concurrent("by file, although the folder never comes to rest", async () => {
    const proxy = await startProxy({ config: withModels("one") });
    const busy = setInterval(() => writeFileSync(join(proxy.dir, "busy.log"), "x"), 20);
    try {
      proxy.writeConfig(withModels("two"));
      await until("the new model", () => serves(proxy, "two"), 3000);
    } finally {
      clearInterval(busy);
    }
    expect(await proxy.stop()).toBe(0);
  });

  test.concurrent("by SIGHUP, and a running stream is not harmed", async () => {
    const proxy = await startProxy({ config: withModels("m-paced") });
    const answer = await stream(proxy, "m-paced");
    proxy.writeConfig(withModels("other"));
    proxy.signal("SIGHUP");
    await until("the new model", () => serves(proxy, "other"), 2000);
    expect(await serves(proxy, "m-paced")).toBe(false);
    expect(await answer.text()).toEndWith("data: [DONE]\n\n");
    expect(await proxy.stop()).toBe(0);
  });

  test.concurrent("a bad one keeps the old one, says so in /readyz, and a good one heals it", async () => {
    const proxy = await startProxy({ config: withModels("one") });
    expect(await readyz(proxy)).toMatchObject({ status: 200 });
    const good = readFileSync(proxy.configFile, "utf8");
    for (const bad of ["{ not yaml", '{"servre": {}}', good.replace('"openai"', '"nonsense"')]) {
      writeFileSync(proxy.configFile, bad);
      proxy.signal("SIGHUP");
      await until("it says so", async () => (await readyz(proxy)).body.includes("rejected"));
      expect((await readyz(proxy)).status).toBe(200);
      expect(await serves(proxy, "one")).toBe(true);
      writeFileSync(proxy.configFile, good);
      proxy.signal("SIGHUP");
      await until("it is healed", async () => !(await readyz(proxy)).body.includes("rejected"));
    }
    rmSync(proxy.configFile);
    proxy.signal("SIGHUP");
    await until("it says so", async () => (await readyz(proxy)).body.includes("rejected"));
    expect(await serves(proxy, "one")).toBe(true);
    expect(proxy.stderr()).toContain("reload rejected");
    expect(proxy.stderr()).not.toContain(clientKey);
    expect(await proxy.stop()).toBe(0);
  });

  test.concurrent("twenty at once end in the last one", async () => {
    const proxy = await startProxy({ config: withModels("one") });
    for (let i = 0; i <= 20; i++) {
      proxy.writeConfig(withModels(`m-${i}`));
      proxy.signal("SIGHUP");
      await sleep(i % 3);
    }
    await until("the last one", () => serves(proxy, "m-20"));
    expect(await proxy.stop()).toBe(0);
  });

  const folders = [
    ["that exists", true],
    ["that doesn't exist yet", false],
  ] as const;
  test.concurrent.each(folders)(
    "a credential in a folder %s takes effect, and so does its end",
    async (_name, exists) => {
      const { api_key: _key, ...bare } = providersOf(upstream.url).oai as Record<string, unknown>;
      const proxy = await startProxy({
        config: { providers: { oai: { ...bare, models: ["one"] } } },
        prepare: (dir) => void (exists && mkdirSync(join(dir, "auths"), { mode: 0o700 })),
      });
      expect(await serves(proxy, "one")).toBe(false);
      mkdirSync(proxy.authDir, { recursive: true, mode: 0o700 });
      const file = join(proxy.authDir, "oai-work.json");
      const token = `from-a-file-${exists}`;
      writeFileSync(file, JSON.stringify({ type: "api_key", token }), { mode: 0o600 });
      await until("the credential", () => serves(proxy, "one"), 3000);
      const keys = upstream.for("one").map((r) => r.header("authorization"));
      expect(keys).toContain(`Bearer ${token}`);
      rmSync(file);
      await until("its end", async () => !(await serves(proxy, "one")), 3000);
      expect(proxy.stdout() + proxy.stderr()).not.toContain(token);
      expect(await proxy.stop()).toBe(0);
    },
  );

  test.concurrent("a listener moves to another port", async () => {
    const proxy = await startProxy({ config: withModels("one") });
    const probe = await startUpstream();
    const port = Number(new URL(probe.url).port);
    await probe.close();
    proxy.writeConfig({ ...withModels("one"), server: { port } });
    proxy.signal("SIGHUP");
    const moved = `http://127.0.0.1:${port}`;
    const alive = (url: string) =>
      rawExchange(url, "GET", "/healthz").then(
        (t) => t.startsWith("HTTP/1.1 200"),
        () => false,
      );
    await until("the new port", () => alive(moved));
    await until("the old port is closed", async () => !(await alive(proxy.url)));
    expect(await proxy.stop()).toBe(0);
  });
});

describe("health", () => {
  test.concurrent("answers without a key and reveals nothing", async () => {
    const proxy = await start();
    for (const path of ["/healthz", "/health", "/readyz"]) {
      const text = await rawExchange(proxy.url, "GET", path);
      expect(text).toStartWith("HTTP/1.1 200");
      expect(text).not.toMatch(/cliproxy|bun|version|oai|auths|0\.1\.0/i);
      expect(text.split("\r\n\r\n")[1]?.length).toBeLessThan(60);
    }
    expect(await proxy.stop()).toBe(0);
  });
});

describe("a start without a configuration, in an empty directory", () => {
  test.concurrent("binds loopback, serves the sandbox, and its curl line works as printed", async () => {
    const proxy = await startProxy({ noConfig: true, args: () => ["serve", "--port", "0"] });
    expect(new URL(proxy.url).hostname).toBe("127.0.0.1");
    await until("the whole greeting", () => proxy.stdout().includes("curl "));
    await until("its last line", () => proxy.stdout().endsWith("\n\n"));
    const out = proxy.stdout();
    expect(out).toContain("client.key");
    expect(out).toContain("enforced");
    const command = out.slice(out.indexOf("curl "));
    const shell = execFileSync("bash", ["-c", command], {
      cwd: join(proxy.dir, "cwd"),
      env: cleanEnv(),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(shell).toContain("data: ");
    expect(shell).toEndWith("data: [DONE]\n\n");
    expect(await proxy.stop()).toBe(0);
  });

  test.concurrent("a taken port is one clear sentence, and no stack", async () => {
    const port = new URL(upstream.url).port;
    const started = startProxy({ noConfig: true, args: () => ["serve", "--port", port] });
    const failure = await started.catch((error: Error) => error.message);
    expect(failure).toContain(port);
    expect(failure).toMatch(/in use|EADDRINUSE/);
    expect(failure).not.toMatch(/\n\s+at /);
  });
});

describe("as PID 1", () => {
  const isPossible = spawnSync("unshare", ["-pf", "--mount-proc", "true"]).status === 0;
  test.concurrent.if(isPossible)(
    "ends by SIGTERM with exit code 0, a stream finishes",
    async () => {
      const proxy = await startProxy({
        config: { providers: providersOf(upstream.url) },
        wrap: ["unshare", "-pf", "--mount-proc"],
      });
      const children = readFileSync(`/proc/${proxy.pid}/task/${proxy.pid}/children`, "utf8");
      const inner = Number(children.trim().split(" ")[0]);
      expect(readFileSync(`/proc/${inner}/status`, "utf8")).toMatch(/NSpid:\s+\d+\s+1\n/);
      const answer = await stream(proxy, "m-paced");
      process.kill(inner, "SIGTERM");
      expect(await answer.text()).toEndWith("data: [DONE]\n\n");
      expect(await within("exit", proxy.exited, 3000)).toBe(0);
    },
  );
});

describe("one failure that nobody awaits", () => {
  test.concurrent("never ends the process", () => {
    const code = [
      'import { onStray } from "./src/runtime/process.ts";',
      'onStray((error) => console.log("heard", String(error)));',
      'Promise.reject(new Error("rejected"));',
      'setTimeout(() => { throw new Error("thrown"); }, 1);',
      'setTimeout(() => console.log("alive"), 30);',
    ].join("\n");
    const ran = spawnSync(process.execPath, ["-e", code], {
      cwd: resolve(import.meta.dirname, "../.."),
      encoding: "utf8",
    });
    expect(ran.stdout).toBe("heard Error: rejected\nheard Error: thrown\nalive\n");
    expect(ran.status).toBe(0);
  });
});
