import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir, needBinary, startProxy } from "../harness/proxy.ts";
import { managementKey } from "./asking.ts";
import { guideBlocks } from "./blocks.ts";
import { commandProofs, commandsOf } from "./commands.ts";
import { base, guideEnv, merge, relocate, yamlOf } from "./prove.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const blocks = guideBlocks.filter(({ proof, holds }) => proof === "here" && "commands" in holds);

describe("every command does what the guide says", () => {
  test.each(commandProofs.map((proof) => [proof.command, proof] as const))(
    "%s",
    async (command, { config, prove }) => {
      const dir = makeDir();
      mkdirSync(join(dir, "logs"), { mode: 0o700 });
      const block = config === undefined ? {} : yamlOf(config);
      const all = merge(merge(base, block), { management: { key: managementKey } });
      const proxy = await startProxy({ config: await relocate(all, dir), env: guideEnv });
      await prove(command, proxy);
      expect(await proxy.stop()).toBe(0);
    },
    30_000,
  );
});

describe("no command is forgotten", () => {
  test.each(blocks.map(({ id }) => id))("%s", (id) => {
    const proved = commandProofs.filter(({ block }) => block === id).map(({ command }) => command);
    expect(proved).toEqual(commandsOf(id));
  });
});
