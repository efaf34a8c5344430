import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeAuthsPlace, vaultKeys } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { binary, cleanEnv, makeDir, needBinary, startProxy } from "../harness/proxy.ts";

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

test("a wrong key: refused with the key's id, told how to mend, and the file is untouched", () => {
  const place = makeAuthsPlace();
  expect(place.run(["add", "claude"], "sk-ant-api03-Zk3vQ9xT7mW2Lw8R").code).toBe(0);
  const file = join(place.auths, "claude.json");
  const sealed = readFileSync(file, "utf8");
  const { kid } = JSON.parse(sealed) as { kid: string };
  place.encryption({ enabled: true, keys: [vaultKeys[1]] });
  for (const args of [["list"], ["rotate"], ["add", "claude", "--replace"]]) {
    const { code, out, err } = place.run(args, "sk-ant-api03-Zk3vQ9xT7mW2Lw8R");
    expect([args, code]).not.toEqual([args, 0]);
    expect(out + err).toContain(kid);
    expect(out + err).not.toContain(vaultKeys[1]);
    expect(readFileSync(file, "utf8")).toBe(sealed);
  }
  // One of two keys fits: its file serves, the other is refused alone.
  place.encryption({ enabled: true, keys: [vaultKeys[1], vaultKeys[0]] });
  expect(place.run(["add", "openai"], "sk-proj-Zk3vQ9xT7mW2Lw8R5n").code).toBe(0);
  place.encryption({ enabled: true, keys: [vaultKeys[1]] });
  const { code, out } = place.run(["list", "--json"]);
  const { credentials, refused } = JSON.parse(out);
  expect([code, credentials.length, refused.length]).toEqual([1, 1, 1]);
  expect(refused[0]).toMatchObject({ file: "claude.json", reason: "wrong_key" });
  expect(readFileSync(file, "utf8")).toBe(sealed);
});

const ownMounts = isRoot ? ["-m"] : ["-rm"];
const canMount =
  spawnSync("unshare", [...ownMounts, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

// Issue 5: without a mount of its own a directory can't be read only for root.
test.skipIf(!canMount)(
  "read only: it serves what is there, and writes are refused as a whole",
  async () => {
    const managementKey = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";
    const script = [
      "for last; do :; done",
      'auths="$(dirname "$last")/auths"',
      'mount --bind "$auths" "$auths" && mount -o remount,bind,ro "$auths" && exec "$@"',
    ].join("\n");
    const credential = { type: "api_key", token: "sk-ant-api03-Zk3vQ9xT7mW2Lw8R" };
    const proxy = await startProxy({
      config: { management: { key: managementKey }, state: { store: "memory" } },
      wrap: ["unshare", ...ownMounts, "sh", "-c", script, "sh"],
      prepare(dir) {
        mkdirSync(join(dir, "auths"), { mode: 0o700 });
        writeFileSync(join(dir, "auths/claude.json"), JSON.stringify(credential), { mode: 0o600 });
      },
    });
    const manage = async (method: string, path: string, body?: object) => {
      const headers = {
        ...{ authorization: `Bearer ${managementKey}`, "content-type": "application/json" },
      };
      const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
      const reply = await fetch(`${proxy.url}/v0/management/auths${path}`, init);
      return { status: reply.status, text: await reply.text() };
    };
    expect((await proxy.get("/readyz")).status).toBe(200);
    const added = await manage("POST", "", { provider: "claude", id: "new", ...credential });
    expect([added.status, added.text]).toEqual([409, expect.stringContaining("EROFS")]);
    expect(added.text).toContain("mount it writable");
    expect(added.text).not.toContain(credential.token);
    const removed = await manage("DELETE", "/claude");
    expect([removed.status, removed.text]).toEqual([409, expect.stringContaining("EROFS")]);
    const { auths } = JSON.parse((await manage("GET", "")).text);
    expect(auths.map(({ id }: { id: string }) => id)).toEqual(["default"]);
    expect(proxy.stderr()).not.toContain(credential.token);
    expect(await proxy.stop()).toBe(0);
  },
  30_000,
);

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
