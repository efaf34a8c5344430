import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { usageLimits } from "../../policies/usage/counter.ts";
import { policy } from "../../policies/usage/index.ts";
import type { AdminReply } from "../../src/contract/admin.ts";
import type { AttemptResult, Hooks, Outcome, Policy } from "../../src/contract/policy.ts";
import {
  callOf,
  createStubHost,
  createStubHouse,
  hooksOf,
  type StubHost,
  startExchange,
} from "../harness/stubs.ts";

const dayMs = 86_400_000;
const operation = policy.admin?.[0];
if (operation === undefined) throw new Error("no operation");
const { query: querySchema, reply: replySchema } = operation;

async function hooksFor(host: StubHost): Promise<Hooks> {
  const hooks = await hooksOf(policy as unknown as Policy, { enabled: true }, host);
  if (hooks === undefined) throw new Error("not configured");
  return hooks;
}

const ok = (tokens: number): AttemptResult => ({
  kind: "ok",
  status: 200,
  bytes: 1,
  durationMs: 0,
  usage: { inputTokens: tokens, outputTokens: 2, cachedTokens: 1, reasoningTokens: 1 },
});
const failed: AttemptResult = {
  kind: "failed",
  status: 500,
  bytes: 0,
  durationMs: 0,
  usage: undefined,
};

function count(hooks: Hooks, keyId: string, provider: string, model: string, result = ok(10)) {
  const x = startExchange(createStubHouse());
  x.principal = { keyId, userId: "u" };
  x.call = callOf({ stream: true }, 10);
  hooks.attemptEnd?.(x, { index: 0, provider, credentialId: "c", model }, result);
  hooks.finish?.(x, { kind: "success", provider } as Outcome);
}

interface Report {
  readonly from: string;
  readonly to: string;
  readonly rows: readonly Record<string, unknown>[];
  readonly total: Record<string, number>;
}

/** What the operation answers; its query and its reply are held to their schemas. */
async function ask(hooks: Hooks, query: object = {}): Promise<Report> {
  const call = {
    x: startExchange(createStubHouse()),
    params: {},
    body: undefined,
    query: v.parse(querySchema as v.GenericSchema, query),
    mismatch: () => undefined,
  };
  const reply = (await hooks.admin?.readUsage?.(call)) as AdminReply;
  return v.parse(replySchema as v.GenericSchema, reply.body) as Report;
}

describe("usage", () => {
  test("adds up requests, errors and tokens, by what is asked", async () => {
    const host = createStubHost();
    const hooks = await hooksFor(host);
    count(hooks, "alice", "claude", "m1");
    count(hooks, "alice", "claude", "m1", ok(30));
    count(hooks, "bob", "claude", "m2");
    host.clock.advance(dayMs);
    count(hooks, "bob", "openai", "m3 with a space");
    const all = await ask(hooks);
    expect([all.from, all.to]).toEqual(["2026-01-01", "2026-01-02"]);
    expect(all.total).toMatchObject({ requests: 4, input_tokens: 60, output_tokens: 8 });
    expect(all.total).toMatchObject({ cached_tokens: 4, reasoning_tokens: 4, errors: 0 });
    const names = (report: Report, ...keys: string[]) =>
      report.rows.map((row) => [...keys.map((key) => row[key]), row.requests]);
    expect(names(all, "key")).toEqual([
      ["alice", 2],
      ["bob", 2],
    ]);
    expect(names(await ask(hooks, { by: "day" }), "day")).toEqual([
      ["2026-01-01", 3],
      ["2026-01-02", 1],
    ]);
    expect(names(await ask(hooks, { by: "provider,model" }), "provider", "model")).toEqual([
      ["claude", "m1", 2],
      ["claude", "m2", 1],
      ["openai", "m3 with a space", 1],
    ]);
    const first = await ask(hooks, { from: "2026-01-01", to: "2026-01-01", by: "key" });
    expect(names(first, "key")).toEqual([
      ["alice", 2],
      ["bob", 1],
    ]);
    expect(names(await ask(hooks, { from: "2026-01-03" }), "key")).toEqual([]);
  });

  test("tells what failed, what was refused, and what is only an estimate", async () => {
    const hooks = await hooksFor(createStubHost());
    count(hooks, "alice", "claude", "m");
    count(hooks, "alice", "claude", "m", { ...failed, kind: "aborted" });
    const x = startExchange(createStubHouse());
    hooks.finish?.(x, { kind: "denied" } as Outcome);
    const { rows } = await ask(hooks, { by: "key,model" });
    expect(rows).toMatchObject([
      { key: "alice", model: "m", requests: 2, errors: 1, estimated_tokens: 10, refused: 0 },
      { key: "none", model: "none", requests: 1, errors: 0, refused: 1 },
    ]);
  });

  test("outlives a reload and a restart", async () => {
    const host = createStubHost();
    count(await hooksFor(host), "alice", "claude", "m");
    count(await hooksFor(host), "alice", "claude", "m");
    const restarted = { ...createStubHost(), store: host.store };
    count(await hooksFor(restarted), "alice", "claude", "m");
    expect((await ask(await hooksFor(restarted))).rows).toMatchObject([{ requests: 3 }]);
  });

  test("forgets what is older than it keeps", async () => {
    const host = createStubHost();
    const hooks = await hooksFor(host);
    count(hooks, "alice", "claude", "m");
    const from = { from: "2026-01-01" };
    host.clock.advance((usageLimits.days + 1) * dayMs - 1);
    expect((await ask(hooks, from)).total.requests).toBe(1);
    host.clock.advance(1);
    expect((await ask(hooks, from)).total.requests).toBe(0);
  });
});

