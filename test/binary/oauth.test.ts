import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { cleanUp } from "../harness/cleanup.ts";
import { OAuthServer, tokenFaults } from "../harness/oauth-server.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until, within } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const day = "2999-01-01T00:00:00Z";
const past = "2020-01-01T00:00:00Z";

/** A file of type oauth for a server. */
function fileFor(server: OAuthServer, more: object = {}): object {
  return {
    ...{ type: "oauth", refresh_token: server.refreshToken, token_url: server.tokenUrl },
    ...{ client_id: "my-client", ...more },
  };
}

interface Options {
  readonly protocol?: string;
  readonly provider?: object;
  readonly config?: object;
  readonly dir?: string;
}

async function start(server: OAuthServer, file: object, options: Options = {}) {
  const { protocol = "openai", provider = {}, config = {}, dir } = options;
  const acme = { protocol, base_url: server.url, models: ["m"], ...provider };
  const audit = { enabled: true, file: "audit.log" };
  return startProxy({
    config: {
      providers: { acme },
      state: { store: "memory" },
      metrics: { enabled: true, port: 0 },
      logging: { audit },
      ...(dir !== undefined && { auth: { dir } }),
      ...config,
    },
    prepare(own) {
      if (dir === undefined) put(join(own, "auths"), file);
    },
  });
}

function put(dir: string, file: object): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, "acme.json"), JSON.stringify(file), { mode: 0o600 });
}

async function call(proxy: RunningProxy): Promise<number> {
  const messages = [{ role: "user", content: "hi" }];
  const reply = await proxy.post("/v1/chat/completions", { model: "m", messages });
  await reply.text();
  return reply.status;
}

function stored(proxy: RunningProxy): Record<string, string> {
  return JSON.parse(readFileSync(join(proxy.authDir, "acme.json"), "utf8"));
}

function refreshes(proxy: RunningProxy): { result: string; details: Record<string, unknown> }[] {
  const log = join(proxy.dir, "cwd", "audit.log");
  const text = existsSync(log) ? readFileSync(log, "utf8") : "";
  return text
    .split("\n")
    .filter((line) => line.includes('"token_refresh"'))
    .map((line) => JSON.parse(line));
}

async function openServer(): Promise<OAuthServer> {
  return new OAuthServer().open();
}

