import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { clientKey, makeDir, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { callFrom, recorded, scrape, statusFrom } from "./asking.ts";
import { guideBlocks } from "./blocks.ts";
import { auditFile } from "./proofs-records.ts";
import { blockOf, configFor, merge } from "./prove.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const expiredKey = "cpk_test-Zq4Rb8Wn2Lx6Vt0Ky5Mj9Hs3Dg7Fp1Cc";

async function start(block: string, more: Record<string, unknown> = {}): Promise<RunningProxy> {
  const dir = makeDir();
  mkdirSync(join(dir, "logs"), { mode: 0o700 });
  return startProxy({ config: merge(await configFor(block, dir), more) });
}

function linesOf(id: string): readonly string[] {
  const { holds } = blockOf(id);
  return "lines" in holds ? holds.lines : [];
}

async function failAt(proxy: RunningProxy, path: string, ip: string, key: string): Promise<void> {
  const headers = { "x-forwarded-for": ip, authorization: `Bearer ${key}` };
  const body = { model: "sandbox-echo", max_tokens: 5, messages: [] };
  await (await proxy.post(path, body, { headers })).text();
}

/** What the guide prints and what a run prints, by block. */
const printed: Readonly<Record<string, () => Promise<void>>> = {
  async "headers of every response"() {
    const proxy = await start("security headers");
    const bare = await start("security headers", {
      server: { security: { headers: { enabled: false } } },
    });
    const [reply, without] = [await proxy.get("/healthz"), await bare.get("/healthz")];
    for (const line of linesOf("headers of every response")) {
      const [name = "", value = ""] = line.split(/: (.*)/s);
      // RFC 6797, 7.2: never over plain HTTP. Over TLS: proofs-tls.ts.
      const expected = name === "Strict-Transport-Security" ? null : value;
      expect([name, reply.headers.get(name)]).toEqual([name, expected]);
      expect([name, without.headers.get(name)]).toEqual([name, null]);
    }
  },

  async "audit record"() {
    const { holds } = blockOf("audit record");
    const record = ("json" in holds ? holds.json : {}) as Readonly<Record<string, unknown>>;
    const expired = {
      ...{ id: "user", user_id: record.user_id, key: expiredKey },
      expires: "2025-01-01T00:00:00Z",
    };
    const keys = [expired, { id: "tester", key: clientKey }];
    const proxy = await start("audit log", { auth: { api_keys: keys } });
    await failAt(proxy, "/v1/messages", String(record.ip), expiredKey);
    const made = await recorded(auditFile(proxy), "auth_failure");
    const { timestamp, ...rest } = record;
    expect(Object.keys(made).slice(0, Object.keys(record).length)).toEqual(Object.keys(record));
    expect(made).toMatchObject(rest);
    expect(made.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  },

  async "security metrics"() {
    const rate = { enabled: true, requests_per_second: 0.001, burst: 1 };
    const proxy = await start("metrics", { server: { security: { rate_limiting: rate } } });
    const lines = linesOf("security metrics");
    const first = await scrape(proxy);
    for (const line of lines.filter((l) => l.startsWith("#"))) expect(first).toContain(`${line}\n`);
    // Five lost logins, each from its own address, so that none of them is over its rate.
    for (let i = 1; i <= 5; i++) await failAt(proxy, "/v1/messages", `8.8.8.${i}`, "nobody");
    // One call passes, ten are over the rate.
    expect(await statusFrom(proxy, "192.168.1.100")).toBe(200);
    for (let i = 0; i < 10; i++) expect(await statusFrom(proxy, "192.168.1.100")).toBe(429);
    await (await callFrom(proxy, "9.9.9.9")).text();
    const headers = { "x-forwarded-for": "10.9.9.9" };
    await (await proxy.get("/v1//models", { headers })).text();
    const later = await scrape(proxy);
    for (const line of lines) {
      expect(later).toContain(`${line}\n`);
      if (!line.startsWith("#")) expect(first).not.toContain(`${line}\n`);
    }
  },
};

const blocks = guideBlocks.filter(
  ({ proof, holds }) => proof === "here" && ("lines" in holds || "json" in holds),
);

describe("what the guide prints is printed so", () => {
  test.each(blocks.map(({ id }) => id))("%s", async (id) => {
    const prove = printed[id];
    if (prove === undefined) throw new Error(`nobody proves ${id}`);
    await prove();
  });
});
