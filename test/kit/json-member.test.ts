import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { readLastMember, toCount } from "../../src/kit/json-member.ts";

describe("readLastMember", () => {
  test("reads what a parse reads, of any object", () => {
    const key = fc.constantFrom("usage", '"usage', 'usage"', "\\usage", "a", "");
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        key,
        fc.constantFrom(null, 1, true, "é", '"usage":{'),
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(key, tie("tree"), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.constantFrom(0, 1, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const parsed = JSON.parse(text);
        const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
        const expected = isObject && Object.hasOwn(parsed, "usage") ? parsed.usage : undefined;
        expect(readLastMember(Buffer.from(text), "usage")).toEqual(expected);
      }),
      { numRuns: 5000 },
    );
  });

  test("finds it among many deeper ones, near the end and far from it", () => {
    const deeper = Array.from({ length: 50 }, (_, usage) => ({ usage }));
    for (const filler of ["", "x".repeat(100_000)]) {
      const object = { usage: { a: 1 }, deeper, filler };
      expect(readLastMember(Buffer.from(JSON.stringify(object)), "usage")).toEqual({ a: 1 });
    }
  });

  test("does not parse what stands before it", () => {
    expect(readLastMember(Buffer.from('oops, "usage": {"a":1}, "b": [2]} \n'), "usage")).toEqual({
      a: 1,
    });
  });

  test("reads a view into a larger buffer", () => {
    const bytes = Buffer.from('{"usage":1}{"usage":2}{"usage":3}');
    expect(readLastMember(new Uint8Array(bytes).subarray(11, 22), "usage")).toBe(2);
  });

  test("gives up on hostile input", () => {
    for (const text of [
      "",
      "{",
      '"usage"',
      '{"usage"',
      "[".repeat(100_000),
      '"usage"'.repeat(20_000),
    ]) {
      expect(readLastMember(Buffer.from(text), "usage")).toBeUndefined();
    }
  });
});

describe("toCount", () => {
  test.each([
    [7, 7],
    [0, 0],
    [-1, 0],
    [1.5, 0],
    [2 ** 53, 0],
    ["7", 0],
    [null, 0],
  ])("%p is %d", (value, expected) => {
    expect(toCount(value)).toBe(expected);
  });
});
