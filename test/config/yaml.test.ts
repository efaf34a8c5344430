import { describe, expect, test } from "bun:test";
import { maxDepth } from "../../src/config/grow.ts";
import { parseYaml } from "../../src/config/yaml.ts";
import { load, problemsOf, valuesOf } from "./claimants.ts";

/** The first problem of a text, as `line:column message`. */
function first(text: string): string | undefined {
  return problemsOf(load(text))[0]?.replace(/^(\S+) \S* /, "$1 ");
}

describe("what is not YAML as we read it", () => {
  test.each([
    ["a tab", "server:\n\tport: 1", "2:1 a tab is used as indentation"],
    ["two documents", "server: {}\n---\nserver: {}", "2:1 a second document begins here"],
    ["a list at the root", "- server", "1:1 the file is not a map of sections"],
    ["a scalar at the root", "server", "1:1 the file is not a map of sections"],
    ["a key twice", "server:\n  port: 1\n  port: 2", "3:3 this key is given twice"],
    ["a quoted key twice", 'server: { port: 1, "port": 2 }', "1:20 this key is given twice"],
    ["a merge key", "server:\n  <<: { port: 1 }", "2:3 merge keys are not read"],
    ["`__proto__`", "server: { __proto__: { port: 1 } }", "1:11 this key is not allowed"],
    ["`constructor`", "providers: { constructor: {} }", "1:14 this key is not allowed"],
    ["`toString`", "providers: { toString: {} }", "1:14 this key is not allowed"],
    ["a key that is a list", "? [a]\n: 1", "1:3 a map or a list can't be a key"],
    ["an empty key", '"": 1', "1:1 a key is empty"],
    ["a variable as a key", "server: { '${PORT}': 1 }", "1:11 variables are not expanded in keys"],
    ["a foreign tag", "server: !!js/function x", "1:9 tags (!name) are not read"],
    ["a set", "server: !!set { port }", "1:9 tags (!name) are not read"],
    ["YAML 1.1", "%YAML 1.1\n---\nserver: {}", "1:1 only YAML 1.2 is read"],
    ["no such anchor", "server: *none", "1:9 there is no such anchor"],
    ["a knot", "server: &a { port: *a }", "1:20 an alias can't stand inside its own anchor"],
    ["an open quote", 'server: { host: "x }', "1:21 something is missing here"],
    ["a control character", "server:\n  host: a\u0000b", "2:10 a control character is not allowed"],
    ["an escape character", "server: { host: \u001b[31m }", "1:17 a control character is not"],
    ["bytes that are no UTF-8", "server: { host: \ufffd }", "1:17 this is not valid UTF-8"],
    ["an octal number", "server: { port: 0o10 }", "1:17 numbers are written in plain decimal"],
    ["a leading zero", "server: { port: 010 }", "1:17 numbers are written in plain decimal"],
    ["a hexadecimal number", "server: { port: 0x10 }", "1:17 numbers are written in plain"],
    ["an exponent", "server: { port: 1e3 }", "1:17 numbers are written in plain decimal"],
    ["a huge number", "server: { port: 99999999999999999999 }", "1:17 numbers are written in"],
    ["infinity", "server: { port: .inf }", "1:17 a number must be finite"],
    ["minus infinity", "server: { port: -.INF }", "1:17 a number must be finite"],
    ["no number", "server: { port: .nan }", "1:17 a number must be finite"],
    ["a negative number", "server: { port: -1 }", "1:17 must be a port, but is `-1`"],
    ["half a number", "server: { port: 80.5 }", "1:17 must be a port, but is `80.5`"],
    ["an unquoted variable in braces", "server: { port: ${PORT} }", "1:18 YAML reads the braces"],
    ["an unquoted variable in brackets", "server: [${PORT:-1}]", "1:11 YAML reads the braces"],
    ["a colon in a default", "server:\n  host: ${H:-a: b}", "2:9 YAML reads the braces"],
  ])("%s", (_case, text, expected) => {
    expect(first(text)).toStartWith(expected);
  });

  test("the quotes of an unquoted variable are spelt out", () => {
    const loaded = load("server: { port: ${PORT} }\nauth: { api_keys: [ ${X:-hush} ] }");
    const [problem, ...more] = loaded.ok ? [] : loaded.problems;
    expect(problem?.mend).toBe('put the variable in quotes: "${PORT}"');
    expect(JSON.stringify([problem, more])).not.toContain("hush");
  });
});

