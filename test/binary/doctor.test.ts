import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { geteuid } from "node:process";
import type { Report } from "../../src/doctor/report.ts";
import { cleanUp } from "../harness/cleanup.ts";
import {
  cleanEnv,
  makeDir,
  needBinary,
  programOf,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const nobody = 65534;
const isRoot = geteuid?.() === 0;

/** A house that is as it should be, but for what the machine is like. */
function makeHouse(more = ""): { dir: string; config: string; auths: string } {
  const dir = makeDir();
  const [config, auths] = [join(dir, "config.yaml"), join(dir, "auths")];
  mkdirSync(auths, { mode: 0o700 });
  const text = `auth: { dir: ${auths} }\nstate: { path: ${dir}/state/s.db }\n${more}\n`;
  writeFileSync(config, text, { mode: 0o600 });
  return { dir, config, auths };
}

async function doctor(
  config: string,
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; report: Report; all: string }> {
  const args = ["doctor", "--json", "--config", config, ...words];
  const { code, out, err } = await runBinary(args, { env });
  return { code, report: JSON.parse(out) as Report, all: out + err };
}

function idsOf({ findings }: Report): string[] {
  return findings.map(({ id }) => id);
}

/** Areas that say nothing of the machine that runs the tests. */
const own = ["config", "files", "secrets", "keys", "exposure"].flatMap((area) => ["--only", area]);

describe("exit codes", () => {
  test("0: nothing as bad as that", async () => {
    const { config } = makeHouse();
    const { code, report } = await doctor(config, own);
    expect([code, report.ok, report.complete]).toEqual([0, true, true]);
  });

  test.each([
    ["critical", 0],
    ["high", 1],
    ["medium", 1],
    ["low", 1],
  ])("a high finding and --fail-on %s: %i", async (failOn, expected) => {
    const { config, auths } = makeHouse("management: { key: kd83nfq0xm2v7bz1kd83qfq0xm2v7bz1 }");
    chmodSync(auths, 0o700);
    const { code } = await doctor(config, [...own, "--fail-on", failOn]);
    expect(code).toBe(expected);
  });

  test("78: what needs no settings is looked at all the same", async () => {
    const { config, auths } = makeHouse("server: { prot: 1 }");
    writeFileSync(join(auths, "claude.json"), '{"token":"x"}');
    chmodSync(join(auths, "claude.json"), 0o644);
    const { code, report } = await doctor(config);
    expect([code, report.ok, report.complete]).toEqual([78, false, false]);
    expect(idsOf(report)).toContain("config-broken");
    expect(idsOf(report)).toContain("files-credential-mode");
  });

  test("78: the file does not exist", async () => {
    const { code, report } = await doctor("/nowhere/config.yaml");
    expect([code, idsOf(report)[0]]).toEqual([78, "config-broken"]);
  });

  test("2: an id that there is not, with the one that was meant", async () => {
    const { code, err } = await runBinary(["doctor", "--explain", "files-key-mod"]);
    expect([code, err.includes("files-key-mode")]).toEqual([2, true]);
  });
});

test("--explain tells the entry of the page", async () => {
  const { code, out } = await runBinary(["doctor", "--explain", "files-key-mode"]);
  expect(code).toBe(0);
  expect(out).toMatch(/^files-key-mode \(files, usually critical\)\n {2}A key of the house/);
});

test("--only looks at no other area", async () => {
  const { config } = makeHouse();
  const { report } = await doctor(config, ["--only", "checklist"]);
  expect(new Set(report.findings.map(({ area }) => area))).toEqual(new Set(["checklist"]));
});

test("for a person: by severity, with mend and page, and without colours in a pipe", async () => {
  const { config, auths } = makeHouse();
  chmodSync(auths, 0o777);
  const { code, out } = await runBinary(["doctor", "--config", config]);
  expect(code).toBe(1);
  expect(out).toContain(`  found `);
  expect(out).toContain(`    mend  chmod 700 ${auths}\n`);
  expect(out).toContain("    docs  docs/doctor.md#files-auth-dir-mode\n");
  expect(out).not.toContain("\u001b");
});

test("no secret is printed, wherever it stands", async () => {
  const canary = "CANARY8d3f1c9a7e5b2d4f6a8c";
  const { config, auths } = makeHouse(
    [
      `management: { key: mgmt-${canary} }`,
      `providers: { claude: { api_key: sk-ant-${canary}, base_url: "http://127.0.0.1:9" } }`,
      `# old: sk-ant-api03-${canary}`,
    ].join("\n"),
  );
  writeFileSync(join(auths, "claude.json"), JSON.stringify({ type: "api_key", token: canary }));
  const env = { SOME_API_KEY: canary };
  const usual = await doctor(config, [], env);
  expect(idsOf(usual.report)).toContain("secrets-literal");
  expect(idsOf(usual.report)).toContain("secrets-pasted");
  expect(idsOf(usual.report)).toContain("secrets-plaintext");
  expect(idsOf(usual.report)).toContain("secrets-unread-variable");
  const text = await runBinary(["doctor", "--config", config], { env });
  writeFileSync(config, `auth: { api_keys: ${canary} }\nmanagement: ${canary}\n`);
  const broken = await doctor(config, [], env);
  for (const all of [usual.all, text.out + text.err, broken.all]) {
    expect(all).not.toContain("CANARY");
  }
});

test("modes of real files appear, and vanish when they are mended", async () => {
  const secret = join(makeDir(), "management.secret");
  writeFileSync(secret, "kd83nfq0xm2v7bz1kd83qfq0xm2v7bz1\n");
  const { config, auths } = makeHouse(`management: { key_file: ${secret} }`);
  const credential = join(auths, "claude.json");
  writeFileSync(credential, "{}");
  for (const [path, bad, good, id] of [
    [auths, 0o755, 0o700, "files-auth-dir-mode"],
    [credential, 0o640, 0o600, "files-credential-mode"],
    [secret, 0o644, 0o640, "files-secret-mode"],
    [config, 0o622, 0o600, "files-config-writable"],
  ] as const) {
    chmodSync(path, bad);
    expect(idsOf((await doctor(config, own)).report)).toContain(id);
    chmodSync(path, good);
    expect(idsOf((await doctor(config, own)).report)).not.toContain(id);
  }
});

describe.if(isRoot)("as another user", () => {
  function asNobody(dir: string, args: readonly string[]) {
    const [program, ...words] = [...programOf(undefined), ...args] as [string, ...string[]];
    const options = { cwd: join(dir, "cwd"), env: cleanEnv(), encoding: "utf8" as const };
    const ids = { uid: nobody, gid: nobody };
    return spawnSync(program, words, { ...options, ...ids, timeout: 20_000 });
  }

  test("uid 65534 sees files of its own as fine, and root's as unreadable", () => {
    const { dir, config, auths } = makeHouse();
    for (const path of [dir, config, auths]) chownSync(path, nobody, nobody);
    const args = ["doctor", "--json", "--config", config, ...own];
    const first = asNobody(dir, args);
    // Where others may not run the program, there is nothing to see.
    const fine = JSON.parse(first.stdout) as Report;
    expect(idsOf(fine)).not.toContain("container-root");
    expect(idsOf(fine).filter((id) => id.startsWith("files-owner"))).toEqual([]);
    chownSync(auths, 0, 0);
    const report = JSON.parse(asNobody(dir, args).stdout) as Report;
    const found = report.findings.find(({ id }) => id === "files-unreadable");
    expect(found?.evidence).toContain("as uid 65534");
    expect(found?.mend).toBe(`chown 65534 ${auths}`);
  });
});

describe("serve --strict", () => {
  test("a critical finding: 78, nothing bound, the same words", async () => {
    const { config, auths } = makeHouse("server: { port: 0 }");
    chmodSync(auths, 0o777);
    chmodSync(join(auths, ".."), 0o755);
    const { code, out, err } = await runBinary(["serve", "--strict", "--config", config]);
    expect([code, out]).toEqual([78, ""]);
    const { out: told } = await runBinary(["doctor", "--config", config, "--only", "files"]);
    const entry = /^ {2}files-auth-dir-mode[\s\S]*?docs\/.*\n/m.exec(told)?.[0] ?? "missing";
    expect(err).toContain(entry);
    const json = await runBinary(["serve", "--strict", "--json", "--config", config]);
    const report = JSON.parse(json.out) as Report;
    expect([json.code, report.ok]).toEqual([78, false]);
    expect(new Set(report.findings.map(({ severity }) => severity))).toEqual(new Set(["critical"]));
  });

  test("--host counts: without TLS beyond this machine", async () => {
    const { config } = makeHouse("server: { port: 0 }");
    const args = ["serve", "--strict", "--host", "0.0.0.0", "--config", config];
    const { code, err } = await runBinary(args);
    expect([code, err.includes("exposure-plain-http")]).toEqual([78, true]);
  });

  test("without one it serves, and a reload to one is rejected", async () => {
    const proxy = await startProxy({
      args: (dir) => ["serve", "--json", "--strict", "--config", join(dir, "config.yaml")],
      prepare: (dir) => {
        chmodSync(join(dir, "config.yaml"), 0o600);
        mkdirSync(join(dir, "auths"), { mode: 0o700 });
      },
    });
    proxy.writeConfig({ server: { port: 0, trusted_proxies: ["0.0.0.0/1", "128.0.0.0/1"] } });
    await until("the reload is rejected", async () => {
      const { reload } = (await (await proxy.get("/readyz")).json()) as { reload: string };
      return reload === "rejected";
    });
    await until("the log says why", () =>
      proxy.stderr().includes("--strict: exposure-proxies-wide"),
    );
    await proxy.stop();
  });
});
