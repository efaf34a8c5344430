import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { configOf, makeDir, needBinary, runBinary, startProxy } from "../harness/proxy.ts";
import { guideBlocks } from "./blocks.ts";
import { awaitedKeys, callFrom, keyProofs, recordsWith, scrape } from "./proofs.ts";
import { blockOf, configFor, keysOf, merge, proveKey, yamlOf } from "./prove.ts";

beforeAll(needBinary);
afterAll(cleanUp);

/** The blocks of configuration that are this suite's to prove. */
const blocks = guideBlocks.filter(({ proof, holds }) => proof === "here" && "yaml" in holds);

/** A directory for files that a block names. */
function makePlace(): string {
  const dir = makeDir();
  mkdirSync(join(dir, "logs"), { mode: 0o700 });
  return dir;
}

describe("every block passes `check` as it stands in the guide", () => {
  test.each(blocks.map(({ id }) => id))("%s", async (id) => {
    const dir = makePlace();
    const file = join(dir, "config.yaml");
    const config = merge(configOf(dir), yamlOf(id));
    const audit = (config.logging as { audit?: { file: string } } | undefined)?.audit;
    if (audit !== undefined) audit.file = join(dir, "logs", "audit.log");
    writeFileSync(file, JSON.stringify(config));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(err).toBe("");
    expect(code).toBe(0);
  });
});

describe("every key is enforced, and without it that fails", () => {
  test.each(keyProofs.map((proof) => [proof.block, proof.key, proof] as const))(
    "%s: %s",
    (_block, _key, proof) => proveKey(proof, makePlace()),
    30_000,
  );
});

describe("no key is forgotten", () => {
  test.each(blocks.map(({ id }) => id))("%s", (id) => {
    const proved = keyProofs.filter(({ block }) => block === id).map(({ key }) => key);
    const missing = keysOf(yamlOf(id)).filter((key) => !proved.includes(key) && !awaitedKeys[key]);
    expect(missing).toEqual([]);
  });

  test("nothing is awaited that is proved, or not in the guide", () => {
    const keys = new Set(blocks.flatMap(({ id }) => keysOf(yamlOf(id))));
    const proved = new Set(keyProofs.map(({ key }) => key));
    const idle = Object.keys(awaitedKeys).filter((key) => !keys.has(key) || proved.has(key));
    expect(idle).toEqual([]);
  });
});

test("the audit record has the guide's fields first, in its order", async () => {
  const { holds } = blockOf("audit record");
  const fields = Object.keys("json" in holds ? (holds.json as object) : {});
  const proxy = await startProxy({ config: await configFor("audit log", makePlace()) });
  const { file } = JSON.parse(readFileSync(proxy.configFile, "utf8")).logging.audit;
  const records = await recordsWith(proxy, file, "auth_failure");
  for (const record of records as object[]) {
    expect(Object.keys(record).slice(0, fields.length)).toEqual(fields);
    expect((record as { timestamp: string }).timestamp).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  }
});

test("the metrics have the guide's names, help, types and labels from the first scrape", async () => {
  const { holds } = blockOf("security metrics");
  const lines = "lines" in holds ? holds.lines : [];
  const proxy = await startProxy({ config: await configFor("metrics", makePlace()) });
  const first = await scrape(proxy, "/metrics");
  for (const line of lines.filter((l) => l.startsWith("#"))) expect(first).toContain(`${line}\n`);
  await (await callFrom(proxy, "8.8.8.8", "nobody")).text();
  const later = await scrape(proxy, "/metrics");
  expect(later).toMatch(/^cliproxy_auth_failures_total\{provider="[\w-]+"\} 1$/m);
  expect(later).toMatch(/^cliproxy_security_events_total\{event_type="\w+"\} \d+$/m);
});

test("the headers are those that the guide prints", async () => {
  const { holds } = blockOf("headers of every response");
  const lines = "lines" in holds ? holds.lines : [];
  const proxy = await startProxy({ config: await configFor("security headers", makePlace()) });
  const reply = await proxy.get("/healthz");
  for (const line of lines) {
    const [name = "", value = ""] = line.split(/: (.*)/s);
    // RFC 6797, 7.2: never over plain HTTP.
    const expected = name === "Strict-Transport-Security" ? null : value;
    expect(reply.headers.get(name)).toBe(expected);
  }
});
