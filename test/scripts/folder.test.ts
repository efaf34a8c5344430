import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mostPolicies, readFolder } from "../../src/scripts/folder.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "policies-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(...names: string[]): void {
  for (const name of names) writeFileSync(join(dir, name), "", { mode: 0o644 });
}

function refusal(): string {
  const folder = readFolder(dir);
  return folder.ok ? "" : folder.message;
}

test("policies are listed by name, and what stands beside them is not", () => {
  put("b.ts", "a-1.js", "c.mjs", "_shared.ts", ".hidden.ts", "b.test.ts", "x.d.ts");
  put("policies.lock", "package.json", "tsconfig.json", "README.md");
  for (const below of ["lib", "node_modules"]) mkdirSync(join(dir, below));
  const folder = readFolder(dir);
  expect(folder.ok && folder.entries.map(({ name }) => name)).toEqual(["a-1", "b", "c"]);
});

test.each([
  "Upper.ts",
  "a_b.ts",
  "a.cjs",
  "a.tsx",
  "1a.ts",
  "a--b.ts",
  "dir.ts",
  "require-lock.js",
])("%s is told to be no policy", (name) => {
  put(name);
  expect(refusal()).toContain("is no policy");
});

test("two files of one name are refused", () => {
  put("a.js", "a.ts");
  expect(refusal()).toContain("two policies named a");
});

test("a directory that others may write is refused", () => {
  chmodSync(dir, 0o777);
  expect(refusal()).toContain("may be written by others (mode 0777)");
});

test("a directory that does not exist is told", () => {
  rmSync(dir, { recursive: true });
  expect(refusal()).toContain("does not exist");
});

test("more policies than the most are refused", () => {
  for (let i = 0; i < mostPolicies; i += 1) put(`p${i}.ts`);
  expect(refusal()).toBe("");
  put("q.ts");
  expect(refusal()).toContain(`more than ${mostPolicies}`);
});