describe("refreshing", () => {
  test("200 requests on an expired token: one question, and the file holds what came", async () => {
    const server = await openServer();
    server.rotates = true;
    server.delayMs = 300;
    const file = fileFor(server, { access_token: "old-token-1", expires_at: past, label: "mine" });
    const proxy = await start(server, file);
    const statuses = await Promise.all(Array.from({ length: 200 }, () => call(proxy)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(server.asked).toHaveLength(1);
    expect(server.asked[0]?.form).toEqual({
      ...{ grant_type: "refresh_token", refresh_token: "refresh-0", client_id: "my-client" },
    });
    expect(stored(proxy)).toMatchObject({ refresh_token: server.refreshToken, label: "mine" });
    expect(server.calls).not.toContain("Bearer old-token-1");
    await until("the record", () => refreshes(proxy).length === 1);
    expect(refreshes(proxy)[0]).toMatchObject({
      ...{ provider: "acme", user_id: "", ip: "", result: "success" },
      details: { credential_id: "acme", rotated: true },
    });
    expect(await proxy.stop()).toBe(0);
    const all = proxy.stdout() + proxy.stderr();
    for (const secret of ["refresh-0", ...server.valid]) expect(all).not.toContain(secret);
  });

  test("401: one refresh, one more try; then 401 is told", async () => {
    const server = await openServer();
    const file = fileFor(server, { access_token: "revoked-token-1", expires_at: day });
    const proxy = await start(server, file);
    const statuses = await Promise.all(Array.from({ length: 50 }, () => call(proxy)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(server.asked).toHaveLength(1);
    server.valid.clear();
    const before = server.calls.length;
    // The token is new: another one would be refused as well.
    expect(await call(proxy)).toBe(502);
    expect([server.asked.length, server.calls.length]).toEqual([1, before + 1]);
    expect(await proxy.stop()).toBe(0);
  });

  test("ahead of expiry, while the old token serves", async () => {
    const server = await openServer();
    const soon = new Date(Date.now() + 4000).toISOString();
    const file = fileFor(server, { access_token: server.issue(), expires_at: soon });
    const proxy = await start(server, file);
    expect(await call(proxy)).toBe(200);
    await until("a refresh nobody asked for", () => server.asked.length > 0, 15_000);
    expect(await call(proxy)).toBe(200);
    const page = await (await fetch(proxy.greeting.listeners.metrics ?? "")).text();
    expect(page).toMatch(/cliproxy_token_expires_in_seconds\{[^}]*credential="acme"[^}]*\} \d+/);
    expect(page).toMatch(/cliproxy_token_refreshes_total\{[^}]*result="success"[^}]*\} 1/);
    expect(await proxy.stop()).toBe(0);
  }, 30_000);

  test("faults of the token endpoint, each waited out, then a good answer", async () => {
    const server = await openServer();
    server.fail(tokenFaults.huge, tokenFaults.redirect(`${server.url}/token`), tokenFaults.cut);
    const proxy = await start(server, fileFor(server));
    await until("it is refused meanwhile", async () => (await call(proxy)) === 503);
    await until("it serves", async () => (await call(proxy)) === 200, 60_000);
    await until("all records", () => refreshes(proxy).length === 4);
    expect(refreshes(proxy).map(({ result, details }) => details.reason ?? result)).toEqual([
      ...["bad_answer", "redirected", "unreachable", "success"],
    ]);
    expect(await proxy.stop()).toBe(0);
  }, 90_000);

  test("invalid_grant: disabled, told once, until the file changes", async () => {
    const server = await openServer();
    const proxy = await start(server, fileFor(server, { refresh_token: "used-up-token" }));
    await until("the record", () => refreshes(proxy).length === 1);
    expect(await call(proxy)).toBe(503);
    expect(await call(proxy)).toBe(503);
    expect(server.asked).toHaveLength(1);
    expect(refreshes(proxy)[0]).toMatchObject({
      result: "failure",
      details: { reason: "invalid_grant" },
    });
    expect(proxy.stderr()).toContain("disabled until its file changes");
    put(proxy.authDir, fileFor(server));
    await until("the new file serves", async () => (await call(proxy)) === 200);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("two processes and a sudden end", () => {
  test("two proxies on one folder: one question", async () => {
    const server = await openServer();
    server.rotates = true;
    server.delayMs = 500;
    const file = fileFor(server, { access_token: "old-token-1", expires_at: past });
    const one = await start(server, file);
    const two = await start(server, file, { dir: one.authDir });
    await until("both serve", async () => {
      const statuses = await Promise.all([call(one), call(two)]);
      return statuses.every((status) => status === 200);
    });
    expect(server.asked).toHaveLength(1);
    expect(await one.stop()).toBe(0);
    expect(await two.stop()).toBe(0);
  }, 30_000);

  test("SIGKILL once the new refresh token is on disk: the next process goes on with it", async () => {
    const server = await openServer();
    server.rotates = true;
    const file = fileFor(server, { access_token: "old-token-1", expires_at: past });
    const proxy = await start(server, file);
    await until("it is on disk", () => stored(proxy).refresh_token !== "refresh-0");
    process.kill(proxy.pid, "SIGKILL");
    await proxy.exited;
    const again = await start(server, file, { dir: proxy.authDir });
    server.valid.clear();
    expect(await call(again)).toBe(200);
    expect(server.asked.map(({ form }) => form.refresh_token)).toEqual(["refresh-0", "refresh-1"]);
    expect(await again.stop()).toBe(0);
  }, 30_000);

  test("removed while its refresh is on the way: it does not come back", async () => {
    const server = await openServer();
    let go: () => void = () => {};
    server.fail(
      tokenFaults.held(
        new Promise<void>((resolve) => {
          go = resolve;
        }),
      ),
    );
    const key = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";
    const proxy = await start(server, fileFor(server), { config: { management: { key } } });
    await until("it is asked", () => server.asked.length === 1);
    const removed = await within(
      "the answer",
      fetch(`${proxy.url}/v0/management/auths/acme`, {
        method: "DELETE",
        headers: { authorization: `Bearer ${key}` },
      }),
    );
    expect([removed.status, await removed.json()]).toEqual([
      200,
      { provider: "acme", removed: ["default"] },
    ]);
    go();
    expect(await call(proxy)).toBe(503);
    expect(existsSync(join(proxy.authDir, "acme.json"))).toBe(false);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("whose client, and which header", () => {
  test("the provider's client for a file without one; never its secret for one with", async () => {
    const server = await openServer();
    const oauth = { token_url: server.tokenUrl, client_id: "configured", client_secret: "s3cret" };
    const bare = { type: "oauth", refresh_token: "refresh-0" };
    const proxy = await start(server, bare, { provider: { oauth } });
    expect(await call(proxy)).toBe(200);
    const basic = `Basic ${btoa("configured:s3cret")}`;
    expect(server.asked.map(({ authorization }) => authorization)).toEqual([basic]);
    put(proxy.authDir, fileFor(server, { client_id: "own" }));
    await until("the other client", () => server.asked.length === 2);
    expect(server.asked[1]?.authorization).toBeUndefined();
    expect(server.asked[1]?.form.client_secret).toBeUndefined();
    expect(await proxy.stop()).toBe(0);
  });

  test("Anthropic's SDK through an OAuth credential: a bearer token, and no key", async () => {
    const server = await openServer();
    const proxy = await start(server, fileFor(server), { protocol: "claude" });
    const client = new Anthropic({ baseURL: proxy.url, apiKey: clientKey, maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "hi" }];
    const reply = await client.messages.create({ model: "m", max_tokens: 10, messages });
    expect(reply.content).toMatchObject([{ type: "text", text: "hello" }]);
    expect(server.valid.has(server.calls[0]?.slice("Bearer ".length) ?? "")).toBe(true);
    expect(await proxy.stop()).toBe(0);
  });

  test("a service account on Vertex's paths: an assertion that its key has signed", async () => {
    const server = await openServer();
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const file = {
      ...{ type: "service_account", project_id: "p", private_key_id: "kid-1" },
      private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
      ...{ client_email: "robot@p.iam.example", token_uri: server.tokenUrl },
    };
    const path = "v1/projects/p/locations/l/publishers/google";
    const proxy = await start(server, file, {
      ...{ protocol: "gemini", provider: { api_path: path } },
    });
    const reply = await proxy.post("/v1beta/models/m:generateContent", {
      contents: [{ role: "user", parts: [{ text: "hi" }] }],
    });
    expect([reply.status, await reply.text()]).toEqual([200, expect.stringContaining("hello")]);
    expect(server.paths).toEqual([`/${path}/models/m:generateContent`]);
    const { form } = server.asked[0] ?? { form: {} as Record<string, string> };
    expect(form.grant_type).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer");
    const assertion = form.assertion ?? "";
    expect(decodeProtectedHeader(assertion)).toEqual({ alg: "RS256", typ: "JWT", kid: "kid-1" });
    const { iss, aud, scope, iat = 0, exp = 0 } = decodeJwt(assertion);
    expect([iss, aud, scope]).toEqual([
      ...["robot@p.iam.example", server.tokenUrl],
      "https://www.googleapis.com/auth/cloud-platform",
    ]);
    expect(exp - iat).toBeLessThanOrEqual(3600);
    expect(await proxy.stop()).toBe(0);
  });
});
