import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { parse } from "yaml";
import { isOwnKeyShape } from "../../src/kit/client-key.ts";
import { runCaptured } from "./capture.ts";

const digestOf = (key: string): string => createHash("sha256").update(key).digest("hex");

describe("keys new", () => {
  const cases: readonly (readonly [
    argv: readonly string[],
    id: string | undefined,
    user: string | undefined,
  ])[] = [
    [[], undefined, undefined],
    [["--id", "alice"], "alice", undefined],
    [["--id", "alice", "--user", "alice@example.com"], "alice", "alice@example.com"],
    [["--id", "null"], "null", undefined],
    [["--id", "1e3", "--user", "~"], "1e3", "~"],
    [["--id", "@"], "@", undefined],
    [["--id=-"], "-", undefined],
    [["--id", "a", "--user", `", key: "x" } # 'é😀`], "a", `", key: "x" } # 'é😀`],
  ];
  test.each(cases)("%j: the snippet is YAML that says what was asked", async (argv, id, user) => {
    const { code, out, err } = await runCaptured(["keys", "new", ...argv]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const key = /^client key {3}(\S+)$/m.exec(out)?.[1] ?? "";
    expect(isOwnKeyShape(key)).toBe(true);
    expect(out.split(key)).toHaveLength(2);
    const [entry] = parse(out.slice(out.indexOf("auth:\n"))).auth.api_keys;
    expect(entry.key_sha256).toBe(digestOf(key));
    if (id !== undefined) expect(entry.id).toBe(id);
    expect(entry.user_id).toBe(user ?? entry.id);
    expect(entry.id).toMatch(/^[\w.@-]{1,64}$/);
  });

  test("as JSON", async () => {
    const { out } = await runCaptured(["keys", "new", "--id", "bob", "--json"]);
    const { key, yaml, ...rest } = JSON.parse(out);
    expect(rest).toEqual({ id: "bob", user_id: "bob", key_sha256: digestOf(key) });
    expect(yaml).toContain(digestOf(key));
    expect(yaml).not.toContain(key);
  });

  const bad: readonly (readonly string[])[] = [
    ["--id", "a b"],
    ["--id", ""],
    ["--id", "x".repeat(65)],
    ["--id", "é"],
    ["--user", ""],
    ["--user", "a\nb"],
    ["--user", "a\u2028b"],
    ["--user", "a\u202eb"],
    ["--user", "x".repeat(257)],
    ["alice"],
  ];
  test.each(bad.map((argv) => [argv] as const))("refuses %j", async (argv) => {
    const { code, out } = await runCaptured(["keys", "new", ...argv]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });
});

describe("version", () => {
  test("names version, runtime and platform", async () => {
    const { code, out } = await runCaptured(["version"]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^cliproxy 1\.2\.3\n {2}runtime {3}\w+ [\d.]+, .*\n {2}platform {2}\w+-\w+\n$/,
    );
    const { version, runtime, platform } = JSON.parse(
      (await runCaptured(["version", "--json"])).out,
    );
    expect(version).toBe("1.2.3");
    expect(runtime).toMatchObject({ name: "bun", compiled: false });
    expect(platform).toMatch(/^\w+-\w+$/);
  });
});
