import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeAuthsPlace } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { needBinary, runBinary } from "../harness/proxy.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const page = readFileSync(join(import.meta.dirname, "../../docs/vault.md"), "utf8");
const recipes = (/## Keys[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? "").trim().split("\n");
const token = "sk-ant-api03-Zk3vQ9xT7mW2Lw8R-1234";

function make(recipe: string): string {
  return execFileSync("sh", ["-c", recipe], { encoding: "utf8" }).trimEnd();
}

test("the page has its recipes", () => {
  expect(recipes).toHaveLength(4);
});

describe("a key is made, encrypts, and alone opens what it has encrypted:", () => {
  const cases = [...recipes, "printf '%s' 'Tr0ub4dor&3-xkcd!9 Qz[}7vB*pLm#w'"];
  test.each(cases)("%s", (recipe) => {
    const key = make(recipe);
    const place = makeAuthsPlace();
    place.encryption({ enabled: true, key });
    expect(place.run(["add", "claude"], token).code).toBe(0);
    const file = join(place.auths, "claude.json");
    const sealed = readFileSync(file, "utf8");
    expect(sealed).not.toContain(token);
    expect(place.run(["list", "--json"]).out).toContain('"last4":"1234"');
    // Another run of the recipe is another key; of the text that is fixed, another text.
    const other = make(recipe) === key ? `${key.slice(0, -1)}!` : make(recipe);
    place.encryption({ enabled: true, key: other });
    const { code, out, err } = place.run(["list", "--json"]);
    expect([code, out + err]).toEqual([78, expect.stringContaining("decryption failed")]);
    for (const secret of [key, other]) expect(out + err).not.toContain(secret);
    expect(readFileSync(file, "utf8")).toBe(sealed);
    // The new one first: it reads what the old one sealed, and takes it over.
    place.encryption({ enabled: true, keys: [other, key] });
    expect(place.run(["rotate"]).code).toBe(0);
    place.encryption({ enabled: true, key: other });
    expect(place.run(["list", "--json"]).out).toContain('"last4":"1234"');
  });
});

describe("encryption is on, and there is no key: the start is refused, in the clear nothing", () => {
  const enabled = (more: object) => ({ auth: { encryption: { enabled: true, ...more } } });
  const variable = { key: "${CLIPROXY_ENCRYPTION_KEY}" };
  const cases: readonly (readonly [string, object, Record<string, string>, string])[] = [
    ["an unset variable", variable, {}, "CLIPROXY_ENCRYPTION_KEY is not set"],
    ["an empty one", variable, { CLIPROXY_ENCRYPTION_KEY: "" }, "CLIPROXY_ENCRYPTION_KEY is empty"],
    ["no key at all", {}, {}, "auth.encryption  is enabled, but has no key"],
    [
      "two spellings that differ",
      variable,
      { CLIPROXY_ENCRYPTION_KEY: make("openssl rand -hex 32"), CLIPRO_ENCRYPTION_KEY: "x" },
      "CLIPRO_ENCRYPTION_KEY",
    ],
  ];
  test.each(cases)("%s", async (_name, more, env, told) => {
    const { auths } = makeAuthsPlace();
    const file = join(auths, "..", "c.yaml");
    const { auth } = enabled(more);
    await Bun.write(file, JSON.stringify({ auth: { dir: auths, ...auth }, server: { port: 0 } }));
    for (const command of [["serve"], ["auths", "list"]]) {
      const { code, out, err } = await runBinary([...command, "--config", file], { env });
      expect([command, code]).toEqual([command, 78]);
      expect(out + err).toContain(told);
    }
  });
});