describe("what looks odd and is fine", () => {
  test.each([
    ["a byte order mark", "\ufeffserver:\n  port: 1"],
    ["CRLF", "server:\r\n  port: 1\r\n"],
    ["a document start", "---\nserver: { port: 1 }\n...\n"],
    ["an alias", "server: { port: &p 1 }\nproviders: &x {}\nauth: *x"],
    ["a quoted key", '"server": { "port": 1 }'],
  ])("%s", (_case, text) => {
    expect(valuesOf(load(text)).server?.port).toBe(1);
  });

  test.each([
    ["CRLF", "server:\r\n  port: x\r\n", "2:9"],
    ["a byte order mark", "\ufeffserver: { port: x }", "1:17"],
    ["no newline", "server:\n  port: x", "2:9"],
    ["a wide character", "server: { host: ä, port: x }", "1:26"],
  ])("columns with %s", (_case, text, place) => {
    expect(problemsOf(load(text))[0]).toStartWith(`${place} server.port`);
  });
});

describe("hostile input ends soon, with a problem", () => {
  const bomb = ["a: &a0 [x,x,x,x,x,x]"];
  for (let i = 1; i < 30; i++) bomb.push(`b${i}: &a${i} [${`*a${i - 1},`.repeat(6)}]`);
  test.each([
    ["an alias bomb", bomb.join("\n"), "the file holds too many values"],
    ["deep flow", `server: ${"[".repeat(100_000)}`, ""],
    ["deep and closed", `a: ${"[".repeat(20_000)}${"]".repeat(20_000)}`, ""],
    ["deep maps", `a: ${"{b: ".repeat(500)}${"}".repeat(500)}`, "maps and lists are nested"],
    ["deep blocks", Array.from({ length: 500 }, (_, i) => `${" ".repeat(i)}k:`).join("\n"), "maps"],
    ["a line of 1 MB", `server: { host: 1${"x".repeat(1e6)}, prt: 1 }`, "unknown key"],
    ["a key of 1 MB", `? ${"x".repeat(1e6)}\n: 1`, "unknown key"],
    ["100 000 keys", Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`).join("\n"), "the file"],
    ["10 000 unknown keys", Array.from({ length: 1e4 }, (_, i) => `k${i}: 1`).join("\n"), "unkn"],
    ["10 000 unset variables", `a: [${'"${NO}",'.repeat(1e4)}]`, "unknown key"],
    ["5 MB", "#".repeat(5e6), "the file is larger than 4 MiB"],
  ])("%s", (_case, text, message) => {
    const started = performance.now();
    expect(problemsOf(load(text)).join("\n")).toContain(message);
    expect(performance.now() - started).toBeLessThan(4000);
  });

  test("the deepest nesting is the limit", () => {
    const nested = (depth: number) => `a: ${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}`;
    expect(parseYaml(nested(maxDepth + 1)).faults).toEqual([]);
    expect(parseYaml(nested(maxDepth + 2)).faults.length).toBe(1);
  });

  test("no id of a list reaches the prototype of all objects", () => {
    const text = "auth: { api_keys: [{ id: __proto__, key: aaaa, rate_limit: { rpm: 1 } }] }";
    expect(problemsOf(load(text))[0]).toStartWith(
      "1:20 auth.api_keys.0 must be a map with a usable",
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});
