import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { formatProblems } from "../../src/config/problems.ts";
import { bytes, duration, port, secret } from "../../src/kit/schema.ts";
import { load } from "./claimants.ts";

function told(text: string): string {
  const loaded = load(text);
  return loaded.ok ? "" : formatProblems(loaded.problems, { color: false });
}

describe("formatProblems", () => {
  test("place, path, message, mend, line and caret", () => {
    expect(told("server:\n  prt: 1 # a comment\n")).toBe(
      [
        "config.yaml:2:3  server.prt  unknown key `prt`; did you mean `port`?",
        "    mend: write `port`, or remove it",
        "    2 |   prt: …",
        "          ^",
        "",
      ].join("\n"),
    );
  });

  test("the value at fault is shown where it is no secret", () => {
    expect(told("server: { host: x, port: 80a } # why")).toContain(
      "    1 | server: { host: x, port: 80a }\n                                 ^\n",
    );
  });

  test("no key, value or path drives the terminal", () => {
    const text = 'server: { "\\e[2J\\u202e": 1, host: ["\\e]0;x\\a"], port: "\\e[31m" }';
    expect(told(text)).not.toMatch(/[\u001b\u0007\u202e]/);
    const given = { line: 1, column: 1, path: "\u001b[1m", message: "\r\n", mend: "\u0000" };
    expect(formatProblems([{ file: "\u001b", ...given }], { color: false })).not.toMatch(
      /[\u001b\r\0]/,
    );
  });

  test("a long line is cut around the caret", () => {
    const text = `server: { host: ${"x".repeat(500)}, port: y }`;
    const [, , line = "", caret = ""] = told(text).split("\n");
    expect(line.length).toBeLessThan(120);
    expect(line[caret.indexOf("^")]).toBe("y");
  });

  test("colours only when asked for", () => {
    const loaded = load("x: 1");
    const problems = loaded.ok ? [] : loaded.problems;
    expect(formatProblems(problems, { color: true })).toContain("\u001b[31m");
    expect(formatProblems([], { color: true })).toBe("");
  });
});

describe("kit/schema", () => {
  const output = (schema: v.GenericSchema, input: unknown): unknown => {
    const result = v.safeParse(schema, input);
    return result.success ? result.output : undefined;
  };
  test.each<[unknown, unknown]>([
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["24d", 2_073_600_000],
    ["0s", 0],
    ["25d", undefined],
    [30, undefined],
    ["30", undefined],
    ["-1s", undefined],
    ["1.5s", undefined],
    ["1S", undefined],
    ["1 s", undefined],
    ["s", undefined],
    ["1s ", undefined],
    [`${"9".repeat(400)}s`, undefined],
  ])("duration %p is %p", (input, expected) => {
    expect(output(duration(), input)).toBe(expected);
  });
  test("duration within bounds", () => {
    const schema = duration({ min: "1s", max: "90d" });
    expect([output(schema, "999ms"), output(schema, "1s")]).toEqual([undefined, 1000]);
    expect([output(schema, "90d"), output(schema, "91d")]).toEqual([7_776_000_000, undefined]);
  });
  test.each<[unknown, unknown]>([
    ["64KiB", 65_536],
    ["32MiB", 33_554_432],
    ["10MB", 10_000_000],
    ["1GiB", 1_073_741_824],
    ["1KB", 1000],
    ["1B", 1],
    [1, 1],
    [0, undefined],
    [-1, undefined],
    [1.5, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    ["1iB", undefined],
    ["1 KiB", undefined],
    ["1kb", undefined],
    ["0KiB", undefined],
    ["999999999999999GiB", undefined],
  ])("bytes %p is %p", (input, expected) => {
    expect(output(bytes(), input)).toBe(expected);
  });
  test.each<[unknown, unknown]>([
    [0, 0],
    [65_535, 65_535],
    [65_536, undefined],
    [-1, undefined],
    [1.5, undefined],
    ["80", undefined],
  ])("port %p is %p", (input, expected) => {
    expect(output(port(), input)).toBe(expected);
  });
  test("secret", () => {
    expect(String(output(secret(), "x"))).toBe("[secret]");
    expect(output(secret(), "")).toBeUndefined();
  });
});
