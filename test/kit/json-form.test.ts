import { describe, expect, test } from "bun:test";
import { closesJson, firstByte, opensJson } from "../../src/kit/json-form.ts";

const encoder = new TextEncoder();

describe("the form of a body", () => {
  const cases: readonly (readonly [text: string, opens: boolean, closes: boolean])[] = [
    ["{}", true, true],
    ["[]", true, true],
    [' \r\n\t{"a":1} \r\n\t', true, true],
    ["\ufeff[1]", true, true],
    ['{"a":1', true, false],
    // It is the form alone: what a string holds is not looked at.
    ['{"a":"}', true, true],
    ['"a"}', false, true],
    ["<html>", false, false],
    ["null", false, false],
    ["", false, false],
    [" \n", false, false],
    ["data: {}", false, true],
  ];
  test.each(cases)("%p", (text, opens, closes) => {
    const bytes = encoder.encode(text);
    expect([opensJson(firstByte(bytes)), closesJson(bytes)]).toEqual([opens, closes]);
  });
});
