import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import {
  binary,
  clientKey,
  configOf,
  makeDir,
  needBinary,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";

let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  proxy = await startProxy({ config: { providers: { sandbox: {} } } });
});
afterAll(cleanUp);

function configFile(text: string | object): string {
  const dir = makeDir();
  const file = join(dir, "config.yaml");
  const config = typeof text === "string" ? text : configOf(dir, { ...text });
  writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config, null, 2));
  return file;
}

describe("exit codes", () => {
  const good = () => configFile({ providers: { sandbox: {} } });
  const bad = () => configFile("servre: {}\n");
  type Case = readonly [name: string, args: () => readonly string[], code: number];
  const cases: readonly Case[] = [
    ["help", () => ["help"], 0],
    ["--help", () => ["--help"], 0],
    ["help of a command", () => ["serve", "--help"], 0],
    ["version", () => ["version"], 0],
    ["--version", () => ["--version"], 0],
    ["check, good", () => ["check", "--config", good()], 0],
    ["check, defaults", () => ["check"], 0],
    ["policies list", () => ["policies", "list"], 0],
    ["policies plan", () => ["policies", "plan", "--config", good()], 0],
    ["keys new", () => ["keys", "new"], 0],
    ["completions", () => ["completions", "bash"], 0],
    ["healthcheck, alive", () => ["healthcheck", "--url", proxy.url], 0],
    ["healthcheck, dead", () => ["healthcheck", "--url", "http://127.0.0.1:1"], 1],
    ["nothing", () => [], 2],
    ["unknown command", () => ["serv"], 2],
    ["unknown option", () => ["serve", "--prot", "1"], 2],
    ["bad port", () => ["serve", "--port", "70000"], 2],
    ["group alone", () => ["policies"], 2],
    ["unknown shell", () => ["completions", "powershell"], 2],
    ["too many words", () => ["check", "extra"], 2],
    ["check, bad", () => ["check", "--config", bad()], 78],
    ["serve, bad", () => ["serve", "--config", bad()], 78],
    ["policies plan, bad", () => ["policies", "plan", "--config", bad()], 78],
    ["check, no such file", () => ["check", "--config", "/nonexistent.yaml"], 78],
    ["serve, no such file", () => ["serve", "--config", "/nonexistent.yaml"], 78],
  ];
  test.concurrent.each(cases)("%s", async (_name, args, code) => {
    const plain = await runBinary(args());
    expect({ code: plain.code, err: code === 0 ? plain.err : "" }).toEqual({ code, err: "" });
    if (code !== 0) expect(plain.err).not.toBe("");
    if (code !== 0) expect(plain.out).toBe("");
    expect(plain.err).not.toMatch(/\n\s+at .*:\d+:\d+/);
  });

  test.concurrent.each(cases)("%s, --json", async (name, args, code) => {
    if (name.startsWith("--version")) return;
    const ran = await runBinary([...args(), "--json"]);
    expect(ran.code).toBe(code);
    const text = ran.out === "" ? ran.err : ran.out;
    const lines = text.trimEnd().split("\n");
    expect(() => JSON.parse(name === "completions" ? "{}" : lines.join("\n"))).not.toThrow();
  });
});

