import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { OAuthServer, tokenFaults } from "../harness/oauth-server.ts";
import {
  cleanEnv,
  configOf,
  makeDir,
  needBinary,
  programOf,
  startProxy,
} from "../harness/proxy.ts";
import { until, within } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const encryptionKey = "8f3b1c6e9a7d4052c1e8b7f6a5d4c3b2918f7e6d5c4b3a291807f6e5d4c3b2a1";
const clientSecret = "client-secret-Qm2vXz9Kd4Lw8Rb1";

/** A configuration that can log in to a server, in a directory of its own. */
function configFor(server: OAuthServer, auth: object = {}) {
  const dir = makeDir();
  const oauth = {
    ...{ token_url: server.tokenUrl, device_url: `${server.url}/device`, client_id: "my-client" },
    client_secret: clientSecret,
  };
  const acme = { protocol: "openai", base_url: server.url, models: ["m"], oauth };
  const config = configOf(dir, {
    ...{ auth, providers: { acme }, state: { store: "memory" } },
  });
  const file = join(dir, "config.yaml");
  writeFileSync(file, JSON.stringify(config));
  return { dir, file, config, authDir: join(dir, "auths") };
}

/** Begins a login; it goes on by itself. */
function begin(file: string, ...more: readonly string[]) {
  const all = [...programOf(undefined), "auths", "login", "acme", ...more, "--config", file];
  const [program = "", ...words] = all;
  const child = spawn(program, words, { env: cleanEnv(), stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  const exited = new Promise<number | string>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  onCleanup(() => void child.kill("SIGKILL"));
  return {
    child,
    out: () => out,
    err: () => err,
    end: () => within("the end of the login", exited, 30_000),
  };
}

/** What is in the directory of credentials, if there is one. */
function filesOf(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

async function openServer(...errors: readonly string[]): Promise<OAuthServer> {
  const server = await new OAuthServer().open();
  server.deviceErrors.push(...errors);
  return server;
}

describe("a login that the user agrees to", () => {
  test("shows where and what to type, waits, and leaves a credential that serves", async () => {
    const server = await openServer("authorization_pending", "authorization_pending");
    const { dir, file, config, authDir } = configFor(server);
    const login = begin(file);
    expect([await login.end(), login.err()]).toEqual([0, ""]);
    expect(login.out()).toBe(
      `Open ${server.url}/activate and type in the code WDJB-MJHT\nacme default: logged in\n`,
    );
    expect(server.asked).toHaveLength(3);
    expect(server.asked[0]?.form).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      device_code: "device-code-1",
    });
    expect(server.asked[0]?.authorization).toBe(`Basic ${btoa(`my-client:${clientSecret}`)}`);
    const path = join(authDir, "acme.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [token = ""] = server.valid;
    const text = readFileSync(path, "utf8");
    expect(JSON.parse(text)).toMatchObject({ type: "oauth", access_token: token });
    // The client stays in the configuration.
    expect(text).not.toContain(clientSecret);
    for (const secret of [token, clientSecret]) expect(login.out()).not.toContain(secret);
    const proxy = await startProxy({
      config: { ...config, auth: { ...(config.auth as object), dir: join(dir, "auths") } },
    });
    const messages = [{ role: "user", content: "hi" }];
    const reply = await proxy.post("/v1/chat/completions", { model: "m", messages });
    expect([reply.status, server.calls]).toEqual([200, [`Bearer ${token}`]]);
    expect(await proxy.stop()).toBe(0);
  }, 60_000);

  test("encrypted where a key is configured, under another id, told as JSON", async () => {
    const server = await openServer();
    const { file, authDir } = configFor(server, {
      encryption: { enabled: true, key: encryptionKey },
    });
    const login = begin(file, "work", "--json");
    expect([await login.end(), login.err()]).toEqual([0, ""]);
    const lines = login.out().trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { verification_uri: `${server.url}/activate`, user_code: "WDJB-MJHT", expires_in: 60 },
      { provider: "acme", id: "work", result: "added" },
    ]);
    const text = readFileSync(join(authDir, "acme-work.json"), "utf8");
    const [token = "none"] = server.valid;
    expect(text).not.toContain(token);
    expect(text).not.toContain("access_token");
  }, 60_000);

  test("slow_down is heeded", async () => {
    const server = await openServer("slow_down");
    const { file } = configFor(server);
    const at: number[] = [];
    const login = begin(file);
    await until("the first question", () => server.asked.length === 1, 20_000);
    at.push(performance.now());
    await until("the second question", () => server.asked.length === 2, 20_000);
    at.push(performance.now());
    // Six seconds of the client's clock; `until` looks less often.
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(5000);
    expect(await login.end()).toBe(0);
  }, 60_000);
});

describe("a login that fails leaves nothing", () => {
  test.each([
    ["access_denied", "the login was refused", "log in again, and agree"],
    ["expired_token", "the code was not typed in in time", "log in again"],
    ["invalid_client", "the login failed: invalid_client", "see docs/credentials.md"],
  ])(
    "%s",
    async (error, message, mend) => {
      const server = await openServer("authorization_pending", error);
      const { file, authDir } = configFor(server);
      const login = begin(file, "--json");
      expect(await login.end()).toBe(1);
      expect(JSON.parse(login.err())).toMatchObject({ error: { code: error, message, mend } });
      expect(server.asked).toHaveLength(2);
      expect(filesOf(authDir)).toEqual([]);
    },
    60_000,
  );

  test("a token endpoint that redirects is not followed", async () => {
    const server = await openServer();
    server.fail(tokenFaults.redirect(`${server.url}/token`));
    const { file, authDir } = configFor(server);
    const login = begin(file);
    expect(await login.end()).toBe(1);
    expect(login.err()).toContain("redirected");
    expect([server.asked.length, filesOf(authDir)]).toEqual([1, []]);
  }, 60_000);

  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s while it waits",
    async (signal) => {
      const server = await openServer(...Array.from({ length: 60 }, () => "authorization_pending"));
      const { file, authDir } = configFor(server);
      const login = begin(file);
      await until("the first question", () => server.asked.length > 0, 20_000);
      login.child.kill(signal);
      const end = await login.end();
      expect(end).not.toBe(0);
      expect(filesOf(authDir)).toEqual([]);
      expect(login.err()).not.toMatch(/\n\s+at /);
    },
    60_000,
  );

  test("a provider without a client is wrong usage, and nobody is asked", async () => {
    const server = await openServer();
    const { file, config } = configFor(server);
    const acme = { protocol: "openai", base_url: server.url };
    writeFileSync(file, JSON.stringify({ ...config, providers: { acme } }));
    const login = begin(file);
    expect(await login.end()).toBe(2);
    expect(login.err()).toContain("providers.acme.oauth");
    expect(server.asked).toEqual([]);
  });
});
