import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCredentials } from "../src/credentials.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

const canary = "canary-token-5Hs7";

function read(files: Readonly<Record<string, unknown>>, providers: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-credentials-"));
  dirs.push(dir);
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(join(dir, name), text, { mode: 0o600 });
  }
  return { dir, ...readCredentials(dir, providers) };
}

function key(token: unknown = canary, more: object = {}): object {
  return { type: "api_key", token, ...more };
}

describe("readCredentials", () => {
  type Case = readonly [
    name: string,
    files: Readonly<Record<string, unknown>>,
    found: Readonly<Record<string, readonly string[]>>,
    warnings: number,
  ];
  const cases: readonly Case[] = [
    ["by name", { "claude.json": key() }, { claude: ["claude"] }, 0],
    ["by name and id", { "claude-work.json": key() }, { claude: ["claude-work"] }, 0],
    [
      "the longest name owns it",
      { "claude-eu-1.json": key() },
      { "claude-eu": ["claude-eu-1"] },
      0,
    ],
    ["a name that only begins alike", { "claudette.json": key() }, {}, 1],
    ["nobody's", { "mistral.json": key() }, {}, 1],
    ["disabled", { "claude.json": key(canary, { disabled: true }) }, {}, 0],
    [
      "unknown fields are kept out of the way",
      { "claude.json": key(canary, { note: 1 }) },
      { claude: ["claude"] },
      0,
    ],
    ["spaces around the token", { "claude.json": key(` ${canary}\n`) }, { claude: ["claude"] }, 0],
    ["no JSON", { "claude.json": canary }, {}, 1],
    ["empty file", { "claude.json": "" }, {}, 1],
    ["list", { "claude.json": [canary] }, {}, 1],
    ["empty token", { "claude.json": key("  ") }, {}, 1],
    ["token is a number", { "claude.json": key(7) }, {}, 1],
    ["unknown type", { "claude.json": key(canary, { type: "magic" }) }, {}, 1],
    ["priority is a word", { "claude.json": key(canary, { priority: "high" }) }, {}, 1],
    ["other files", { "claude.json.bak": key(), ".claude.json": key(), "client.key": "x" }, {}, 0],
    [
      "a bad one beside a good one",
      { "claude.json": "{", "claude-2.json": key() },
      { claude: ["claude-2"] },
      1,
    ],
    [
      "lower priority first, then by name",
      {
        "claude-a.json": key("a", { priority: 5 }),
        "claude-b.json": key("b"),
        "claude-c.json": key("c", { priority: -1 }),
        "claude-d.json": key("d"),
      },
      { claude: ["claude-c", "claude-b", "claude-d", "claude-a"] },
      0,
    ],
  ];
  test.each(cases)("%s", (_name, files, expected, warnings) => {
    const found = read(files, ["claude", "claude-eu", "openai"]);
    const ids = Object.fromEntries(
      [...found.byProvider].map(([provider, list]) => [provider, list.map((c) => c.id)]),
    );
    expect(ids).toEqual(expected as never);
    expect(found.warnings).toHaveLength(warnings);
    for (const warning of found.warnings) expect(warning).toContain(found.dir);
    expect(JSON.stringify(found.warnings)).not.toContain(canary);
    expect(Bun.inspect(found.byProvider)).not.toContain(canary);
  });

  test("the token itself, trimmed", () => {
    const found = read({ "claude.json": key(` ${canary}\n`) }, ["claude"]);
    expect(found.byProvider.get("claude")?.[0]?.secret?.expose()).toBe(canary);
  });

  test("no directory is no credential and no warning", () => {
    const found = readCredentials("/nonexistent/auths", ["claude"]);
    expect([found.byProvider.size, found.warnings.length]).toEqual([0, 0]);
  });

  test("a directory that is a file is told", () => {
    const { dir } = read({ file: "x" }, []);
    expect(readCredentials(join(dir, "file"), ["claude"]).warnings).toHaveLength(1);
  });

  test("a file that anybody may write is told, and serves", () => {
    const { dir } = read({ "claude.json": key() }, []);
    chmodSync(join(dir, "claude.json"), 0o666);
    const found = readCredentials(dir, ["claude"]);
    expect(found.byProvider.get("claude")).toHaveLength(1);
    expect(found.warnings).toHaveLength(1);
    expect(found.warnings[0]).toContain("claude.json");
  });

  test("a folder with the name of a credential is told", () => {
    const { dir } = read({}, []);
    mkdirSync(join(dir, "claude.json"));
    const found = readCredentials(dir, ["claude"]);
    expect(found.byProvider.size).toBe(0);
    expect(found.warnings).toHaveLength(1);
  });
});
