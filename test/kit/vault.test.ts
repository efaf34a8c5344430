import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { readCredentials } from "../../src/credentials.ts";
import { sweepTemps, writeAtomically } from "../../src/kit/atomic-file.ts";
import { openAuthStore } from "../../src/kit/auth-store.ts";
import { withDirLock } from "../../src/kit/dir-lock.ts";
import { Secret } from "../../src/kit/secret.ts";
import { parseVaultKey } from "../../src/kit/vault-key.ts";
import { toVault } from "../../src/kit/vault-settings.ts";
import { outcomeOf, type Vector, vectorsFile } from "../vectors/envelope/check.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});
function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-vault-"));
  dirs.push(dir);
  return dir;
}

const newKey = (): string => randomBytes(32).toString("base64");
function storeOf(dir: string, ...keys: readonly string[]) {
  const secrets = keys.map((key) => new Secret(key));
  const vault = toVault({ enabled: keys.length > 0, keys: secrets, requireEncrypted: false });
  return openAuthStore(dir, ["claude", "openai"], vault, true);
}

describe("a key", () => {
  const hex = randomBytes(32).toString("hex");
  const cases: readonly (readonly [name: string, text: string, wrong: RegExp | undefined])[] = [
    ["base64", newKey(), undefined],
    ["base64 with a newline", `${newKey()}\n`, undefined],
    ["base64url", randomBytes(32).toString("base64url"), undefined],
    ["hex", hex, undefined],
    ["hex in capitals", hex.toUpperCase(), undefined],
    ["32 characters", "Tr0ub4dor&3-xkcd!9 Qz[}7vB*pLm#w", undefined],
    ["the guide's placeholder", "YOUR_32_BYTE_ENCRYPTION_KEY_HERE", /placeholder/],
    ["one character", "a".repeat(64), /repeats/],
    ["32 equal characters", "x".repeat(32), /repeats/],
    ["31 characters", "Tr0ub4dor&3-xkcd!9 Qz[}7vB*pLm#", /31 characters/],
    ["33 characters", "Tr0ub4dor&3-xkcd!9 Qz[}7vB*pLm#ww", /33 characters/],
    ["not ASCII", "ü".repeat(32), /ASCII/],
    [
      "bits too many at the end",
      `${"Qz7vBpLmwTr0ub4dor3xkcd9QzAbCdEfGhIjKlMnOp"}/`,
      /not the base64/,
    ],
    ["two alphabets", `${"+_7vBpLmwTr0ub4dor3xkcd9QzAbCdEfGhIjKlMnOpA"}`, /not the base64/],
    ["empty", "", /0 characters/],
  ];
  test.each(cases)("%s", (_name, text, wrong) => {
    const parsed = parseVaultKey(text);
    expect(parsed.ok).toBe(wrong === undefined);
    if (!parsed.ok) {
      expect(parsed.message).toMatch(wrong as RegExp);
      if (text.length > 8) expect(parsed.message).not.toContain(text.slice(0, 12));
    }
  });

  test("one key has one id, whatever its form", () => {
    const bytes = randomBytes(32);
    const forms = ["base64", "base64url", "hex"] as const;
    const ids = forms.map((form) => {
      const parsed = parseVaultKey(bytes.toString(form));
      return parsed.ok ? parsed.key.id : "";
    });
    expect(new Set(ids).size).toBe(1);
  });
});

describe("vectors of the envelope", () => {
  const vectors = JSON.parse(readFileSync(vectorsFile, "utf8")) as readonly Vector[];
  test.each(vectors.map((vector) => [vector.name, vector] as const))("%s", (_name, vector) => {
    const { outcome, text } = vector;
    expect(outcomeOf(vector)).toEqual({ outcome, ...(text !== undefined && { text }) });
  });

  test.each(["node", "deno"])("the same on %s", async (runtime) => {
    const file = join(makeDir(), "vectors.mjs");
    const from = join(import.meta.dirname, "../vectors/envelope/check.ts");
    const contents = `import { failures } from ${JSON.stringify(from)};
      console.log(JSON.stringify(failures(${JSON.stringify(vectorsFile)})));`;
    await build({
      stdin: { contents, resolveDir: import.meta.dirname, loader: "ts" },
      ...{ bundle: true, format: "esm", platform: "node", outfile: file, logLevel: "silent" },
    });
    const args = runtime === "deno" ? ["run", "-A", file] : [file];
    const root = join(import.meta.dirname, "../../node_modules/.bin");
    const program = runtime === "deno" ? join(root, "deno") : "node";
    const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
    expect({ stdout, stderr }).toEqual({ stdout: "[]\n", stderr: "" });
  });
});