describe("check", () => {
  type Case = readonly [name: string, yaml: string, where: string, words: readonly string[]];
  const cases: readonly Case[] = [
    ["unknown section", "servre:\n  port: 1\n", "1:1", ["servre", "server"]],
    ["unknown key", "server:\n  prot: 1\n", "2:3", ["server.prot", "port"]],
    ["wrong type", 'server:\n  port: "x"\n', "2:9", ["server.port"]],
    ["out of range", "server:\n  port: 70000\n", "2:9", ["server.port"]],
    ["no YAML", "server: [\n", "2:1", []],
    ["tab", "server:\n\tport: 1\n", "2:1", []],
    ["key twice", "server:\n  port: 1\n  port: 2\n", "3:3", []],
    ["duration without a unit", "server:\n  drain_timeout: 5\n", "2:18", ["unit"]],
    [
      "unset variable",
      'auth:\n  api_keys:\n    - { id: a, key: "${NO_SUCH}" }\n',
      "3:21",
      ["NO_SUCH"],
    ],
    ["unknown protocol", "providers:\n  x:\n    protocol: nope\n", "3:15", ["nope", "openai"]],
    ["name without a protocol", "providers:\n  x:\n    api_key: abc\n", "", ["protocol"]],
    ["no base_url", "providers:\n  x:\n    protocol: openai-compatible\n", "", ["base_url"]],
    [
      "plain http abroad",
      'providers:\n  x:\n    protocol: openai\n    base_url: "http://api.example.com"\n',
      "4:15",
      ["https"],
    ],
    [
      "user in the address",
      'providers:\n  x:\n    protocol: openai\n    base_url: "https://u:pw@api.example.com"\n',
      "4:15",
      ["password"],
    ],
  ];
  test.concurrent.each(cases)("%s", async (_name, yaml, where, words) => {
    const file = configFile(yaml);
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(code).toBe(78);
    expect(err).toContain(where === "" ? file : `${file}:${where}`);
    for (const word of words) expect(err).toContain(word);
    expect(err).not.toContain("u:pw");
    const json = await runBinary(["check", "--config", file, "--json"]);
    const { ok, problems } = JSON.parse(json.out) as { ok: boolean; problems: object[] };
    expect(ok).toBe(false);
    expect(problems).not.toHaveLength(0);
  });

  test.concurrent("several problems are told at once", async () => {
    const file = configFile("server:\n  prot: 1\n  hots: x\nfoo: 1\n");
    const { err } = await runBinary(["check", "--config", file]);
    for (const where of ["2:3", "3:3", "4:1"]) expect(err).toContain(`${file}:${where}`);
  });

  test.concurrent("says what would be enforced, and makes nothing", async () => {
    const dir = makeDir();
    const cwd = join(dir, "cwd");
    const { out, code } = await runBinary(["check"], { cwd });
    expect(code).toBe(0);
    expect(out).toContain("host-guard");
    expect(out).toContain("auth");
    expect(readdirSync(cwd)).toEqual([]);
  });

  test.concurrent("secrets stay out of plan and JSON", async () => {
    const file = configFile({
      providers: { openai: { api_key: "canary-provider-key-1" } },
    });
    for (const args of [["check"], ["policies", "plan"], ["check", "--json"]]) {
      const { out, err } = await runBinary([...args, "--config", file]);
      expect(out + err).not.toContain("canary-provider-key-1");
      expect(out + err).not.toContain(clientKey);
    }
  });
});

describe("where the configuration comes from", () => {
  const text = (port: number) => `server:\n  port: ${port}\n`;
  test.concurrent("--config, then $CLIPROXY_CONFIG, then ./config.yaml", async () => {
    const cwd = join(makeDir(), "cwd");
    writeFileSync(join(cwd, "config.yaml"), "here: 1\n");
    const env = { CLIPROXY_CONFIG: configFile("there: 1\n") };
    const option = ["--config", configFile("given: 1\n")];
    expect((await runBinary(["check", ...option], { cwd, env })).err).toContain("given");
    expect((await runBinary(["check"], { cwd, env })).err).toContain("there");
    expect((await runBinary(["check"], { cwd })).err).toContain("here");
  });

  test.concurrent("--host and --port override; options may stand in front", async () => {
    const file = configFile(`${text(1)}auth: { dir: ${join(makeDir(), "auths")} }\n`);
    const mine = await startProxy({
      args: () => ["--config", file, "serve", "--json", "--port=0", "--host", "localhost"],
    });
    expect(mine.url).toMatch(/^http:\/\/localhost:\d+$/);
    expect((await fetch(`${mine.url}/healthz`)).status).toBe(200);
    expect(await mine.stop()).toBe(0);
  });

  // Foreign files of the working directory must not become settings or code.
  test.concurrent("neither .env nor bunfig.toml of the working directory is read", async () => {
    const dir = makeDir();
    const cwd = join(dir, "cwd");
    writeFileSync(join(cwd, ".env"), `CLIPROXY_CONFIG=${join(dir, "evil.yaml")}\n`);
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
    writeFileSync(join(cwd, "evil.ts"), 'require("node:fs").writeFileSync("ran", "x");\n');
    writeFileSync(join(cwd, "package.json"), "not json");
    writeFileSync(join(cwd, "tsconfig.json"), "not json");
    const { code } = await runBinary(["check"], { cwd });
    expect(code).toBe(0);
    expect(existsSync(join(cwd, "ran"))).toBe(false);
  });
});

