import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { configOf, makeDir, needBinary, runBinary } from "../harness/proxy.ts";
import { guideBlocks } from "./blocks.ts";
import { keyProofs } from "./proofs.ts";
import { guideEnv, makeGuidePair, merge, proveKey, unproved, yamlOf } from "./prove.ts";

beforeAll(needBinary);
afterAll(cleanUp);

/** The blocks of configuration that are this suite's to prove. */
const blocks = guideBlocks.filter(({ proof, holds }) => proof === "here" && "yaml" in holds);

/** Whoever pastes it would have a key that everybody knows. */
const refusedAsItStands = new Set(["encryption"]);

/** A directory for files that a block names. */
function makePlace(): string {
  const dir = makeDir();
  mkdirSync(join(dir, "logs"), { mode: 0o700 });
  return dir;
}

describe("every block passes `check` as it stands in the guide, but for its placeholder", () => {
  test.each(blocks.map(({ id }) => id))("%s", async (id) => {
    const dir = makePlace();
    const file = join(dir, "config.yaml");
    const config = merge(configOf(dir), yamlOf(id));
    const audit = (config.logging as { audit?: { file: string } } | undefined)?.audit;
    const tls = (config.server as { tls?: object } | undefined)?.tls;
    if (tls !== undefined) Object.assign(tls, await makeGuidePair(dir));
    if (audit !== undefined) audit.file = join(dir, "logs", "audit.log");
    writeFileSync(file, JSON.stringify(config));
    const { code, out, err } = await runBinary(["check", "--config", file], { env: guideEnv });
    if (refusedAsItStands.has(id)) {
      expect(code).toBe(78);
      expect(out + err).toContain("auth.encryption.key");
      expect(out + err).toContain("is the placeholder of the guide");
      return;
    }
    expect(err).toBe("");
    expect(code).toBe(0);
  });
});

describe("every key is enforced, and without it that fails", () => {
  test.each(keyProofs.map((proof) => [proof.block, proof.key, proof] as const))(
    "%s: %s",
    (_block, _key, proof) => proveKey(proof, makePlace()),
    60_000,
  );
});

describe("no key is forgotten", () => {
  test.each(blocks.map(({ id }) => id))("%s", (id) => {
    expect(unproved(id, keyProofs)).toEqual([]);
  });

  test.each(keyProofs.map((proof) => [proof.block, proof.key, proof] as const))(
    "%s: that nobody proves %s would be noticed",
    (block, key, proof) => {
      const others = keyProofs.filter((other) => other !== proof);
      expect(unproved(block, others)).toEqual([key]);
    },
  );
});
