import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type Claimant, compileClaims } from "../../src/config/claims.ts";
import { loadConfig } from "../../src/config/load.ts";
import { nearest } from "../../src/config/suggest.ts";
import { claimants } from "./claimants.ts";

/** A claimant of one path. */
function owner(name: string, path: string, schema: v.GenericSchema = v.any()): Claimant {
  const stars = path.split("*").length - 1;
  let whole = schema;
  for (let i = 0; i < stars; i++) whole = v.record(v.string(), whole);
  return { name, keys: { it: path }, schema: v.strictObject({ it: v.optional(whole) }) };
}

describe("compileClaims", () => {
  const item = v.array(v.strictObject({ id: v.string(), expires: v.optional(v.string()) }));
  test.each<[string, Claimant[], string | undefined]>([
    ["different leaves", [owner("a", "x.*.a"), owner("b", "x.*.b")], undefined],
    ["a leaf below a list", [owner("a", "x", item), owner("b", "x.*.limit")], undefined],
    ["a leaf below a map", [owner("a", "x"), owner("b", "x.y.z")], undefined],
    ["one leaf twice", [owner("a", "x.y"), owner("b", "x.y")], "both own x.y"],
    ["one leaf by a star", [owner("a", "x.*.y"), owner("b", "x.z.y")], "both own x"],
    ["a leaf that is named", [owner("a", "x", item), owner("b", "x.*.expires")], "both own x"],
    ["one name twice", [owner("a", "x"), owner("a", "y")], "the same name"],
    ["an empty segment", [owner("a", "x..y")], "no schema"],
  ])("%s", (_case, both, message) => {
    if (message === undefined) expect(() => compileClaims(both)).not.toThrow();
    else expect(() => compileClaims(both)).toThrow(message);
  });

  test("a path without schema is a mistake of its author", () => {
    const claimant = { name: "a", keys: { gone: "x" }, schema: v.strictObject({}) };
    expect(() => compileClaims([claimant])).toThrow("a claims x, but has no schema for it");
  });
});

describe("paths of any depth", () => {
  const read = (text: string, ...all: Claimant[]) => {
    const loaded = loadConfig({ text, file: "f" }, {}, all);
    return loaded.ok ? Object.fromEntries(loaded.values) : loaded.problems.map((p) => p.message);
  };
  test.each<[string, string, Claimant[], unknown]>([
    ["two stars", "a: { x: { b: { y: { c: 1 } } } }", [owner("o", "a.*.b.*.c")], { x: { y: 1 } }],
    ["a star at the root", "a: { b: 1 }", [owner("o", "*.b")], { a: 1 }],
    ["a star at the end", "a: { x: 1, y: [2] }", [owner("o", "a.*")], { x: 1, y: [2] }],
    ["a list by id", "a: [{ id: x, b: 1 }, { id: y }]", [owner("o", "a.*.b")], { x: 1 }],
    ["a numeric id", "a: [{ id: 7, b: 1 }]", [owner("o", "a.*.b")], { 7: 1 }],
    ["a whole map", "a: { b: { c: 1 } }", [owner("o", "a")], { b: { c: 1 } }],
    ["its rest", "a: { b: 1, c: 2 }", [owner("o", "a"), owner("p", "a.c")], { b: 1 }],
    ["no rest", "a: { c: 2 }", [owner("o", "a"), owner("p", "a.c")], undefined],
    [
      "a deep rest",
      "a: { b: { c: 1, d: 2 } }",
      [owner("o", "a"), owner("p", "a.b.c")],
      { b: { d: 2 } },
    ],
    [
      "a name beside a star",
      "a: { dir: x, p: { m: 1 } }",
      [owner("o", "a.*.m"), owner("p", "a.dir")],
      { p: 1 },
    ],
  ])("%s", (_case, text, all, expected) => {
    expect(read(text, ...all)).toMatchObject({ o: expected === undefined ? {} : { it: expected } });
  });

  test("a missing key is told where its neighbour ends in _file", () => {
    const tls = v.strictObject({ cert: v.string(), cert_file: v.optional(v.string()) });
    expect(read("a: { cert_file: x }", owner("o", "a", tls))).toEqual(["`cert` is missing"]);
  });

  test("a name that its record refuses is told at its key", () => {
    const named = v.record(v.pipe(v.string(), v.regex(/^[a-z]+$/, "use a to z")), v.any());
    expect(read("a: { B1: x }", owner("o", "a", named))).toEqual(["use a to z"]);
  });

  test("a list without owner needs ids, different ones", () => {
    const text = "a: [{ b: 1 }, { id: x, b: 1 }, { id: x, b: 2 }, z]";
    expect(read(text, owner("o", "a.*.b"))).toEqual([
      "must be a map with a usable `id`",
      "another entry has the same `id`",
      "must be a map with a usable `id`",
    ]);
  });
});

describe("nearest", () => {
  const known = ["rate_limit", "port", "host", "drain_timeout"];
  test.each([
    ["rate_limits", "rate_limit"],
    ["rateLimit", "rate_limit"],
    ["RATE-LIMIT", "rate_limit"],
    ["prot", "port"],
    ["hots", "host"],
    ["drain", undefined],
    ["x", undefined],
    ["", undefined],
    ["y".repeat(1e6), undefined],
  ])("%p", (key, expected) => {
    expect(nearest(key, known)).toBe(expected);
  });
});

test("reading a small configuration takes no time worth mentioning", () => {
  const text = "server: { port: 1 }\nproviders: { claude: { api_key: abc } }\n";
  const load = () => loadConfig({ text, file: "f" }, {}, claimants);
  load();
  const started = performance.now();
  for (let i = 0; i < 20; i++) load();
  expect((performance.now() - started) / 20).toBeLessThan(20);
});
