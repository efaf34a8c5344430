import { expect, test } from "bun:test";
import { type Grant, grantFor, trespassesOf } from "../../src/scripts/grants.ts";

const needed: readonly (readonly [specifier: string, grant: Grant | undefined])[] = [
  ["node:crypto", undefined],
  ["path", undefined],
  ["node:http", "net"],
  ["dns/promises", "net"],
  ["node:fs", "fs"],
  ["fs/promises", "fs"],
  ["bun:sqlite", "fs"],
  ["node:child_process", "system"],
  ["node:worker_threads", "system"],
  ["node:vm", "system"],
  ["node:module", "system"],
  ["bun:ffi", "system"],
  ["bun", "system"],
  ["npm:anything", "system"],
];
test.each(needed)("%s needs %p", (specifier, grant) => {
  expect(grantFor(specifier)).toBe(grant);
});

const trespasses: readonly (readonly [code: string, what: string, grant: Grant])[] = [
  [`import fs from "node:fs";`, "imports node:fs", "fs"],
  [`export { exec } from "node:child_process";`, "imports node:child_process", "system"],
  [`await import("bun:ffi");`, "imports bun:ffi", "system"],
  [`await import("node:" + "fs");`, "imports by a computed name", "system"],
  ["const a = 'fs'; await import(`node:${a}`);", "imports by a computed name", "system"],
  ["const a = 'node:fs'; await import(a);", "imports by a computed name", "system"],
  [`await import("\\x6eode:fs");`, "imports node:fs", "fs"],
  ["import.meta.url;", "uses import.meta", "system"],
];
test.each(trespasses)("%s is refused", async (code, what, grant) => {
  expect(await trespassesOf(code, [])).toEqual([{ what, grant }]);
  expect(await trespassesOf(code, [grant])).toEqual([]);
});

test("one grant does not stand for another, and each trespass is told once", async () => {
  const code = `import "node:fs"; import "node:net"; import "node:fs";`;
  expect(await trespassesOf(code, ["net"])).toEqual([{ what: "imports node:fs", grant: "fs" }]);
});

test("names in text and comments are no imports", async () => {
  expect(await trespassesOf(`// import "node:fs"\nconst a = 'import "bun:ffi"';`, [])).toEqual([]);
});
