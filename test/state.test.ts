import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { store as memory } from "../plugins/stores/memory.ts";
import { store as sqlite } from "../plugins/stores/sqlite/index.ts";
import type { OpenDatabase } from "../src/contract/store.ts";
import { bunRuntime } from "../src/runtime/bun.ts";
import { openState, planState } from "../src/state.ts";
import { cleanUp, onCleanup } from "./harness/cleanup.ts";
import { createFakeClock } from "./harness/fake-clock.ts";
import { createLogLines } from "./harness/stubs.ts";

afterEach(cleanUp);

const kinds = [memory, sqlite];
const openDatabase = bunRuntime.openDatabase as OpenDatabase;

function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-plan-"));
  onCleanup(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe("planState", () => {
  const file = (dir: string): string => join(dir, "deep", "c.db");
  test("takes the file that is named, and makes nothing yet", () => {
    const dir = makeDir();
    const plan = planState({ path: file(dir) }, dir, kinds, openDatabase);
    expect(plan).toMatchObject({ kind: sqlite, path: file(dir), durability: "durable" });
    expect(readdirSync(dir)).toEqual([]);
  });

  test.each<[string, Parameters<typeof planState>[0], OpenDatabase | undefined, object]>([
    ["memory, as asked", { store: "memory" }, openDatabase, { durability: "volatile" }],
    ["memory with a path", { store: "memory", path: "x" }, openDatabase, { path: "state.path" }],
    ["no SQLite, not asked for", {}, undefined, { durability: "lacking", kind: memory }],
    ["no SQLite, asked for", { store: "sqlite" }, undefined, { path: "state.store" }],
    ["no SQLite, a path", { path: "x/c.db" }, undefined, { path: "state.path" }],
  ])("%s", (_name, settings, opener, expected) => {
    expect(planState(settings, makeDir(), kinds, opener)).toMatchObject(expected);
  });

  test("a gap that nobody asked to fill is one warning", () => {
    const plan = planState({}, makeDir(), kinds, undefined);
    expect(plan).toMatchObject({ warnings: [expect.stringContaining("no SQLite")] });
  });
});

describe("openState", () => {
  const settings = {};
  const options = { clock: createFakeClock(), log: createLogLines(), openDatabase };

  test("in `check` makes nothing on disk, and has what the start would have", async () => {
    const dir = makeDir();
    const plan = planState({ path: join(dir, "s", "c.db") }, dir, kinds, openDatabase);
    if ("message" in plan) throw new Error(plan.message);
    const held = await openState(plan, settings, kinds, options, false);
    expect(held.store.namespace("x").durability).toBe("durable");
    expect(existsSync(join(dir, "s"))).toBe(false);
  });

  test("tells of a loss in its warnings", async () => {
    const dir = makeDir();
    const path = join(dir, "c.db");
    const open = async () => {
      const plan = planState({ path }, dir, kinds, openDatabase);
      if ("message" in plan) throw new Error(plan.message);
      const held = await openState(plan, settings, kinds, options, true);
      await held.store.close();
      return held.plan.warnings;
    };
    expect(await open()).toEqual([]);
    rmSync(path);
    expect(await open()).toEqual([expect.stringContaining("is gone")]);
  });

  test("a directory that it may not write is no place", () => {
    const dir = makeDir();
    mkdirSync(join(dir, "ro"));
    chmodSync(join(dir, "ro"), 0o500);
    const plan = planState({ path: join(dir, "ro", "c.db") }, dir, kinds, openDatabase);
    // Nothing stops the superuser.
    const isRoot = process.getuid?.() === 0;
    expect("message" in plan).toBe(!isRoot);
  });
});
