import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { withLock } from "../../src/kit/dir-lock.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

const staleMs = 60_000;

/** A directory with a lock that somebody made some time ago. */
function lockedDir(ageMs: number, holder: object): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-lock-"));
  dirs.push(dir);
  const file = join(dir, ".x.lock");
  writeFileSync(file, JSON.stringify({ pid: 1, host: "elsewhere", nonce: "n", ...holder }));
  const at = (Date.now() - ageMs) / 1000;
  utimesSync(file, at, at);
  return dir;
}

function take(dir: string): Promise<string> {
  return withLock(dir, ".x.lock", { waitMs: 0, staleMs }, () => "mine").catch(
    ({ code }: { code: string }) => code,
  );
}

test.each([
  ["of another machine, young", 0, {}, "ELOCKED"],
  // Half a minute is room for a machine that is busy.
  ["of another machine, not yet stale", staleMs - 30_000, {}, "ELOCKED"],
  ["of another machine, stale", staleMs + 1, {}, "mine"],
  ["of a process here that runs", 0, { host: hostname(), pid: process.ppid }, "ELOCKED"],
  ["of a process here that hangs", staleMs + 1, { host: hostname(), pid: process.ppid }, "mine"],
  ["of a process here that is gone", 0, { host: hostname(), pid: 2 ** 30 }, "mine"],
  ["of our own pid before a restart", 0, { host: hostname(), pid: process.pid }, "mine"],
])("a lock %s", async (_name, ageMs, holder, expected) => {
  const dir = lockedDir(ageMs, holder);
  expect(await take(dir)).toBe(expected);
  expect(readdirSync(dir)).toEqual(expected === "mine" ? [] : [".x.lock"]);
});

test("one at a time, also while the work waits; and it is let go when the work throws", async () => {
  const dir = lockedDir(staleMs + 1, {});
  const steps: string[] = [];
  const times = { waitMs: 30_000, staleMs };
  const work = (name: string) => async () => {
    steps.push(`${name} begins`);
    expect(await take(dir)).toBe("ELOCKED");
    steps.push(`${name} ends`);
    throw new Error(name);
  };
  const both = ["a", "b"].map((name) => withLock(dir, ".x.lock", times, work(name)));
  const ended = await Promise.allSettled(both);
  expect(ended.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  const [first = ""] = steps.map((step) => step[0] ?? "");
  const second = first === "a" ? "b" : "a";
  const order = [`${first} begins`, `${first} ends`, `${second} begins`, `${second} ends`];
  expect(steps).toEqual(order);
  expect(existsSync(join(dir, ".x.lock"))).toBe(false);
});
