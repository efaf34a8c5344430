import { expect } from "bun:test";
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { type RunningProxy, startProxy } from "../harness/proxy.ts";
import { type GuideBlock, guideBlocks } from "./blocks.ts";

export type Yaml = { [key: string]: unknown };

/** One key of a block, and what its value makes the binary do. */
export interface KeyProof {
  /** Id of the block. */
  readonly block: string;
  /** As `keysOf` names it. */
  readonly key: string;
  /** Stands in place of the value in the second run; absent: the key, or item, is left out. */
  readonly without?: unknown;
  /** Further keys that the second run needs to start, by dotted path. */
  readonly also?: Readonly<Record<string, unknown>>;
  /** What both runs need beside the block, made in their directory. */
  with?(dir: string): Promise<Yaml>;
  /** Throws unless the binary does what the key says. */
  prove(proxy: RunningProxy, upstream: FakeUpstream): Promise<void>;
}

/** Addresses come by `X-Forwarded-For`, which the tests' own address may send. */
export const base: Yaml = { server: { trusted_proxies: ["127.0.0.0/8"] } };

export function blockOf(id: string): GuideBlock {
  const block = guideBlocks.find((b) => b.id === id);
  if (block === undefined) throw new Error(`the guide has no block ${id}`);
  return block;
}

export function yamlOf(id: string): Yaml {
  const { holds } = blockOf(id);
  if (!("yaml" in holds)) throw new Error(`${id} is no configuration`);
  return structuredClone(holds.yaml) as Yaml;
}

/** Dotted paths of the leaves; of a list each item is one, in brackets. */
export function keysOf(value: unknown, path: readonly string[] = []): string[] {
  if (Array.isArray(value)) return value.map((item) => `${path.join(".")}[${item}]`);
  if (typeof value !== "object" || value === null) return [path.join(".")];
  return Object.entries(value).flatMap(([key, child]) => keysOf(child, [...path, key]));
}

/** Merges maps; anything else of the second replaces the first. */
export function merge(first: Yaml, second: Yaml): Yaml {
  const out: Yaml = { ...first };
  for (const [key, value] of Object.entries(second)) {
    const known = out[key];
    out[key] = isMap(known) && isMap(value) ? merge(known, value) : value;
  }
  return out;
}

