import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeAuthsPlace } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { binary, cleanEnv, makeDir, needBinary } from "../harness/proxy.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

test("as uid 65534: a closed directory is told with its mend, and after that it works", () => {
  const dir = makeDir();
  chmodSync(dir, 0o755);
  const auths = join(dir, "auths");
  mkdirSync(auths, { mode: 0o700 });
  if (!isRoot) chmodSync(auths, 0o000);
  const config = join(dir, "c.yaml");
  writeFileSync(config, JSON.stringify({ auth: { dir: auths } }));
  const run = (...args: readonly string[]) =>
    spawnSync(binary, [...args, "--config", config], {
      ...{ cwd: dir, env: cleanEnv(), encoding: "utf8", timeout: 10_000 },
      ...{ input: "sk-ant-api03-Zk3vQ9xT7mW2Lw8R" },
      ...(isRoot && { uid: nobody, gid: nobody }),
    });
  const uid = isRoot ? nobody : process.getuid?.();
  const refused = run("auths", "list");
  expect(refused.status).toBe(78);
  const told = refused.stdout + refused.stderr;
  const owner = isRoot ? "owner 0:0, mode 0700" : "mode 0000";
  for (const part of [owner, `uid ${uid}`, `chown -R ${uid} ${auths} && chmod 700 ${auths}`]) {
    expect(told).toContain(part);
  }
  if (isRoot) chownSync(auths, nobody, nobody);
  chmodSync(auths, 0o700);
  expect(run("auths", "add", "claude").status).toBe(0);
  expect(run("auths", "list").status).toBe(0);
  expect(run("auths", "remove", "claude").status).toBe(0);
});

const ownMounts = isRoot ? ["-m"] : ["-rm"];
const canMount =
  spawnSync("unshare", [...ownMounts, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

// Issue 5: without a mount of its own there is no disk that may be filled.
test.skipIf(!canMount)(
  "a full disk leaves the old credential, and nobody has to wait",
  () => {
    const { auths } = makeAuthsPlace();
    const dir = dirname(auths);
    const cliproxy = (words: string): string => `'${binary}' auths ${words} --config c.yaml`;
    const script = [
      `mount -t tmpfs -o size=64k tmpfs '${auths}' || exit 1`,
      "echo old-Zk3vQ9xT7mW2Lw8Rb1T-1111 > old; echo new-Zk3vQ9xT7mW2Lw8Rb1T-2222 > new",
      cliproxy("add claude --token-file old"),
      `dd if=/dev/zero of='${auths}/filler' bs=4k 2> dd.log`,
      cliproxy("add claude --replace --token-file new"),
      "echo code=$?",
      cliproxy("list --json"),
      `rm '${auths}/filler'; ls -A '${auths}'`,
      `timeout 5 ${cliproxy("add claude --replace --token-file new")}`,
      cliproxy("list --json"),
    ].join("\n");
    const { status, stdout, stderr } = spawnSync("unshare", [...ownMounts, "sh", "-c", script], {
      ...{ cwd: dir, env: cleanEnv(), encoding: "utf8", timeout: 25_000 },
    });
    expect(stderr).toContain("ENOSPC");
    expect(stderr).toContain("nothing was changed");
    expect(stdout).toContain("code=1\n");
    const ends = [...stdout.matchAll(/"last4":"(\d+)"/g)].map(([, end]) => end);
    expect(ends).toEqual(["1111", "2222"]);
    expect(stdout).not.toMatch(/\.tmp\n|^\.lock$/m);
    expect(status).toBe(0);
  },
  30_000,
);
