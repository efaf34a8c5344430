import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import {
  cleanEnv,
  clientKey,
  makeDir,
  needBinary,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { within } from "../harness/wait.ts";
import { type Block, blocksOf, readPages } from "./markdown.ts";

const modules = resolve(import.meta.dirname, "../../node_modules");

/** Where the pages say the proxy is. */
const address = "http://127.0.0.1:8317";

const blocks = readPages().flatMap((page) =>
  blocksOf(page).map((block) => [`${page.path}:${block.line}`, block] as const),
);

let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  // Never called: what the page shows is refused before.
  const claude = { base_url: "http://127.0.0.1:9", api_key: "up-1", models: ["claude-sonnet-4-5"] };
  proxy = await startProxy({
    config: { providers: { sandbox: { models: ["sandbox-echo"] }, claude } },
  });
});
afterAll(cleanUp);

/** Runs a block as a reader would, with the proxy's address and key. */
async function runBlock({ language, text }: Block): Promise<{ code: number; out: string }> {
  const cwd = join(makeDir(), "cwd");
  symlinkSync(modules, join(cwd, "node_modules"));
  const isShell = language === "sh";
  const file = join(cwd, isShell ? "block.sh" : "block.mjs");
  writeFileSync(file, text.replaceAll(address, proxy.url));
  const [program, ...args] = isShell ? ["bash", "-eu", file] : [process.execPath, file];
  const env = cleanEnv({ CLIPROXY_KEY: clientKey });
  const child = spawn(program as string, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      out += chunk;
    });
  }
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? -1));
  });
  try {
    return { code: await within(`the block ends\n${text}`, ended, 20_000), out };
  } finally {
    child.kill("SIGKILL");
  }
}

const runnable = blocks.filter(([, { words }]) => words.includes("run"));

describe("a command or program runs as it is written:", () => {
  test.concurrent.each(runnable)(
    "%s",
    async (_where, block) => {
      expect(block.text).toContain(address);
      const { code, out } = await runBlock(block);
      // The output first: it says what went wrong.
      expect(out).toContain(block.expected as string);
      expect(code).toBe(0);
    },
    30_000,
  );

  test("every endpoint and SDK is among them", () => {
    const text = runnable.map(([, block]) => block.text).join("\n");
    for (const part of [
      ...["/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/responses"],
      ...["/v1/embeddings", "/v1/messages", "/v1/messages/count_tokens", ":generateContent"],
      ...[":streamGenerateContent", ":countTokens", ":embedContent"],
      ...['from "openai"', 'from "@anthropic-ai/sdk"', 'from "@google/genai"', 'from "ai"'],
    ]) {
      expect(text).toContain(part);
    }
  });

  test("and a wrong one fails", async () => {
    const block = { line: 1, words: [], expected: undefined };
    const bad = { ...block, language: "js", text: 'throw new Error("no");' };
    expect(await runBlock(bad)).toMatchObject({ code: 1, out: expect.stringContaining("no") });
    const text = `curl -f ${address}/nowhere`;
    expect((await runBlock({ ...block, language: "sh", text })).code).not.toBe(0);
  });
});

/** A configuration as a page shows it, with something for all that it takes from outside. */
async function check(text: string) {
  const dir = makeDir();
  const file = join(dir, "config.yaml");
  mkdirSync(join(dir, "auths"));
  chmodSync(join(dir, "auths"), 0o700);
  writeFileSync(file, text);
  if (text.includes("dir: ./policies")) writeExamplePolicies(join(dir, "policies"));
  const names = new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name as string));
  // Each its own: no two keys may be the same, and none may be easy to guess.
  const variableFor = (name: string): string => {
    const isVaultKey = name.endsWith("ENCRYPTION_KEY");
    return isVaultKey ? randomBytes(32).toString("base64") : `${clientKey}-${name}`;
  };
  const env = Object.fromEntries([...names].map((name) => [name, variableFor(name)]));
  return runBinary(["check", "--config", file], { cwd: dir, env });
}

/** The policies that pages show, so that the example is run as it stands there. */
function writeExamplePolicies(dir: string): void {
  mkdirSync(dir, { mode: 0o755 });
  const shown = blocks.filter(([, { text }]) => text.includes('from "cliproxy/policy"'));
  for (const [, { text, words }] of shown) {
    const name = words.find((word) => word.endsWith(".ts")) ?? "office-hours.ts";
    writeFileSync(join(dir, name), text);
  }
}

describe("a configuration of ours passes `cliproxy check`:", () => {
  const ours = blocks.filter(([, { language, words }]) => {
    return language === "yaml" && !words.includes("other");
  });
  test.concurrent.each(ours)("%s", async (_where, { text }) => {
    const { code, err } = await check(text);
    expect(err).not.toMatch(/config\.yaml:\d/);
    expect(code).toBe(0);
  });

  test("they are found, and a wrong one fails", async () => {
    expect(ours.length).toBeGreaterThan(5);
    const { code, err } = await check("providers: { claude: { api_kee: x } }");
    expect(code).toBe(78);
    expect(err).toMatch(/config\.yaml:\d/);
  });
});

describe("a configuration of others can be read:", () => {
  const parsers: Readonly<Record<string, (text: string) => unknown>> = {
    json: JSON.parse,
    toml: Bun.TOML.parse,
  };
  const others = blocks.filter(([, { language }]) => language in parsers);
  test.each(others)("%s", (_where, { language, text }) => {
    expect(parsers[language]?.(text)).toBeObject();
  });
});

test("the proxy ends with exit code 0, and has kept the key to itself", async () => {
  expect(await proxy.stop()).toBe(0);
  expect(proxy.stdout() + proxy.stderr()).not.toContain(clientKey);
});
