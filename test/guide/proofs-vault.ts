import { expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { binary, makeDir, type RunningProxy } from "../harness/proxy.ts";
import { addAuth } from "./proofs-auths.ts";
import { blockOf, encryptionKey, type KeyProof, yamlOf } from "./prove.ts";
import { type CommandProof, run } from "./shell.ts";

const token = "sk-ant-api03-Zk3vQ9xT7mW2Lw8Rb1Tn6Yc";

/** What is added is encrypted, and by nothing but this key can it be read. */
async function encryptsBy(proxy: RunningProxy, key: string): Promise<void> {
  expect(await addAuth(proxy, { provider: "claude", type: "api_key", token })).toBe(201);
  expect(readFileSync(join(proxy.authDir, "claude.json"), "utf8")).not.toContain(token);
  expect(await list(proxy.authDir, key)).toMatchObject([
    { provider: "claude", form: "encrypted", last4: token.slice(-4) },
  ]);
}

/** A directory with a configuration that takes its encryption key from the environment. */
function makePlace(authDir?: string): string {
  const dir = makeDir();
  mkdirSync(join(dir, "auths"), { mode: 0o700 });
  const { auth } = yamlOf("encryption key from the environment") as { auth: object };
  const config = { auth: { dir: authDir ?? join(dir, "auths"), ...auth } };
  writeFileSync(join(dir, "c.yaml"), JSON.stringify(config));
  return dir;
}

const cliproxy = `'${binary}' auths`;
const withConfig = "--json --config c.yaml";

async function list(authDir: string, key: string): Promise<unknown> {
  const env = { CLIPROXY_ENCRYPTION_KEY: key };
  const { code, out } = await run(`${cliproxy} list ${withConfig}`, makePlace(authDir), env);
  expect(code).toBe(0);
  return JSON.parse(out).credentials;
}

/** The keys of one of the two blocks; the value that the second run has is another. */
function blockProofs(block: string): readonly KeyProof[] {
  const prove = (proxy: RunningProxy): Promise<void> => encryptsBy(proxy, encryptionKey);
  return [
    { block, key: "auth.encryption.enabled", without: false, prove },
    { block, key: "auth.encryption.key", prove },
  ];
}

export const vaultProofs: readonly KeyProof[] = [
  ...blockProofs("encryption"),
  ...blockProofs("encryption key from the environment"),
];

/** A key that a recipe prints encrypts a credential, and reads it again. */
function recipe(command: string): CommandProof {
  return {
    block: "recipes for an encryption key",
    command,
    async prove() {
      const dir = makePlace();
      const { code, out: key } = await run(command, dir);
      expect(code).toBe(0);
      await roundTrip(dir, { CLIPROXY_ENCRYPTION_KEY: key.trimEnd() });
    },
  };
}

/** Adds in one process and reads in another; a key of another run opens nothing. */
export async function roundTrip(
  dir: string,
  env: Readonly<Record<string, string>>,
  before = "",
): Promise<void> {
  writeFileSync(join(dir, "token"), token, { mode: 0o600 });
  const add = `${before}${cliproxy} add claude --token-file token ${withConfig}`;
  const listed = `${add} && ${cliproxy} list ${withConfig}`;
  const { code, out } = await run(listed, dir, env);
  expect([code, out]).toEqual([0, expect.stringContaining('"form":"encrypted"')]);
  expect(out).not.toContain(token);
  expect(readFileSync(join(dir, "auths", "claude.json"), "utf8")).not.toContain(token);
  const other = await run(`${cliproxy} list ${withConfig}`, dir, {
    CLIPROXY_ENCRYPTION_KEY: encryptionKey,
  });
  expect([other.code, other.out]).toEqual([78, expect.stringContaining("decryption failed")]);
}

const setting = "setting the encryption key";
const [exported = "", ...compose] =
  (blockOf(setting).holds as { readonly commands?: readonly string[] }).commands ?? [];

/** The lines of a compose file, with what the shell has put in for the variable. */
async function provesCompose(): Promise<void> {
  const { environment } = parse(compose.join("\n")) as { environment: readonly string[] };
  const [name = "", value] = environment[0]?.split("=") ?? [];
  expect(value).toBe(`\${${name}}`);
  const dir = makePlace();
  const { out: key } = await run("openssl rand -base64 32", dir);
  await roundTrip(dir, { [name]: key.trimEnd() });
}

export const keyCommands: readonly CommandProof[] = [
  recipe("openssl rand -base64 32"),
  recipe('python3 -c "import secrets; print(secrets.token_urlsafe(32))"'),
  recipe("head -c 32 /dev/urandom | base64"),
  {
    block: setting,
    command: exported,
    prove: (command) => roundTrip(makePlace(), {}, `${command} && `),
  },
  ...compose.map((command) => ({ block: setting, command, prove: provesCompose })),
];
