import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { configOf, makeDir, needBinary, runBinary, startProxy } from "../harness/proxy.ts";
import { normal } from "../harness/scripts.ts";
import { byRuntime } from "./targets.ts";

const messages = [{ role: "user", content: "hello" }];

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

test.each(byRuntime)(
  "%s: a quota outlives a restart, or the start is refused",
  async (runtime, target) => {
    const model = `quota-${runtime}`;
    upstream.on(model, normal({ inputTokens: 1000, outputTokens: 1 }));
    const dir = makeDir();
    const quota = { limit: 1000, reset: "monthly" };
    const one = {
      protocol: "openai",
      base_url: upstream.url,
      api_key: "k-1",
      models: [model],
      quota,
    };
    const config = { state: { path: join(dir, "s/c.db") }, providers: { one } };
    if (target.warns.length > 0) {
      writeFileSync(join(dir, "c.yaml"), JSON.stringify(configOf(dir, config)));
      const ended = await runBinary(["serve", "--config", join(dir, "c.yaml")], { runtime });
      expect(ended.code).toBe(78);
      expect(ended.err).toContain("needs SQLite");
      const { state: _state, ...unplaced } = config;
      writeFileSync(join(dir, "c.yaml"), JSON.stringify(configOf(dir, unplaced)));
      const again = await runBinary(["serve", "--config", join(dir, "c.yaml")], { runtime });
      expect(again.code).toBe(78);
      expect(again.err).toContain("needs state that lasts");
      return;
    }
    const ask = async (expected: number): Promise<void> => {
      const proxy = await startProxy({ runtime, config });
      const answer = await proxy.post("/v1/chat/completions", { model, max_tokens: 9, messages });
      expect([answer.status, (await answer.text()) !== ""]).toEqual([expected, true]);
      expect(await proxy.stop()).toBe(0);
    };
    await ask(200);
    await ask(429);
  },
);