function isMap(value: unknown): value is Yaml {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sets a value, or takes the key, or the item of a list, away. */
export function setKey(config: Yaml, path: string, value: unknown): Yaml {
  const [, list, item] = /^(.+?)\[(.+)\]$/.exec(path) ?? [];
  if (list !== undefined) {
    const items = valueAt(config, list) as unknown[];
    return setKey(
      config,
      list,
      items.flatMap((one) => (one === item ? (value ?? []) : one)),
    );
  }
  const [first = "", ...rest] = path.split(".");
  const out = { ...config };
  if (rest.length > 0) out[first] = setKey((out[first] ?? {}) as Yaml, rest.join("."), value);
  else if (value === undefined) delete out[first];
  else out[first] = value;
  return out;
}

function valueAt(config: unknown, path: string): unknown {
  return path.split(".").reduce((value, key) => (value as Yaml | undefined)?.[key], config);
}

let upstream: FakeUpstream | undefined;

/** The provider that all blocks with providers share. */
export async function sharedUpstream(): Promise<FakeUpstream> {
  upstream ??= await startUpstream();
  return upstream;
}

/** Stands for what `openssl rand -base64 32` prints. */
export const encryptionKey = "n1Vb0Qx4Zt7Kc9Lw2Rm5Yh8Js3Df6Gp0AqWeEiUoTyM=";

/** The environment that the guide's configurations are run in. */
export const guideEnv: Readonly<Record<string, string>> = {
  CLIPROXY_ENCRYPTION_KEY: encryptionKey,
};

/** What the guide has where a key of one's own belongs. */
export const placeholderKey = "YOUR_32_BYTE_ENCRYPTION_KEY_HERE";

/** What of a block is bound to a place: files, free ports, keys, and where the providers are. */
export async function relocate(config: Yaml, dir: string): Promise<Yaml> {
  let out = config;
  if (valueAt(config, "logging.audit.file") !== undefined) {
    out = setKey(out, "logging.audit.file", join(dir, "logs", "audit.log"));
  }
  if (valueAt(config, "metrics.port") !== undefined) {
    out = setKey(out, "metrics.port", await freePort());
  }
  if (valueAt(config, "auth.encryption.key") === placeholderKey) {
    out = setKey(out, "auth.encryption.key", encryptionKey);
  }
  if (valueAt(config, "server.tls") !== undefined) {
    for (const [key, file] of Object.entries(await makeGuidePair(dir))) {
      out = setKey(out, `server.tls.${key}`, file);
    }
    out = setKey(out, "server.port", await freePort());
  }
  for (const name of Object.keys((config.providers ?? {}) as Yaml)) {
    const { url } = await sharedUpstream();
    out = setKey(out, `providers.${name}.base_url`, url);
    out = setKey(out, `providers.${name}.api_key`, `key-of-${name}`);
  }
  return out;
}

/** A pair as the guide makes it, but with the names that clients look for. */
export async function makeGuidePair(dir: string) {
  const tls = join(dir, "tls");
  mkdirSync(tls, { recursive: true });
  const [cert_file, key_file] = [join(tls, "tls.crt"), join(tls, "tls.key")];
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90"];
  const subject = ["-subj", "/CN=localhost", "-addext", names, "-addext"];
  const files = ["basicConstraints=CA:FALSE", "-keyout", key_file, "-out", cert_file];
  await promisify(execFile)("openssl", [...words, ...subject, ...files]);
  chmodSync(key_file, 0o600);
  return { cert_file, key_file };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The configuration of a block over the least that serves. */
export async function configFor(block: string, dir: string): Promise<Yaml> {
  return relocate(merge(base, yamlOf(block)), dir);
}

/** Keys of a block that nobody proves. */
export function unproved(id: string, proofs: readonly Pick<KeyProof, "block" | "key">[]): string[] {
  const proved = new Set(proofs.filter(({ block }) => block === id).map(({ key }) => key));
  return keysOf(yamlOf(id)).filter((key) => !proved.has(key));
}

async function configOf(proof: KeyProof, dir: string): Promise<Yaml> {
  const config = await configFor(proof.block, dir);
  return proof.with === undefined ? config : merge(config, await proof.with(dir));
}

/** Runs the assertion with the key, and again without it, where it must fail. */
export async function proveKey(proof: KeyProof, dir: string): Promise<void> {
  const config = await configOf(proof, dir);
  const proxy = await startProxy({ config, env: guideEnv });
  await proof.prove(proxy, await sharedUpstream());
  await proxy.stop();
  // What the first run wrote must not prove anything for the second.
  const fresh = join(dir, "again");
  mkdirSync(join(fresh, "logs"), { recursive: true, mode: 0o700 });
  let other = setKey(await configOf(proof, fresh), proof.key, proof.without);
  for (const [key, value] of Object.entries(proof.also ?? {})) other = setKey(other, key, value);
  const held = await holds(other, proof);
  expect(held, `${proof.key} makes no difference`).toBe(false);
}

/** Whether the assertion holds; a configuration that is refused enforces nothing. */
async function holds(config: Yaml, proof: KeyProof): Promise<boolean> {
  let proxy: RunningProxy;
  try {
    proxy = await startProxy({ config, env: guideEnv });
  } catch (error) {
    if (String(error).includes("ended with 78")) return false;
    throw error;
  }
  try {
    await proof.prove(proxy, await sharedUpstream());
    return true;
  } catch {
    return false;
  } finally {
    await proxy.stop();
  }
}
