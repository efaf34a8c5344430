import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ended, makeAuthsPlace, vaultKeys } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { binary, cleanEnv, makeDir, needBinary } from "../harness/proxy.ts";
import { sleep } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const token = (n: number): string => `sk-ant-api03-Zk3vQ9xT7mW2Lw8R-${1000 + n}`;

/** Auth files as CLIProxyAPI writes them. */
function writeForeign(count: number): string {
  const dir = makeDir();
  for (let i = 0; i < count; i++) {
    const content = { type: "claude", access_token: token(i), email: `user${i}@example.org` };
    writeFileSync(join(dir, `claude-user${i}@example.org.json`), JSON.stringify(content));
  }
  return dir;
}

test("`import` that is broken off goes on where it was", async () => {
  const place = makeAuthsPlace();
  const count = 40;
  const foreign = writeForeign(count);
  const before = readdirSync(foreign);
  let killed = 0;
  for (const ms of [60, 80, 100, 120]) {
    const child = place.start(["import", foreign]);
    await sleep(ms);
    child.kill("SIGKILL");
    if ((await ended(child)) === null) killed += 1;
    const { code, out } = place.run(["list", "--json"]);
    expect([code, JSON.parse(out).refused]).toEqual([0, []]);
  }
  expect(killed).toBeGreaterThan(0);
  for (const added of [true, false]) {
    const { code, out } = place.run(["import", foreign, "--json"]);
    const { credentials, skipped } = JSON.parse(out);
    expect([code, credentials.length, skipped]).toEqual([0, count, []]);
    // Run again, it changes nothing.
    if (!added) {
      expect(new Set(credentials.map(({ result }: { result: string }) => result))).toEqual(
        new Set(["unchanged"]),
      );
    }
  }
  const { credentials } = JSON.parse(place.run(["list", "--json"]).out);
  expect(credentials).toHaveLength(count);
  expect(readdirSync(foreign)).toEqual(before);
}, 60_000);

test("a person sees how far long work is; a log sees nothing of it", () => {
  const place = makeAuthsPlace();
  const foreign = writeForeign(3);
  const config = join(dirname(place.auths), "c.yaml");
  const onTerminal = (...words: readonly string[]): string => {
    const line = [binary, "auths", ...words, "--config", config].map((word) => `'${word}'`);
    const { stdout } = spawnSync("script", ["-qec", line.join(" "), "/dev/null"], {
      ...{ encoding: "utf8", env: cleanEnv({ TERM: "xterm" }), timeout: 20_000, input: "" },
    });
    return stdout;
  };
  const told = onTerminal("import", foreign);
  for (const part of ["\r0 of 3 ", "\r2 of 3 ", "\r\u001b[K"]) expect(told).toContain(part);
  place.encryption({ enabled: true, keys: [vaultKeys[1], vaultKeys[0]] });
  expect(onTerminal("rotate")).toContain("\r2 of 3 ");
  place.encryption({ enabled: true, keys: vaultKeys });
  const { code, out, err } = place.run(["rotate"]);
  expect([code, `${out}${err}`.includes(" of 3 ")]).toEqual([0, false]);
});

const canMount =
  process.getuid?.() === 0 &&
  spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

// Issue 5: only root may mount a directory, and then be somebody else.
test.skipIf(!canMount)("on a bind-mounted directory, as uid 65534", () => {
  const dir = makeDir();
  chmodSync(dir, 0o755);
  const [host, inside] = [join(dir, "host"), join(dir, "auths")];
  for (const path of [host, inside]) mkdirSync(path, { mode: 0o700 });
  chownSync(host, 65_534, 65_534);
  const encryption = { enabled: true, key: vaultKeys[0] };
  writeFileSync(join(dir, "c.yaml"), JSON.stringify({ auth: { dir: inside, encryption } }));
  const run = (words: string, input = ""): string =>
    `printf '%s' '${input}' | $as '${binary}' auths ${words} --config c.yaml`;
  const script = [
    `mount --bind '${host}' '${inside}' || exit 1`,
    "as='setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs'",
    run("add claude", token(1)),
    run("add claude --replace", token(2)),
    run("add claude work", token(3)),
    run("encrypt"),
    run("remove claude work"),
    run("list --json"),
    `stat -c '%u %a %n' ${inside}/claude.json`,
  ].join(" && ");
  const { status, stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", script], {
    ...{ cwd: dir, env: cleanEnv(), encoding: "utf8", timeout: 25_000 },
  });
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout).toContain('"last4":"1002"');
  expect(stdout).toContain(`65534 600 ${inside}/claude.json`);
  expect(readdirSync(host)).toContain("claude.json");
});
