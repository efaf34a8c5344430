import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import {
  cleanEnv,
  clientKey,
  configOf,
  makeDir,
  needBinary,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { rawExchange } from "../harness/raw.ts";

const otherKey = "cpk_test-Lq8Zt3Vn6Xw1Bm5Rk9Pd2";
const sandbox = { providers: { sandbox: {} } };
const serve = (dir: string, ...more: readonly string[]) => [
  ...["serve", "--json", "--config", join(dir, "config.yaml")],
  ...more,
];

beforeAll(needBinary);
afterAll(cleanUp);

function writeConfig(config: object): { readonly dir: string; readonly file: string } {
  const dir = makeDir();
  const file = join(dir, "config.yaml");
  writeFileSync(file, JSON.stringify(configOf(dir, { ...config }), null, 2));
  return { dir, file };
}

interface Told {
  readonly ok: boolean;
  readonly problems: readonly { readonly path: string; readonly message: string }[];
}

describe("refused at start, with the key that is wrong:", () => {
  const key = { id: "a", key: clientKey };
  const far = { protocol: "openai", base_url: "https://api.example.com", api_key: "k" };
  type Case = readonly [name: string, config: object, at: string, word: string];
  const cases: readonly Case[] = [
    ...Object.entries({
      base_url: "http://127.0.0.1:1",
      api_key: "nobody-asks-for-it",
      api_path: "v2",
      allow_insecure: true,
      oauth: { token_url: "https://a.example/token", client_id: "c" },
    }).flatMap(([name, value]): Case[] => [
      [
        `${name} of the sandbox`,
        { providers: { sandbox: { [name]: value } } },
        `providers.sandbox.${name}`,
        "",
      ],
      [
        `${name} of a sandbox under another name`,
        { providers: { play: { protocol: "sandbox", [name]: value } } },
        `providers.play.${name}`,
        "",
      ],
    ]),
    [
      "one key twice",
      { ...sandbox, auth: { api_keys: [key, { ...key, id: "b" }] } },
      "auth.api_keys",
      "",
    ],
    [
      "a provider that a key names and nobody configures",
      { ...sandbox, auth: { api_keys: [{ ...key, providers: ["sandbox", "elsewhere"] }] } },
      "auth.api_keys",
      "elsewhere",
    ],
    [
      "one body is more than all",
      { ...sandbox, server: { limits: { body_bytes: "64MiB", body_bytes_in_flight: "32MiB" } } },
      "server.limits.body_bytes",
      "",
    ],
    [
      "no time for the first byte",
      { providers: { far: { ...far, timeout: { first_byte: "0s" } } } },
      "providers.far.timeout.first_byte",
      "",
    ],
    ["a host with spaces", { ...sandbox, server: { host: "a b c" } }, "server.host", ""],
  ];
  test.concurrent.each(cases)("%s", async (_name, config, at, word) => {
    const { file } = writeConfig(config);
    const checked = await runBinary(["check", "--json", "--config", file]);
    expect(checked.code).toBe(78);
    const { ok, problems } = JSON.parse(checked.out) as Told;
    expect(ok).toBe(false);
    expect(problems.filter((p) => p.path.startsWith(at))).not.toHaveLength(0);
    expect(JSON.stringify(problems)).toContain(word);
    const started = await runBinary(["serve", "--config", file]);
    expect(started.code).toBe(78);
    expect(started.err).toContain(file);
    for (const out of [checked.out, started.out + started.err]) {
      expect(out).not.toContain(clientKey);
      expect(out).not.toMatch(/\n\s+at .*:\d+:\d+/);
    }
  });

  test.concurrent("a directory as the configuration", async () => {
    for (const command of ["check", "serve"]) {
      const { code, out, err } = await runBinary([command, "--config", "."]);
      expect({ code, out }).toEqual({ code: 78, out: "" });
      expect(err).not.toBe("");
      expect(err).not.toMatch(/\n\s+at .*:\d+:\d+/);
    }
  });

  test.concurrent("a port in use", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    onCleanup(() => holder.close());
    await new Promise((resolve) => holder.once("listening", resolve));
    const { port } = holder.address() as { port: number };
    const { file } = writeConfig({ ...sandbox, server: { port } });
    for (const args of [
      ["--config", file],
      ["--port", `${port}`],
    ]) {
      const { code, err } = await runBinary(["serve", ...args]);
      expect(err).toContain(`${port}`);
      expect(err).toMatch(/server\.port|--port/);
      expect(err).not.toMatch(/\n\s+at .*:\d+:\d+/);
      expect(code).toBe(78);
    }
  });

  test.concurrent("a plain file in the place of auth.dir", async () => {
    const cwd = join(makeDir(), "cwd");
    writeFileSync(join(cwd, "auths"), "not a folder");
    const { code, err } = await runBinary(["serve", "--port", "0"], { cwd });
    expect(err).toContain("auth.dir");
    expect(err).not.toMatch(/\n\s+at .*:\d+:\d+/);
    expect(code).toBe(78);
  });

  const guessable = ["test", "aaaaaaaaaaaaaaaaaaaaaa", "your-api-key-1234567890"];
  test.concurrent.each(guessable)("a client.key of %p", async (text) => {
    const cwd = join(makeDir(), "cwd");
    mkdirSync(join(cwd, "auths"), { mode: 0o700 });
    writeFileSync(join(cwd, "auths", "client.key"), `${text}\n`, { mode: 0o600 });
    const { code, err } = await runBinary(["serve", "--port", "0"], { cwd });
    expect(code).toBe(78);
    expect(err).toContain("client.key");
    if (text !== "test") expect(err).not.toContain(text);
  });
});

