import { expect } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDir, runBinary } from "../harness/proxy.ts";
import { check, type ProblemProof, start } from "./problem-proof.ts";
import { addAuth } from "./proofs-auths.ts";
import { encryptionKey, type Yaml } from "./prove.ts";

const failed = "`decryption failed`";
const lostKey = "c3RhbmRzLWZvci1hLWtleS10aGF0LWlzLWxvc3QuLi4=";
const token = "sk-ant-api03-Zk3vQ9xT7mW2Lw8Rb1Tn6Yc";
const credential = { provider: "claude", type: "api_key", token };

const encrypted = (key: string): Yaml => ({ encryption: { enabled: true, key } });

/** A directory with a credential that a key has encrypted. */
async function sealedBy(key: string): Promise<string> {
  const dir = join(makeDir(), "auths");
  mkdirSync(dir, { mode: 0o700 });
  const proxy = await start({ auth: { dir, ...encrypted(key) } });
  expect(await addAuth({ ...proxy, authDir: dir }, credential)).toBe(201);
  expect(await proxy.stop()).toBe(0);
  return dir;
}

/** The start is refused; what it says. */
async function refusal(dir: string, auth: Yaml): Promise<string> {
  const { code, err } = await check({ auth: { dir, ...auth } });
  expect(code).toBe(78);
  expect(err).not.toContain(token);
  return err;
}

/** A proxy on the directory has the credential. */
async function serves(dir: string, auth: Yaml): Promise<void> {
  const proxy = await start({ auth: { dir, ...auth } });
  const { providers } = proxy.greeting.plan;
  expect(providers.find(({ name }) => name === "claude")?.credentials).toBe(1);
  expect(await proxy.stop()).toBe(0);
}

export const vaultProblems: readonly ProblemProof[] = [
  {
    symptom: failed,
    solution: 1,
    async prove() {
      const dir = await sealedBy(encryptionKey);
      for (const [key, told] of [
        [encryptionKey.slice(0, 31), "has 31 characters"],
        [encryptionKey.slice(0, 33), "has 33 characters"],
        ["dG9vLXNob3J0LWZvci1hLWtleQ==", "has 28 characters"],
      ] as const) {
        const err = await refusal(dir, encrypted(key));
        for (const part of ["auth.encryption.key", told, "openssl rand -base64 32"]) {
          expect(err).toContain(part);
        }
        expect(err).not.toContain(key);
      }
      await serves(dir, encrypted(encryptionKey));
    },
  },
  {
    symptom: failed,
    solution: 2,
    async prove() {
      const dir = await sealedBy(encryptionKey);
      const none = await refusal(dir, {});
      expect(none).toContain("decryption failed");
      expect(none).toContain("set auth.encryption.enabled and auth.encryption.key");
      const unset = await refusal(dir, encrypted("${CLIPROXY_ENCRYPTION_KEY}"));
      expect(unset).toContain("CLIPROXY_ENCRYPTION_KEY");
      await serves(dir, encrypted(encryptionKey));
    },
  },
  {
    symptom: failed,
    solution: 3,
    async prove() {
      const dir = await sealedBy(encryptionKey);
      const err = await refusal(dir, encrypted(lostKey));
      expect(err).toContain("decryption failed: the key does not match key id");
      expect(err).toContain("set the key that it was made with");
      expect(err).not.toContain(lostKey);
      await serves(dir, encrypted(encryptionKey));
    },
  },
  {
    symptom: failed,
    solution: 4,
    async prove() {
      const dir = await sealedBy(lostKey);
      const err = await refusal(dir, encrypted(encryptionKey));
      // The words say which file goes, and that the credentials are added again.
      const [, file = ""] = /remove (\S+) and add the\s+credentials again/.exec(err) ?? [];
      expect(file).toBe(join(dir, ".vault.json"));
      rmSync(file);
      const proxy = await start({ auth: { dir, ...encrypted(encryptionKey) } });
      expect(proxy.stderr() + proxy.greeting.warnings.join()).toContain("claude.json");
      expect(await addAuth({ ...proxy, authDir: dir }, credential)).toBe(201);
      expect(await proxy.stop()).toBe(0);
      await serves(dir, encrypted(encryptionKey));
      const config = join(makeDir(), "c.yaml");
      writeFileSync(config, JSON.stringify({ auth: { dir, ...encrypted(encryptionKey) } }));
      expect((await runBinary(["auths", "list", "--config", config])).code).toBe(0);
    },
  },
];
