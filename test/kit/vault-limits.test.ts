import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sweepTemps } from "../../src/kit/atomic-file.ts";
import { parseCredential } from "../../src/kit/credential-file.ts";
import { nameOfCredential } from "../../src/kit/credential-name.ts";
import { readGuarded } from "../../src/kit/guarded-read.ts";

const dir = mkdtempSync(join(tmpdir(), "cliproxy-vault-limits-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const parses = (more: object): boolean =>
  parseCredential({ type: "api_key", token: "t", ...more }).ok;

type Case = readonly [name: string, most: number, holds: (size: number) => boolean];
const cases: readonly Case[] = [
  [
    "bytes of a file",
    65_536,
    (size) => {
      writeFileSync(join(dir, "a.json"), "x".repeat(size), { mode: 0o600 });
      return readGuarded(join(dir, "a.json"), false).ok;
    },
  ],
  ["characters of a token", 12_288, (size) => parses({ token: "t".repeat(size) })],
  ["characters of a label", 256, (size) => parses({ label: "l".repeat(size) })],
  [
    "characters of an id",
    100,
    (size) => typeof nameOfCredential("acme", "i".repeat(size), ["acme"]) === "object",
  ],
  [
    "milliseconds that a temporary file is left",
    59_999,
    (age) => {
      const path = join(dir, `.a.json.${"0".repeat(16)}.tmp`);
      writeFileSync(path, "x");
      utimesSync(path, 1, 1);
      return sweepTemps(dir, 1000 + age) === 0;
    },
  ],
];

test.each(cases)("%s: %d, and no more", (_name, most, holds) => {
  expect([holds(most), holds(most + 1)]).toEqual([true, false]);
});
