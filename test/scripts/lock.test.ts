import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SecurityEvent } from "../../src/contract/policy.ts";
import { tellDigests } from "../../src/scripts/digests.ts";
import type { ScriptParts } from "../../src/scripts/load.ts";
import {
  compareLocks,
  lockName,
  lockProblems,
  parseLock,
  readLock,
  toLockText,
} from "../../src/scripts/lock.ts";
import { createLogLines } from "../harness/stubs.ts";

const a = "a".repeat(64);
const b = "b".repeat(64);

test("what is written is read again, sorted, each file once", () => {
  const files = [
    { path: "z.ts", sha256: a },
    { path: "lib/with two  spaces.ts", sha256: b },
    { path: "z.ts", sha256: a },
  ];
  const text = toLockText(files);
  expect(text).toBe(`${b}  lib/with two  spaces.ts\n${a}  z.ts\n`);
  expect(lockProblems(parseLock(text), files)).toEqual([]);
});

const refused: readonly (readonly [text: string, line: number])[] = [
  [`${a} one-space.ts`, 1],
  [`${a.toUpperCase()}  upper.ts`, 1],
  [`${a.slice(1)}  short.ts`, 1],
  [`# fine\n\n${a}0  long.ts`, 3],
  [`${a}  `, 1],
];
test.each(refused)("%j is no lock", (text, line) => {
  expect(() => parseLock(text)).toThrow(`policies.lock:${line}:`);
});

test("a file that changed, or is unknown, is told", () => {
  const lock = parseLock(`${a}  a.ts\n`);
  const told = lockProblems(lock, [
    { path: "a.ts", sha256: b },
    { path: "__proto__", sha256: a },
  ]);
  expect(told).toEqual([
    "a.ts has changed since policies.lock was written",
    "__proto__ is not in policies.lock",
  ]);
});

test("locks are compared by path", () => {
  const before = parseLock(`${a}  same.ts\n${a}  changed.ts\n${a}  gone.ts\n`);
  const after = parseLock(`${a}  same.ts\n${b}  changed.ts\n${a}  new.ts\n`);
  const expected = { added: ["new.ts"], changed: ["changed.ts"], removed: ["gone.ts"] };
  expect(compareLocks(before, after)).toEqual(expected);
});

test("a lock that others may write pins nothing: it is refused", () => {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-lock-"));
  try {
    expect(readLock(dir)).toBeUndefined();
    writeFileSync(join(dir, lockName), `${a}  a.ts\n`);
    chmodSync(join(dir, lockName), 0o644);
    expect(readLock(dir)?.get("a.ts")).toBe(a);
    chmodSync(join(dir, lockName), 0o666);
    expect(() => readLock(dir)).toThrow("may be written by others");
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("one event for each policy whose digest changed, also for one that has gone", () => {
  const house = { kept: new Map<string, unknown>(), log: createLogLines() };
  const events: SecurityEvent[] = [];
  const emit = (event: SecurityEvent): void => void events.push(event);
  const part = (name: string, sha256: string): ScriptParts => {
    const files = sha256 === "" ? [] : [{ path: `${name}.ts`, sha256 }];
    return { name, file: `/p/${name}.ts`, mode: "enforce", files, sha256, described: undefined };
  };
  const changes = (): unknown[] =>
    events.splice(0).map(({ details }) => [details?.policy, details?.before, details?.sha256]);
  tellDigests(house, [part("one", a), part("two", a), part("off", "")], emit);
  expect(changes()).toEqual([
    ["one", "none", a],
    ["two", "none", a],
  ]);
  expect(house.log.lines).toHaveLength(2);
  tellDigests(house, [part("one", b), part("two", a)], emit);
  expect(changes()).toEqual([["one", a, b]]);
  tellDigests(house, [part("one", b)], emit);
  expect(changes()).toEqual([["two", a, "none"]]);
});
