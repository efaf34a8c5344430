import { expect, test } from "bun:test";
import { CredentialShelf } from "../src/credential-shelf.ts";
import { Secret } from "../src/kit/secret.ts";
import { credential } from "./harness/stubs.ts";

test("the configuration's and the files' by priority; equals as they came", () => {
  const shelf = new CredentialShelf(
    [credential("inline")],
    [credential("late", 5), credential("first", -1), credential("equal")],
  );
  expect(shelf.list.map(({ id }) => id)).toEqual(["first", "inline", "equal", "late"]);
});

test("the same again changes nothing, and the list stays the same array", () => {
  const shelf = new CredentialShelf([credential("inline")], [credential("a")]);
  const before = shelf.list;
  expect(shelf.replace([credential("a")])).toBe(false);
  expect(shelf.list).toBe(before);
});

test.each([
  ["another one", [credential("a"), credential("b")]],
  ["one less", []],
  ["another secret", [{ ...credential("a"), secret: new Secret("other") }]],
  ["another priority", [credential("a", 1)]],
  ["another kind", [{ ...credential("a"), kind: "bearer" as const }]],
])("%s is a change, told by another array; the configuration's stays", (_name, next) => {
  const shelf = new CredentialShelf([credential("inline")], [credential("a")]);
  const before = shelf.list;
  expect(shelf.replace(next)).toBe(true);
  expect(shelf.list).not.toBe(before);
  expect(before.map(({ id }) => id)).toEqual(["inline", "a"]);
  expect(shelf.list.map(({ id }) => id)).toEqual(["inline", ...next.map(({ id }) => id)]);
});
