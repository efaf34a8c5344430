import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { vaultKeys } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { OAuthServer } from "../harness/oauth-server.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { sleep, until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

async function call(proxy: RunningProxy): Promise<number> {
  const messages = [{ role: "user", content: "hi" }];
  const reply = await proxy.post("/v1/chat/completions", { model: "m", messages });
  await reply.text();
  return reply.status;
}

test("a renamed file serves at once, a half one keeps the old; a refused one is told", async () => {
  const api = await new OAuthServer().open();
  const [one, two] = [api.issue(), api.issue()];
  const text = (token: string): string => JSON.stringify({ type: "api_key", token });
  const proxy = await startProxy({
    config: {
      providers: { acme: { protocol: "openai", base_url: api.url, models: ["m"] } },
      ...{ state: { store: "memory" }, metrics: { enabled: true, port: 0 } },
      logging: { audit: { enabled: true, file: "audit.log" } },
      auth: { encryption: { enabled: true, key: vaultKeys[0] } },
    },
    prepare(dir) {
      mkdirSync(join(dir, "auths"), { mode: 0o700 });
      writeFileSync(join(dir, "auths/acme.json"), text(one), { mode: 0o600 });
    },
  });
  const file = join(proxy.authDir, "acme.json");
  const scrape = async (): Promise<string> =>
    (await fetch(`${proxy.greeting.listeners.metrics}`)).text();
  await until("the start says how many", () => proxy.stderr().includes("credential files"));
  expect(proxy.stderr()).toMatch(/credential files.*"encrypted":0,"plain":1,"refused":0/);
  expect(await call(proxy)).toBe(200);
  expect(await scrape()).toContain('cliproxy_credential_files{form="plain"} 1');
  writeFileSync(join(proxy.authDir, ".new"), text(two), { mode: 0o600 });
  const renamedAt = performance.now();
  renameSync(join(proxy.authDir, ".new"), file);
  await until("the new one", async () => {
    await call(proxy);
    return api.calls.at(-1) === `Bearer ${two}`;
  });
  expect(performance.now() - renamedAt).toBeLessThan(1000);
  writeFileSync(file, text(one).slice(0, 30), { mode: 0o600 });
  await until("it is told", () => proxy.stderr().includes("still serves"));
  for (let i = 0; i < 3; i++) {
    expect(await call(proxy)).toBe(200);
    expect(api.calls.at(-1)).toBe(`Bearer ${two}`);
    await sleep(50);
  }
  const log = join(proxy.dir, "cwd/audit.log");
  await until("the record", () => {
    return existsSync(log) && readFileSync(log, "utf8").includes("credential_refused");
  });
  expect(await scrape()).toContain('cliproxy_credential_files{form="refused"} 1');
  for (const token of [one, two]) {
    expect(proxy.stderr() + readFileSync(log, "utf8")).not.toContain(token);
  }
  expect(await proxy.stop()).toBe(0);
}, 30_000);
