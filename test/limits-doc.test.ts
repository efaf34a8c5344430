import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Schema {
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
}

function read(path: string): string {
  return readFileSync(join(import.meta.dirname, "..", path), "utf8");
}

/** Keys and defaults of the first table. */
function documented(): Map<string, string> {
  const rows = read("docs/limits.md").matchAll(/^\| `(\w+)` +\| `([^`]+)` +\|/gm);
  return new Map([...rows].map(([, key = "", value = ""]) => [key, value]));
}

test("docs/limits.md has every key below server.limits, with its default", () => {
  const schema = JSON.parse(read("config.schema.json")) as Schema;
  const limits = schema.properties?.server?.properties?.limits?.properties ?? {};
  const actual = new Map(
    Object.entries(limits).map(([key, value]) => [key, `${value.default ?? "unset"}`]),
  );
  expect(actual.size).toBeGreaterThan(5);
  expect(documented()).toEqual(actual);
});
