import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { policy } from "../../policies/maintenance/index.ts";
import { wanted } from "../../policies/maintenance/operations.ts";
import type { AdminReply } from "../../src/contract/admin.ts";
import type { Deny, Hooks } from "../../src/contract/policy.ts";
import { administer, enabled, exchange, hooksFor, storeWith, told } from "../harness/policies.ts";
import { createStubHost } from "../harness/stubs.ts";

const guide = { maintenanceMode: true, message: "Scheduled maintenance in progress" };
const serving = { serving: true };

function ask(hooks: Hooks): string {
  return told(hooks.request?.(exchange()));
}

function put(hooks: Hooks, body: object, mismatch: () => Deny | undefined = () => undefined) {
  return administer(hooks, "setMaintenance", { body: v.parse(wanted, body), mismatch });
}

async function get(hooks: Hooks): Promise<AdminReply> {
  return (await administer(hooks, "getMaintenance")) as AdminReply;
}

describe("maintenance by configuration", () => {
  const cases: readonly (readonly [config: object, expected: unknown])[] = [
    [{}, "pass"],
    [{ message: "prepared" }, "pass"],
    [{ maintenanceMode: false, retryAfter: "5m" }, "pass"],
    [guide, { deny: "maintenance", message: guide.message, retryAfterSeconds: 60 }],
    [
      { maintenanceMode: true, retryAfter: "1500ms" },
      {
        deny: "maintenance",
        message: "The proxy is in maintenance. Try again later.",
        retryAfterSeconds: 2,
      },
    ],
    [
      { ...guide, retryAfter: "10m" },
      { deny: "maintenance", message: guide.message, retryAfterSeconds: 600 },
    ],
  ];
  test.each(cases)("%j", async (config, expected) => {
    const hooks = await enabled(policy, config);
    expect(hooks.request?.(exchange())).toEqual(expected as never);
  });

  const bad: readonly object[] = [
    { message: "" },
    { message: "two\nlines" },
    { message: "a\u2028b" },
    { message: "esc\u001b[31m" },
    { message: "x".repeat(501) },
    { retryAfter: "0s" },
    { retryAfter: "60" },
    { maintenanceMode: "yes" },
  ];
  test.each(bad)("refuses %j", (config) => {
    expect(v.safeParse(policy.config.schema, config).success).toBe(false);
  });

  test("keeps from the management API", () => {
    expect(policy.covers).toEqual({ surfaces: "all", streams: true });
  });
});

describe("maintenance by the management API", () => {
  test("on and off, with words and a time", async () => {
    const hooks = await enabled(policy, {});
    expect((await get(hooks)).body).toMatchObject({ enabled: false, source: null });
    const on = await put(hooks, { enabled: true, message: "Back at noon", retry_after: 300 });
    expect(on).toMatchObject({
      body: { enabled: true, message: "Back at noon", retry_after: 300, source: "api" },
      change: { what: "maintenance", before: { enabled: false }, after: { enabled: true } },
    });
    expect(hooks.request?.(exchange())).toEqual({
      deny: "maintenance",
      message: "Back at noon",
      retryAfterSeconds: 300,
    });
    expect(await put(hooks, { enabled: false })).toMatchObject({ body: { enabled: false } });
    expect(ask(hooks)).toBe("pass");
  });

  test("without words, those of the configuration", async () => {
    const hooks = await enabled(policy, { message: "Prepared", retryAfter: "90s" });
    const on = await put(hooks, { enabled: true });
    expect(on).toMatchObject({ body: { message: "Prepared", retry_after: 90 } });
  });

  test("what the configuration turned on, it can word but not turn off", async () => {
    const hooks = await enabled(policy, guide);
    expect((await get(hooks)).body).toMatchObject({ enabled: true, source: "config" });
    const refused = await put(hooks, { enabled: false });
    expect(refused).toMatchObject({ deny: "conflict" });
    expect((refused as Deny).message).toContain("server.maintenance_mode");
    expect(ask(hooks)).toBe("maintenance");
    const worded = await put(hooks, { enabled: true, message: "Longer than planned" });
    expect(worded).toMatchObject({ body: { message: "Longer than planned", source: "api" } });
  });

  test("what was asked for stays on when the configuration is turned off", async () => {
    const host = createStubHost();
    await put(await enabled(policy, guide, host), { enabled: true });
    const reloaded = await enabled(policy, {}, host);
    expect(ask(reloaded)).toBe("maintenance");
  });

  test("If-Match: what has changed meanwhile is not overwritten", async () => {
    const hooks = await enabled(policy, {});
    const { version } = await get(hooks);
    const seen: (string | undefined)[] = [];
    const answer = await administer(hooks, "setMaintenance", {
      body: { enabled: true },
      mismatch: (now) => {
        seen.push(now);
        return { deny: "precondition_failed" };
      },
    });
    expect([answer, seen]).toEqual([{ deny: "precondition_failed" }, [version]]);
    expect(ask(hooks)).toBe("pass");
    await put(hooks, { enabled: true });
    expect((await get(hooks)).version).not.toBe(version);
    await put(hooks, { enabled: false });
    expect((await get(hooks)).version).toBe(version as string);
  });

  const bad: readonly object[] = [
    {},
    { enabled: "true" },
    { enabled: true, message: "" },
    { enabled: true, message: "a\r\nb" },
    { enabled: true, retry_after: 0 },
    { enabled: true, retry_after: 1.5 },
    { enabled: true, retry_after: 86_401 },
    { enabled: true, retry_after: "60s" },
    { enabled: true, until: "noon" },
  ];
  test.each(bad)("refuses %j", (body) => expect(v.safeParse(wanted, body).success).toBe(false));

  test("survives a restart; `check` does not look", async () => {
    const host = createStubHost(serving);
    await put(await enabled(policy, {}, host), { enabled: true, message: "Still" });
    const restarted = await enabled(policy, {}, { ...createStubHost(serving), store: host.store });
    expect(restarted.request?.(exchange())).toMatchObject({ message: "Still" });
    const checked = await enabled(policy, {}, { ...createStubHost(), store: host.store });
    expect(ask(checked)).toBe("pass");
  });

  test("a store that fails stops the start; what it could not keep is in force and told", async () => {
    const host = createStubHost(serving);
    const broken = storeWith(host.store, { get: () => Promise.reject(new Error("disk")) });
    expect(hooksFor(policy, {}, { ...host, store: broken })).rejects.toThrow("disk");
    const full = storeWith(host.store, { put: () => Promise.reject(new Error("full")) });
    const hooks = await enabled(policy, {}, { ...createStubHost(serving), store: full });
    const failed = await put(hooks, { enabled: true }).catch((error: Error) => error.message);
    expect(failed).toBe("full");
    expect(ask(hooks)).toBe("maintenance");
  });
});