describe("healthcheck", () => {
  test.concurrent("finds the listener by the configuration", async () => {
    const { port } = new URL(proxy.url);
    const file = configFile({ server: { port: Number(port) } });
    const { code, out } = await runBinary(["healthcheck", "--config", file]);
    expect([code, out]).toEqual([0, `healthy: http://127.0.0.1:${port}/healthz\n`]);
  });

  test.concurrent("by $CLIPROXY_HEALTH_URL, in JSON", async () => {
    const env = { CLIPROXY_HEALTH_URL: `${proxy.url}/readyz` };
    const { code, out } = await runBinary(["healthcheck", "--json"], { env });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, status: 200 });
  });
});

describe("keys new", () => {
  test("makes a key that the configuration takes and the proxy accepts", async () => {
    const { out } = await runBinary(["keys", "new", "--id", "alice", "--json"]);
    const made = JSON.parse(out) as { key: string; key_sha256: string; yaml: string };
    expect(made.key_sha256).toBe(createHash("sha256").update(made.key).digest("hex"));
    expect(made.yaml).not.toContain(made.key);
    const mine = await startProxy({ configText: `server: { port: 0 }\n${made.yaml}` });
    const headers = { authorization: `Bearer ${made.key}` };
    expect((await mine.get("/v1/models", { headers })).status).toBe(200);
    expect((await mine.get("/v1/models")).status).toBe(401);
    expect(await mine.stop()).toBe(0);
  });
});

describe("version", () => {
  test("is the package's", async () => {
    const manifest = resolve(import.meta.dirname, "../../package.json");
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    expect((await runBinary(["--version"])).out).toBe(`cliproxy ${version}\n`);
    expect((await runBinary(["version"])).out).toContain(version);
  });

  test("says which commit and which sources it was built from", async () => {
    const told = JSON.parse((await runBinary(["version", "--json"])).out);
    expect(told.commit).toMatch(/^([0-9a-f]{40})?$/);
    expect(told.build).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("the file itself", () => {
  test("matches its checksum, and holds no path of the machine that built it", () => {
    const [digest, name] = readFileSync(`${binary}.sha256`, "utf8").trim().split(/\s+/);
    const bytes = readFileSync(binary);
    expect(name).toBe("cliproxy");
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(digest as string);
    expect(statSync(binary).mode & 0o111).not.toBe(0);
    expect(bytes.includes(resolve(import.meta.dirname, "../.."))).toBe(false);
  });
});

test("serve --json prints one line: url, listeners, config, keys, plan, warnings", async () => {
  const lines = proxy.stdout().trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  const keys = Object.keys(JSON.parse(lines[0] ?? "")).sort();
  expect(keys).toEqual(["config", "keys", "listeners", "plan", "url", "warnings"]);
  expect(proxy.greeting.config).toBe(proxy.configFile);
  const order = proxy.greeting.plan.policies.map((p) => `${p.name} ${p.mode}`);
  const always = ["host-guard enforce", "auth enforce", "management-auth enforce"];
  expect(order.filter((one) => always.includes(one))).toEqual(always);
  expect(await proxy.stop()).toBe(0);
});
