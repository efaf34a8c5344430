import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { itemSpans } from "../../src/kit/json-items.ts";

function items(text: string, most = 100): readonly string[] | undefined {
  const bytes = Buffer.from(text);
  return itemSpans(bytes, most)?.map(({ start, end }) => bytes.toString("utf8", start, end).trim());
}

describe("itemSpans", () => {
  const cases: readonly (readonly [text: string, expected: readonly string[] | undefined])[] = [
    ["[]", []],
    ["[ \n ]", []],
    ["[1]", ["1"]],
    ["[ 1 , 2,3 ]", ["1", "2", "3"]],
    ['["a,b","]"]', ['"a,b"', '"]"']],
    [
      String.raw`["a\"," , "b\\", "\\\"]"]`,
      [String.raw`"a\","`, String.raw`"b\\"`, String.raw`"\\\"]"`],
    ],
    ['[{"a":[1,2]},[3,[4,5]],{}]', ['{"a":[1,2]}', "[3,[4,5]]", "{}"]],
    ["{}", undefined],
    ['"[1]"', undefined],
    ["null", undefined],
    ["", undefined],
  ];
  test.each(cases)("%s", (text, expected) => {
    expect(items(text)).toEqual(expected as string[]);
  });

  test("as many as allowed, and one more", () => {
    expect(items("[1,2,3]", 3)).toHaveLength(3);
    expect(items("[1,2,3,4]", 3)).toBeUndefined();
  });

  test("finds the items that JSON.parse finds, pretty or not", () => {
    const list = fc.array(fc.jsonValue({ stringUnit: "binary" }), { maxLength: 8 });
    fc.assert(
      fc.property(list, fc.constantFrom(undefined, 2, "\t"), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const found = items(text)?.map((item) => JSON.parse(item) as unknown);
        expect(found).toEqual(JSON.parse(text));
      }),
      { numRuns: 2000 },
    );
  });
});