describe("the end of a key", () => {
  const bad = [
    "2020-01-01T00:00:00+05",
    "2020-02-31T00:00:00Z",
    "2099-02-31T00:00:00Z",
    "2099-13-01T00:00:00Z",
    "2099-01-01T25:00:00Z",
    "",
  ];
  test.concurrent.each(bad)("%p lets nobody in", async (expires) => {
    const { file } = writeConfig({
      ...sandbox,
      auth: { api_keys: [{ id: "a", key: clientKey, expires }] },
    });
    const args = () => ["serve", "--config", file];
    const proxy = await startProxy({ args }).catch((error: Error) => error.message);
    if (typeof proxy === "string") {
      expect(proxy).toContain("ended with 78");
      expect(proxy).toContain("expires");
      return;
    }
    expect((await proxy.get("/v1/models")).status).toBe(401);
    expect(await proxy.stop()).toBe(0);
  });

  const good = ["2099-01-01T00:00:00Z", "2099-01-01T00:00:00.250Z", "2099-01-01T00:00:00+02:00"];
  test.concurrent.each(good)("%p is to come: the key works", async (expires) => {
    const auth = { api_keys: [{ id: "a", key: clientKey, expires }] };
    const proxy = await startProxy({ config: { ...sandbox, auth } });
    expect((await proxy.get("/v1/models")).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("loopback in other spellings is loopback:", () => {
  const hosts = ["127.0.0.1", "127.1", "LOCALHOST", "::ffff:127.0.0.1"];
  test.concurrent.each(hosts)("%s is guarded", async (host) => {
    const proxy = await startProxy({
      config: sandbox,
      args: (dir) => serve(dir, "--host", host),
    });
    const plan = proxy.greeting.plan.policies.map((p) => `${p.name} ${p.mode}`);
    expect(plan).toContain("host-guard enforce");
    const key = ["authorization", `Bearer ${clientKey}`] as const;
    const ask = (name: string) =>
      rawExchange(proxy.url, "GET", "/v1/models", [["host", name], key]);
    expect(await ask("evil.example")).toStartWith("HTTP/1.1 403");
    const { port } = new URL(proxy.url);
    expect(await ask(`127.0.0.1:${port}`)).toStartWith("HTTP/1.1 200");
    expect(await ask(`localhost:${port}`)).toStartWith("HTTP/1.1 200");
    expect(await proxy.stop()).toBe(0);
  });
});

describe("files that others may read or write", () => {
  const generatedKey = otherKey;
  const places = [
    ["client.key", 0o644, true],
    ["client.key", 0o600, false],
    ["sandbox.json", 0o666, true],
    ["sandbox.json", 0o600, false],
  ] as const;
  test.concurrent.each(places)("%s of mode %o: warned of %p", async (name, mode, isTold) => {
    const prepare = (dir: string): void => {
      const auths = join(dir, "cwd", "auths");
      mkdirSync(auths, { mode: 0o700 });
      const token = JSON.stringify({ type: "api_key", token: "canary-token-5Hs7" });
      const path = join(auths, name);
      writeFileSync(path, name === "client.key" ? `${generatedKey}\n` : token);
      // Whatever the umask is.
      chmodSync(path, mode);
    };
    const json = ["serve", "--json", "--port", "0"];
    const proxy = await startProxy({ noConfig: true, args: () => json, prepare });
    // In the greeting or as a line of the log.
    const log = proxy.stderr().split("\n");
    expect((await proxy.get("/healthz")).status).toBe(200);
    const told = [...proxy.greeting.warnings, ...log].filter((w) => w.includes(name));
    expect(told).toHaveLength(isTold ? 1 : 0);
    expect(JSON.stringify(told)).not.toContain(generatedKey);
    expect(JSON.stringify(told)).not.toContain("canary-token");
    expect(await proxy.stop()).toBe(0);
  });
});

test.concurrent("the second start's curl names the key file so that it works from anywhere", async () => {
  const key = otherKey;
  const proxy = await startProxy({
    noConfig: true,
    args: () => ["serve", "--port", "0"],
    prepare(dir) {
      const auths = join(dir, "cwd", "auths");
      mkdirSync(auths, { mode: 0o700 });
      writeFileSync(join(auths, "client.key"), `${key}\n`, { mode: 0o600 });
    },
  });
  const out = proxy.stdout();
  const path = /\$\(cat '([^']+)'\)/.exec(out)?.[1] ?? "";
  expect(path).toStartWith("/");
  expect(readFileSync(path, "utf8").trim()).toBe(key);
  const command = out.slice(out.indexOf("curl "));
  const shell = execFileSync("bash", ["-c", command], {
    cwd: "/",
    env: cleanEnv(),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(shell).toEndWith("data: [DONE]\n\n");
  expect(await proxy.stop()).toBe(0);
});

describe("a secret in the wrong place is not told:", () => {
  const random = "q7Xv2Kd9Lw4Rb8Tn1Yc6Hs3";
  const security = { ip_allowlist: { enabled: true, allowed_ips: random } };
  const wrong = { server: { security }, metrics: { port: random, enabled: random } };
  test.each(["check", "check --json", "serve", "serve --json", "doctor --json"])(
    "%s",
    async (words) => {
      const { file } = writeConfig(wrong);
      const { code, out, err } = await runBinary([...words.split(" "), "--config", file]);
      expect(code).toBe(78);
      expect(out + err).toContain("must be a list, but is text");
      expect(out + err).not.toContain("q7Xv");
    },
  );
});
