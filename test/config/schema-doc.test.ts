import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Claimant } from "../../src/config/claims.ts";
import { loadConfig } from "../../src/config/load.ts";
import { toExampleYaml, toJsonSchema } from "../../src/config/schema-doc.ts";
import { doc } from "../../src/kit/schema.ts";
import { providerClaims } from "../../src/provider-claims.ts";
import { authDirClaims, loggingClaims, rolloutClaims, serverClaims } from "../../src/settings.ts";
import { claimants } from "./claimants.ts";

/** Takes the `#` from before every key; sentences keep theirs. */
function uncommented(text: string): string {
  return text.replace(/^( *)#(?! )/gm, "$1");
}

/** Every variable that a text uses. */
function variablesOf(text: string): Record<string, string> {
  return Object.fromEntries([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => [name, "abcd-1"]));
}

const real = [
  serverClaims,
  authDirClaims,
  providerClaims,
  loggingClaims,
  rolloutClaims("auth", true),
];

describe("toExampleYaml", () => {
  test.each<[string, readonly Claimant[]]>([
    ["of the tests", claimants],
    ["of the core", real as readonly Claimant[]],
  ])("without its comments the reference %s loads", (_case, all) => {
    const text = uncommented(toExampleYaml(all));
    const loaded = loadConfig({ text, file: "example" }, variablesOf(text), all);
    expect(loaded.ok ? [] : loaded.problems).toEqual([]);
  });

  const text = toExampleYaml(claimants);
  test("as it is, it sets nothing and is at most 120 columns wide", () => {
    expect(text.split("\n").filter((line) => !/^ *(#|$)/.test(line))).toEqual([]);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test.each([
    "#server:\n  # Address to listen on.\n  #host: 127.0.0.1\n",
    "  #rate_limit:\n    # Whether it is on.\n    #enabled: false\n",
    "    # The credential. Or api_key_file, the path of a file that holds it.\n",
    '    #api_key: "${',
    "    #models: [ sonnet, { name: fast, upstream: haiku } ]\n",
  ])("holds %p", (part) => expect(text).toContain(part));

  test("an example that only the author can give is asked for", () => {
    const schema = v.strictObject({ it: v.pipe(v.string(), v.regex(/^[0-9]{9}$/)) });
    const claimant = { name: "a", keys: { it: "x.y" }, schema };
    expect(() => toExampleYaml([claimant])).toThrow("x.y needs an example");
  });

  test("long values and sentences are broken", () => {
    const example = Array.from({ length: 40 }, (_, i) => ({ name: `model-${i}`, n: i }));
    const item = v.array(v.strictObject({ name: v.string(), n: v.number() }));
    const schema = v.strictObject({
      it: v.pipe(item, doc("Some words. ".repeat(30), { example })),
    });
    const all = [{ name: "a", keys: { it: "x.y.z" }, schema }];
    const lines = toExampleYaml(all).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(loadConfig({ text: uncommented(lines.join("\n")), file: "" }, {}, all).ok).toBe(true);
  });
});

describe("toJsonSchema", () => {
  const at = (path: string): Record<string, unknown> =>
    path
      .split(".")
      .reduce<Record<string, unknown>>(
        (node, key) => (node[key] ?? {}) as Record<string, unknown>,
        toJsonSchema(claimants) as Record<string, unknown>,
      );
  test.each([
    ["$schema", "https://json-schema.org/draft/2020-12/schema"],
    ["additionalProperties", false],
    ["properties.server.additionalProperties", false],
    ["properties.server.properties.rate_limit.additionalProperties", false],
    ["properties.providers.additionalProperties.additionalProperties", false],
    ["properties.server.properties.port.description", "Port to listen on."],
    ["properties.server.properties.port.default", 8317],
    ["properties.providers.additionalProperties.properties.api_key.description", "The credential."],
    ["properties.providers.additionalProperties.properties.api_key_file.type", "string"],
    ["properties.auth.properties.api_keys.items.properties.key_file.type", "string"],
    ["properties.auth.properties.api_keys.items.properties.rate_limit.type", "object"],
    ["properties.auth.properties.api_keys.items.additionalProperties", false],
  ])("%s is %p", (path, value) => {
    expect(at(path)).toEqual(value as never);
  });

  test("every map is closed", () => {
    const walk = (node: unknown): void => {
      if (typeof node !== "object" || node === null) return;
      const { properties, additionalProperties } = node as Record<string, unknown>;
      const isSchema = properties !== undefined && "type" in node;
      if (isSchema) expect(additionalProperties).not.toBeUndefined();
      for (const value of Object.values(node)) walk(value);
    };
    walk(toJsonSchema(claimants));
  });
});
