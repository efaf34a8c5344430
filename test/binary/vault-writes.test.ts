import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AuthsPlace, ended, makeAuthsPlace, vaultKeys } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { needBinary } from "../harness/proxy.ts";
import { sleep } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const token = (n: number | string): string => `sk-ant-api03-Zk3vQ9xT7mW2Lw8R-${n}`;

interface Listed {
  readonly credentials: readonly { readonly id: string; readonly form: string }[];
  readonly refused: readonly unknown[];
}

function list(place: AuthsPlace): Listed {
  const { code, out, err } = place.run(["list", "--json"]);
  expect([code, err]).toEqual([0, ""]);
  return JSON.parse(out);
}

test("30 rounds of SIGKILL during a write lose nothing and leave no half file", async () => {
  const place = makeAuthsPlace();
  expect(place.run(["add", "claude", "old"], token("old")).code).toBe(0);
  const path = join(place.auths, "claude-new.json");
  let killed = 0;
  for (let round = 0; round < 30; round++) {
    const before = existsSync(path) ? readFileSync(path, "utf8") : undefined;
    const child = place.start(["add", "claude", "new", "--replace"], token(round));
    await sleep(20 + round * 6);
    child.kill("SIGKILL");
    if ((await ended(child)) === null) killed += 1;
    const after = existsSync(path) ? readFileSync(path, "utf8") : undefined;
    // The old file, or a whole new one.
    if (after !== before)
      expect(JSON.parse(after ?? "")).toMatchObject({ v: 1, provider: "claude" });
  }
  expect(killed).toBeGreaterThan(0);
  const { credentials, refused } = list(place);
  expect(refused).toEqual([]);
  expect(credentials.map(({ id }) => id)).toContain("old");
  // What the dead left is in nobody's way.
  expect(place.run(["add", "claude", "new", "--replace"], token("last")).code).toBe(0);
}, 120_000);

test("`encrypt` and `rotate` that are broken off go on where they were", async () => {
  const place = makeAuthsPlace();
  const ids = Array.from({ length: 40 }, (_, i) => `n${i}`);
  for (const id of ids) {
    const text = JSON.stringify({ type: "api_key", token: token(id) });
    writeFileSync(join(place.auths, `claude-${id}.json`), text, { mode: 0o600 });
  }
  for (const [command, keys] of [
    ["encrypt", [vaultKeys[0]]],
    ["rotate", [vaultKeys[1], vaultKeys[0]]],
  ] as const) {
    place.encryption({ enabled: true, keys });
    for (const ms of [60, 100, 140]) {
      const child = place.start([command]);
      await sleep(ms);
      child.kill("SIGKILL");
      await ended(child);
      const { credentials, refused } = list(place);
      expect([credentials.length, refused]).toEqual([ids.length, []]);
    }
    expect(place.run([command]).code).toBe(0);
    place.encryption({ enabled: true, keys: keys.slice(0, 1), require_encrypted: true });
    const { credentials } = list(place);
    expect(credentials.filter(({ form }) => form === "encrypted")).toHaveLength(ids.length);
  }
}, 120_000);

test("processes that write at once take turns, and none is lost", async () => {
  const place = makeAuthsPlace();
  const ids = ["a", "b", "c", "d"];
  const children = ids.map((id) => place.start(["add", "claude", id], token(id)));
  const same = ["x", "y"].map((one) =>
    place.start(["add", "claude", "same", "--replace"], token(one)),
  );
  for (const child of [...children, ...same]) expect(await ended(child)).toBe(0);
  const { credentials, refused } = list(place);
  expect(refused).toEqual([]);
  expect(credentials.map(({ id }) => id).sort()).toEqual([...ids, "same"]);
  expect(place.run(["remove", "claude", "a"]).code).toBe(0);
  expect(place.run(["remove", "claude"]).code).toBe(2);
  expect(place.run(["remove", "claude", "--all"]).code).toBe(0);
  expect(list(place).credentials).toEqual([]);
}, 60_000);