describe("names that clients make up", () => {
  test("get no row before a provider has answered to them", async () => {
    const hooks = await hooksFor(createStubHost());
    for (let i = 0; i < 2000; i++) count(hooks, "alice", "claude", `junk-${i}`, failed);
    count(hooks, "alice", "claude", "good");
    count(hooks, "alice", "claude", "good", failed);
    expect((await ask(hooks, { by: "model" })).rows).toMatchObject([
      { model: "good", requests: 2, errors: 1 },
      { model: "other", requests: 2000, errors: 2000 },
    ]);
  });

  test("share a row beyond the limit; none is lost", async () => {
    const host = createStubHost();
    const hooks = await hooksFor(host);
    const { rowsPerDay, otherRowsPerDay } = usageLimits;
    for (let i = 0; i < rowsPerDay; i++) count(hooks, "alice", "claude", `m-${i}`);
    const models = async () => (await ask(hooks, { by: "model" })).rows.length;
    expect(await models()).toBe(rowsPerDay);
    count(hooks, "alice", "claude", "one-more");
    count(hooks, "alice", "claude", "and-another");
    expect(await models()).toBe(rowsPerDay + 1);
    for (let i = 0; i < otherRowsPerDay + 5; i++) count(hooks, `key-${i}`, "claude", "m-0");
    const byKey = await ask(hooks, { by: "key" });
    expect(byKey.rows.length).toBeLessThanOrEqual(1 + otherRowsPerDay + 1);
    expect(byKey.rows).toContainEqual(expect.objectContaining({ key: "other", requests: 6 }));
    expect(byKey.total.requests).toBe(rowsPerDay + 2 + otherRowsPerDay + 5);
    // A restart counts on from there, not from nothing.
    const again = await hooksFor({ ...createStubHost(), store: host.store });
    count(again, "alice", "claude", "still-too-many");
    expect(await models()).toBe(rowsPerDay + 1);
  });
});

describe("the query", () => {
  test.each<[object, boolean]>([
    [{}, true],
    [{ from: "2024-02-29", to: "2024-03-01" }, true],
    [{ by: "day,key,provider,model" }, true],
    [{ from: "2026-02-30" }, false],
    [{ from: "2026-1-1" }, false],
    [{ to: "yesterday" }, false],
    [{ by: "" }, false],
    [{ by: "user" }, false],
    [{ by: "key,key" }, false],
    [{ by: "__proto__" }, false],
    [{ since: "2026-01-01" }, false],
  ])("%j: %p", (query, good) => {
    expect(v.safeParse(querySchema as v.GenericSchema, query).success).toBe(good);
  });
});

test("off is off", async () => {
  const host = createStubHost();
  expect(await hooksOf(policy as unknown as Policy, { enabled: false }, host)).toBeUndefined();
});
