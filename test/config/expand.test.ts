import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { expandTree } from "../../src/config/expand.ts";
import type { Tree } from "../../src/config/tree.ts";
import { parseYaml } from "../../src/config/yaml.ts";
import type { Secret } from "../../src/kit/secret.ts";
import { load, problemsOf, valuesOf } from "./claimants.ts";

/** What the value of `a` becomes, or the first problem. */
function expanded(text: string, env: Record<string, string>): unknown {
  const parsed = parseYaml(text);
  if (!parsed.ok) throw new Error(parsed.faults[0]?.message);
  const { faults } = expandTree(parsed.root, env);
  const tree = parsed.root.entries.get("a")?.tree;
  return faults[0] ?? (tree?.kind === "scalar" ? tree.value : tree);
}

const env = { N: "8080", B: "true", S: "text", E: "", Y: "{ x: 1 } # no", Q: "${S}", Z: "~" };
describe("variables", () => {
  test.each<[string, unknown]>([
    ["a: ${N}", 8080],
    ['a: "${N}"', "8080"],
    ["a: '${N}'", "8080"],
    ["a: |-\n  ${N}", "8080"],
    ["a: ${B}", true],
    ['a: "${B}"', "true"],
    ["a: ${Z}", null],
    ["a: ${S}", "text"],
    ["a: x${N}", "x8080"],
    ["a: ${N}${N}", "80808080"],
    ["a: ${N} ", 8080],
    ["a: ${M:-5}", 5],
    ['a: "${M:-5}"', "5"],
    ["a: ${E:-5}", 5],
    ["a: ${S:-5}", "text"],
    ["a: ${M:-}", null],
    ['a: "${M:-}"', ""],
    ["a: ${M:-a b:c}", "a b:c"],
    ["a: ${Y}", "{ x: 1 } # no"],
    ["a: ${Q}", "${S}"],
    ["a: $${N}", "${N}"],
    ["a: $${S} ${S}", "${S} text"],
    ["a: $N", "$N"],
    ["a: $", "$"],
  ])("%s becomes %p", (text, value) => {
    expect(expanded(text, env)).toEqual(value);
  });

  test.each([
    ["a: ${M}", "the variable M is not set"],
    ["a: ${E}", "the variable E is empty"],
    ["a: ${}", "`${` does not begin a variable here"],
    ["a: ${N", "`${` does not begin a variable here"],
    ["a: ${1N}", "`${` does not begin a variable here"],
    ["a: ${N-1}", "`${` does not begin a variable here"],
    ["a: ${N:?no}", "`${` does not begin a variable here"],
    ["a: ${M:-${N}}", "`${` does not begin a variable here"],
  ])("%s is a problem", (text, message) => {
    expect(expanded(text, env)).toMatchObject({ message, path: ["a"] });
  });

  test("names of the prototype are not set", () => {
    expect(expanded("a: ${constructor}", {})).toMatchObject({
      message: "the variable constructor is not set",
    });
  });

  test.each(["0123", "1e5", "0x10", ".inf", "12345678901234567890", "1_000"])(
    "%s stays text, as no bytes of it may get lost",
    (value) => expect(expanded("a: ${X}", { X: value })).toBe(value),
  );

  test.each(["12345678", "true", "null", "1e5"])("a secret that is %s is text", (key) => {
    const values = valuesOf(load("providers:\n  x:\n    api_key: ${K}\n", { K: key }));
    const keys = values.providers?.apiKey as { x: Secret } | undefined;
    expect(keys?.x.expose()).toBe(key);
  });

  test("a shared value is expanded once", () => {
    const text = "auth: { encryption: { key: &k '${A}' }, api_keys: [{ id: a, key: *k }] }";
    const values = valuesOf(load(text, { A: "${B}-x", B: "no" }));
    expect((values.auth?.key as Secret | undefined)?.expose()).toBe("${B}-x");
  });
});

describe("the two spellings of the encryption key", () => {
  const text = 'auth: { encryption: { key: "${CLIPROXY_ENCRYPTION_KEY}" } }';
  const [long, short] = ["CLIPROXY_ENCRYPTION_KEY", "CLIPRO_ENCRYPTION_KEY"];
  test.each([
    ["long", { [long]: "k" }, 0],
    ["short", { [short]: "k" }, 1],
    ["short, long empty", { [short]: "k", [long]: "" }, 1],
    ["both the same", { [short]: "k", [long]: "k" }, 0],
  ])("%s", (_case, variables, warnings) => {
    const loaded = load(text, variables);
    expect((valuesOf(loaded).auth?.key as Secret | undefined)?.expose()).toBe("k");
    expect(loaded.ok && loaded.warnings.length).toBe(warnings);
  });

  test("both set and different is a problem, also where neither is used", () => {
    const variables = { [short]: "hush-1", [long]: "hush-2" };
    for (const [problem] of [text, ""].map((t) => problemsOf(load(t, variables)))) {
      expect(problem).toBe(`1:1  the variables ${long} and ${short} are both set, and differ`);
    }
  });

  test("neither set", () => {
    expect(problemsOf(load(text))).toEqual([
      `1:28 auth.encryption.key the variable ${long} is not set`,
    ]);
  });
});

/** A tree without its values. */
function shape(tree: Tree): unknown {
  if (tree.kind === "map") return [...tree.entries].map(([key, e]) => [key, shape(e.tree)]);
  return tree.kind === "list" ? tree.items.map(shape) : "scalar";
}

test("no value of a variable changes the structure", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom(
      "\nserver: {}",
      "a: b",
      "- x",
      "{x: y}",
      "[a]",
      "# c",
      "*a",
      "&a b",
      "!!map {}",
      "'",
    ),
  );
  const styles = [
    "plain: ${V}",
    "in: x ${V} y",
    'q: "${V}"',
    "s: '${V}'",
    "b: |\n  ${V}",
    "l: [ '${V}' ]",
  ];
  fc.assert(
    fc.property(hostile, fc.subarray(styles, { minLength: 1 }), (value, lines) => {
      const [before, after] = [parseYaml(lines.join("\n")), parseYaml(lines.join("\n"))];
      if (!before.ok || !after.ok) throw new Error("must parse");
      expandTree(after.root, { V: value });
      expect(shape(after.root)).toEqual(shape(before.root));
    }),
    { numRuns: 500 },
  );
});
