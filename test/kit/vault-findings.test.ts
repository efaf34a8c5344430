import { afterAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuthStore } from "../../src/kit/auth-store.ts";
import { Secret } from "../../src/kit/secret.ts";
import { findingsOf, vaultFindingKinds } from "../../src/kit/vault-findings.ts";
import { toVault } from "../../src/kit/vault-settings.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

const token = "sk-ant-api03-Zk3vQ9xT7mW2Lw8R";
const credential = { type: "api_key", token } as const;
const [oldKey, newKey] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
const seen = new Set<string>();

function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-findings-"));
  dirs.push(dir);
  return dir;
}

function vaultOf(keys: readonly string[]) {
  const secrets = keys.map((key) => new Secret(key));
  return toVault({ enabled: keys.length > 0, keys: secrets, requireEncrypted: false });
}

/** What is found in a directory with these keys; files are left as they are. */
function found(dir: string, ...keys: readonly string[]) {
  const vault = vaultOf(keys);
  const stored = openAuthStore(dir, ["claude"], vault, false).list();
  const findings = findingsOf(dir, stored, vault);
  for (const one of findings) {
    seen.add(one.id);
    expect(JSON.stringify(one)).not.toContain(token);
  }
  return findings;
}

const idsOf = (findings: ReturnType<typeof found>): readonly string[] =>
  findings.map(({ severity, id }) => `${severity} ${id}`);

async function sealed(): Promise<string> {
  const dir = makeDir();
  await openAuthStore(dir, ["claude"], vaultOf([oldKey]), true).write("claude", "a", credential);
  return dir;
}

function writePlain(dir: string, file: string, text = JSON.stringify(credential)): void {
  writeFileSync(join(dir, file), text, { mode: 0o600 });
}

describe("of credential files", () => {
  test("nothing where there are none, and where all are as they should be", async () => {
    expect(found(makeDir(), oldKey)).toEqual([]);
    expect(found(await sealed(), oldKey)).toEqual([]);
  });

  test("in the clear: worse where a key is configured, each with its mend", () => {
    const dir = makeDir();
    for (let i = 0; i < 7; i++) writePlain(dir, `claude-${i}.json`);
    const [without] = found(dir);
    const [within] = found(dir, newKey);
    expect([without?.severity, within?.severity]).toEqual(["medium", "high"]);
    expect(without?.mend).toStartWith("enable auth.encryption");
    expect(within?.mend).toBe("cliproxy auths encrypt");
    expect(within?.evidence).toEndWith("claude-4.json and 2 more");
  });

  test("sealed by a key that is not the first", async () => {
    expect(idsOf(found(await sealed(), newKey, oldKey))).toEqual(["medium credentials-old-key"]);
  });

  test("sealed by no key of ours, renamed, and changed", async () => {
    const dir = await sealed();
    expect(idsOf(found(dir, newKey))).toEqual(["high credentials-not-decrypted"]);
    copyFileSync(join(dir, "claude-a.json"), join(dir, "claude-b.json"));
    const [renamed] = found(dir, oldKey);
    expect(renamed?.id).toBe("credentials-not-decrypted");
    expect(renamed?.evidence).toEndWith("claude-b.json");
  });

  test("not what a credential is", async () => {
    const dir = await sealed();
    writePlain(dir, "claude-c.json", JSON.stringify({ type: "magic" }));
    expect(idsOf(found(dir, oldKey))).toContain("medium credentials-refused");
  });

  test("open to others: told, with the mend, and not mended by looking", async () => {
    const dir = await sealed();
    chmodSync(dir, 0o755);
    const file = join(dir, "claude-a.json");
    chmodSync(file, 0o644);
    const [open, ...more] = found(dir, oldKey);
    expect([open?.id, more]).toEqual(["credentials-too-open", []]);
    expect(open?.evidence).toContain(file);
    expect(open?.mend).toBe(`chmod 700 ${dir} && chmod 600 ${dir}/*.json`);
    expect([statSync(dir).mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o755, 0o644]);
  });
});

test("each kind was found", () => {
  expect([...seen].sort()).toEqual(Object.keys(vaultFindingKinds).sort());
});
