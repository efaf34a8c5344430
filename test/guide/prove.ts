import { expect } from "bun:test";
import { mkdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type RunningProxy, startProxy } from "../harness/proxy.ts";
import { type GuideBlock, guideBlocks } from "./blocks.ts";

type Yaml = { [key: string]: unknown };

/** One key of a block, and what its value makes the binary do. */
export interface KeyProof {
  /** Id of the block. */
  readonly block: string;
  /** Dotted path. */
  readonly key: string;
  /** Stands in place of the value in the second run; absent: the key is left out. */
  readonly without?: unknown;
  /** Further keys that the second run needs to start, by dotted path. */
  readonly also?: Readonly<Record<string, unknown>>;
  /** Throws unless the binary does what the key says. */
  prove(proxy: RunningProxy): Promise<void>;
}

/** Addresses come by `X-Forwarded-For`, which the tests' own address may send. */
const base: Yaml = { server: { trusted_proxies: ["127.0.0.0/8"] } };

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

/** Dotted paths of the leaves; a list is one leaf. */
export function keysOf(value: unknown, path: readonly string[] = []): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path.join(".")];
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

/** Sets a value, or takes the key away. */
export function setKey(config: Yaml, path: string, value: unknown): Yaml {
  const [first = "", ...rest] = path.split(".");
  const out = { ...config };
  if (rest.length > 0) out[first] = setKey((out[first] ?? {}) as Yaml, rest.join("."), value);
  else if (value === undefined) delete out[first];
  else out[first] = value;
  return out;
}

/** What of a block is bound to a machine: files go to the test's directory, ports are free ones. */
async function relocate(config: Yaml, dir: string): Promise<Yaml> {
  let out = config;
  for (const key of keysOf(config)) {
    if (key === "logging.audit.file") out = setKey(out, key, join(dir, "logs", "audit.log"));
    if (key === "metrics.port") out = setKey(out, key, await freePort());
  }
  return out;
}

async function freePort(): Promise<number> {
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

/** Runs the assertion with the key, and again without it, where it must fail. */
export async function proveKey(proof: KeyProof, dir: string): Promise<void> {
  const config = await configFor(proof.block, dir);
  const proxy = await startProxy({ config });
  await proof.prove(proxy);
  await proxy.stop();
  // What the first run wrote must not prove anything for the second.
  const fresh = join(dir, "again");
  mkdirSync(join(fresh, "logs"), { recursive: true, mode: 0o700 });
  let other = setKey(await configFor(proof.block, fresh), proof.key, proof.without);
  for (const [key, value] of Object.entries(proof.also ?? {})) other = setKey(other, key, value);
  const held = await holds(other, proof);
  expect(held, `${proof.key} makes no difference`).toBe(false);
}

/** Whether the assertion holds; a configuration that is refused enforces nothing. */
async function holds(config: Yaml, proof: KeyProof): Promise<boolean> {
  let proxy: RunningProxy;
  try {
    proxy = await startProxy({ config });
  } catch (error) {
    if (String(error).includes("ended with 78")) return false;
    throw error;
  }
  try {
    await proof.prove(proxy);
    return true;
  } catch {
    return false;
  } finally {
    await proxy.stop();
  }
}