describe("the store", () => {
  const token = "canary-token-93kd83jd";
  test("writes sealed, reads back, and refuses a renamed or swapped file", async () => {
    const dir = join(makeDir(), "auths");
    const store = storeOf(dir, newKey());
    expect(await store.write("claude", "work", { type: "api_key", token })).toBe(true);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    const raw = readFileSync(join(dir, "claude-work.json"), "utf8");
    expect(raw).not.toContain(token);
    expect(statSync(join(dir, "claude-work.json")).mode & 0o777).toBe(0o600);
    expect(store.read("claude", "work").content).toMatchObject({ token });
    writeFileSync(join(dir, "claude.json"), raw, { mode: 0o600 });
    writeFileSync(join(dir, "openai.json"), raw, { mode: 0o600 });
    const { refused } = store.list();
    expect(refused.map(({ file, reason }) => [file, reason])).toEqual([
      ["claude.json", "wrong_place"],
      ["openai.json", "wrong_place"],
    ]);
  });

  test("old keys read, the first one writes, and a stranger writes nothing", async () => {
    const dir = makeDir();
    const [a, b] = [newKey(), newKey()];
    await storeOf(dir, a).write("claude", "default", { type: "api_key", token });
    const both = storeOf(dir, b, a);
    expect(both.read("claude", "default").form).toBe("encrypted");
    expect(await both.reseal("claude.json")).toBe("sealed");
    expect(await both.reseal("claude.json")).toBe("was_sealed");
    expect(storeOf(dir, b).read("claude", "default").content).toMatchObject({ token });
    const stranger = storeOf(dir, newKey());
    const written = stranger.write("claude", "x", { type: "api_key", token });
    expect(written).rejects.toMatchObject({ code: "wrong_key" });
  });

  test("what must be encrypted is refused in the clear", () => {
    const dir = makeDir();
    writeFileSync(join(dir, "claude.json"), JSON.stringify({ type: "api_key", token }));
    const vault = toVault({ enabled: true, key: new Secret(newKey()), requireEncrypted: true });
    const { refused } = openAuthStore(dir, ["claude"], vault, true).list();
    expect(refused.map(({ reason }) => reason)).toEqual(["not_encrypted"]);
  });

  test("modes are mended, foreign links refused, hard links told", () => {
    const dir = makeDir();
    const outside = join(makeDir(), "secret.json");
    const text = JSON.stringify({ type: "api_key", token });
    for (const path of [outside, join(dir, "claude.json"), join(dir, "claude-b.json")]) {
      writeFileSync(path, text);
      chmodSync(path, 0o644);
    }
    symlinkSync(outside, join(dir, "claude-link.json"));
    linkSync(join(dir, "claude-b.json"), join(dir, "other"));
    const { credentials, refused } = storeOf(dir, newKey()).list();
    expect(statSync(join(dir, "claude.json")).mode & 0o777).toBe(0o600);
    expect(refused.map(({ reason }) => reason)).toEqual(["link"]);
    const linked = credentials.find(({ id }) => id === "b");
    expect(linked?.notes.join()).toContain("hard link");
    expect(statSync(join(dir, "claude-b.json")).mode & 0o777).toBe(0o644);
  });

  test("a half-written file keeps what it held, and is taken up when it is whole", () => {
    const dir = makeDir();
    const path = join(dir, "claude.json");
    const last = new Map();
    const read = (text: string) => {
      writeFileSync(path, text, { mode: 0o600 });
      const found = readCredentials(dir, ["claude"], { last });
      return found.byProvider.get("claude")?.map(({ secret }) => secret?.expose());
    };
    const whole = JSON.stringify({ type: "api_key", token: "one" });
    expect(read(whole)).toEqual(["one"]);
    expect(read(whole.slice(0, 20))).toEqual(["one"]);
    expect(read("")).toEqual(["one"]);
    expect(read(whole.replace("one", "two"))).toEqual(["two"]);
    rmSync(path);
    expect(readCredentials(dir, ["claude"], { last }).byProvider.size).toBe(0);
  });
});

describe("files and locks", () => {
  test("a failed write leaves the old file, and no temporary one", () => {
    const dir = makeDir();
    mkdirSync(join(dir, "taken.json"));
    expect(() => writeAtomically(join(dir, "taken.json"), "x")).toThrow();
    expect(readdirSync(dir)).toEqual(["taken.json"]);
  });

  test("temporary files of the dead are swept, young ones are not", () => {
    const dir = makeDir();
    const [old, young] = [`.a.json.${"0".repeat(16)}.tmp`, `.a.json.${"1".repeat(16)}.tmp`];
    for (const name of [old, young]) writeFileSync(join(dir, name), "x");
    utimesSync(join(dir, old), 1, 1);
    expect(sweepTemps(dir, Date.now())).toBe(1);
    expect(readdirSync(dir)).toEqual([young]);
  });

  test("the lock of a dead process is taken over; writers in one process take turns", async () => {
    const dir = makeDir();
    const { pid } = spawnSync("true");
    writeFileSync(join(dir, ".lock"), JSON.stringify({ pid, host: hostname(), nonce: "x" }));
    let count = 0;
    const work = () =>
      withDirLock(dir, () => {
        count += 1;
      });
    await Promise.all(Array.from({ length: 20 }, work));
    expect(count).toBe(20);
    expect(readdirSync(dir)).toEqual([]);
  });
});
