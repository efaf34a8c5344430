import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { coverage } from "./coverage.ts";

const root = join(import.meta.dirname, "..");

/** The listed rows of sections C, D, E, H, I, J, K and L. */
const listed = [
  ...[33, 34, 37, 38, 39, 42, 44],
  ...[47, 48, 51, 54, 56, 58],
  ...[61, 63, 65, 67, 69, 71, 72, 75],
  ...[103, 106, 109, 112],
  ...[113, 115, 116, 117, 122, 124, 126, 127],
  ...[131, 133, 134],
  ...[139, 141, 142, 146],
  ...[149, 150, 152],
];

/** What is wrong with a place that a row names. */
function problemOf([file, words]: readonly [string, string]): string | undefined {
  const text = readFileSync(join(root, file), "utf8");
  return text.includes(words) ? undefined : `${file} has no test named ${words}`;
}

test("every row is there, once", () => {
  expect(coverage.map(({ row }) => row)).toEqual(listed);
});

test.each(coverage)("row $row: $what", ({ by }) => {
  expect(problemOf(by)).toBeUndefined();
});

test("a test that is gone would be noticed", () => {
  expect(problemOf(["binary/auth.test.ts", "no such title"])).toContain("no such title");
});
