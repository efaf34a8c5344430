import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatProblems } from "../../src/config/problems.ts";
import { load } from "./claimants.ts";

const known = ["server", "port", "host", "rate_limit", "providers", "claude", "api_key", "auth"];
const keys = [...known, "api_keys", "id", "key", "key_file", "rpm", "models", "mode", "zz", "0"];
const scalars = ["x", "${V}", '"${V}"', "'a ${V}'", "1", "true", "~", "", "*a", "&a ${V}", "${NO}"];

/** YAML that is nearly right, of keys that are known at some place. */
const value = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(...scalars),
    fc.string(),
    fc.array(tie("node")).map((items) => `[${items.join(", ")}]`),
    fc
      .array(fc.tuple(fc.constantFrom(...keys), tie("node")), { maxLength: 5 })
      .map((entries) => `{ ${entries.map((entry) => entry.join(": ")).join(", ")} }`),
  ),
})).node;

test("whatever is written: no crash, a place for each problem, no value of a variable", () => {
  const lines = fc.array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 4 });
  fc.assert(
    fc.property(lines, (entries) => {
      const text = entries.map((entry) => entry.join(": ")).join("\n");
      const loaded = load(text, { V: "hush-value" });
      const problems = loaded.ok ? loaded.warnings : loaded.problems;
      expect(loaded.ok || problems.length > 0).toBe(true);
      expect(problems.filter((p) => p.line < 1 || p.column < 1 || p.message === "")).toEqual([]);
      expect(formatProblems(problems, { color: false })).not.toContain("hush");
    }),
    {
      numRuns: 2000,
      // Found once in some hundred thousand: an `id` names its entry in paths.
      examples: [[[["providers", "[{ id: 'a ${V}', server: x }]"]]]],
    },
  );
});
