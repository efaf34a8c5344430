import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { policy } from "../../policies/management-auth.ts";
import type { Deny, Hooks, Policy, Verdict } from "../../src/contract/policy.ts";
import { isOwnKeyShape } from "../../src/kit/client-key.ts";
import { createStubHost, createStubHouse, type StubHost, startExchange } from "../harness/stubs.ts";

const key = "m-7Qm2vXz9Kd4Lw8Rb1Tn6";
const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-management-"));
  dirs.push(dir);
  return dir;
}

async function hooksFor(config: object, host: StubHost = createStubHost()): Promise<Hooks> {
  const settings = v.parse(policy.config.schema, config);
  const hooks = await (policy as unknown as Policy).create(settings, host);
  if (hooks === undefined) throw new Error("management-auth is never off");
  return hooks;
}

type Headers = Readonly<Record<string, string>>;

function ask(hooks: Hooks, headers: Headers, ip = "127.0.0.1"): Verdict {
  const url = "http://127.0.0.1:8317/v0/management/status";
  const sent = { host: "127.0.0.1:8317", ...headers };
  return hooks.request?.(
    startExchange(createStubHouse(), { headers: sent, url, peer: ip }),
  ) as Verdict;
}

function resultOf(verdict: Verdict): string {
  if (verdict === "pass") return "pass";
  if ("answer" in verdict) return "answer";
  return "deny" in verdict ? verdict.deny : (verdict.edit.principal?.keyId ?? "nobody");
}

const good = { "x-management-key": key };

describe("the key", () => {
  const cases: readonly (readonly [name: string, headers: Headers, expected: string])[] = [
    ["as X-Management-Key", good, "management"],
    ["as Bearer", { authorization: `Bearer ${key}` }, "management"],
    ["in any case of the scheme", { authorization: `bEaReR ${key}` }, "management"],
    ["none", {}, "unauthenticated"],
    ["empty", { "x-management-key": "" }, "unauthenticated"],
    ["another", { "x-management-key": `${key}x` }, "unauthenticated"],
    ["cut off", { "x-management-key": key.slice(0, -1) }, "unauthenticated"],
    ["twice", { "x-management-key": `${key}, ${key}` }, "unauthenticated"],
    ["as x-api-key", { "x-api-key": key }, "unauthenticated"],
    ["as Basic", { authorization: `Basic ${key}` }, "unauthenticated"],
    ["10 KB", { authorization: `Bearer ${"x".repeat(10_000)}` }, "unauthenticated"],
  ];
  test.each(cases)("%s", async (_name, headers, expected) => {
    expect(resultOf(ask(await hooksFor({ key }), headers))).toBe(expected);
  });

  test("a refusal says which header, and where the key is, but never the key", async () => {
    const dir = makeDir();
    const hooks = await hooksFor({}, createStubHost({ authDir: dir, serving: true }));
    const made = readFileSync(join(dir, "management.key"), "utf8").trim();
    const { message = "" } = ask(hooks, {}) as Deny;
    expect(message).toContain("X-Management-Key");
    expect(message).toContain("management.key");
    expect(message).not.toContain(made);
    expect(message).not.toContain(dir);
  });

  test("samples are refused by the schema", () => {
    expect(v.safeParse(policy.config.schema, { key: "your-management-key" }).success).toBe(false);
  });
});

describe("a key that nobody configured", () => {
  test("is made once, 0600, and only its path is announced", async () => {
    const dir = makeDir();
    const host = createStubHost({ authDir: dir, serving: true });
    await hooksFor({}, host);
    const path = join(dir, "management.key");
    const made = readFileSync(path, "utf8").trim();
    expect(isOwnKeyShape(made)).toBe(true);
    expect(made).toStartWith("cpm_");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(host.announced).toEqual([{ title: "management key", path, secret: undefined }]);
    const again = await hooksFor({}, createStubHost({ authDir: dir, serving: true }));
    expect(resultOf(ask(again, { "x-management-key": made }))).toBe("management");
  });

  test("`check` makes none, and then nothing is the key", async () => {
    const dir = makeDir();
    const hooks = await hooksFor({}, createStubHost({ authDir: dir, serving: false }));
    expect(resultOf(ask(hooks, good))).toBe("unauthenticated");
  });

  test("a sample in the file is refused", async () => {
    const dir = makeDir();
    writeFileSync(join(dir, "management.key"), "your-management-key\n");
    expect(hooksFor({}, createStubHost({ authDir: dir, serving: true }))).rejects.toThrow("sample");
  });
});

describe("who may come near", () => {
  const cases: readonly (readonly [ip: string, expected: string])[] = [
    ["127.0.0.1", "management"],
    ["127.9.9.9", "management"],
    ["::1", "management"],
    ["10.1.2.3", "management"],
    ["172.16.0.1", "management"],
    ["172.32.0.1", "address_not_allowed"],
    ["192.168.1.1", "management"],
    ["fd00::1", "management"],
    ["203.0.113.9", "address_not_allowed"],
    ["2001:db8::1", "address_not_allowed"],
    ["", "address_not_allowed"],
    ["nonsense", "address_not_allowed"],
  ];
  test.each(cases)("%s by default", async (ip, expected) => {
    expect(resultOf(ask(await hooksFor({ key }), good, ip))).toBe(expected);
  });

  test("allowed_ips replaces the default", async () => {
    const hooks = await hooksFor({ key, allowedIps: ["203.0.113.0/24", "2001:db8::/32"] });
    expect(resultOf(ask(hooks, good, "203.0.113.9"))).toBe("management");
    expect(resultOf(ask(hooks, good, "2001:db8::1"))).toBe("management");
    expect(resultOf(ask(hooks, good, "127.0.0.1"))).toBe("address_not_allowed");
  });

  const wrong = ["10.0.0.0/33", "10.1", "0x0a.1", "010.0.0.1", "::/129", "host", "1.2.3.4/8/9", ""];
  test.each(wrong)("allowed_ips: %j is refused", (entry) => {
    expect(v.safeParse(policy.config.schema, { key, allowedIps: [entry] }).success).toBe(false);
  });
});

describe("pages", () => {
  const cases: readonly (readonly [name: string, headers: Headers, expected: string])[] = [
    ["an IPv6 host", { host: "[::1]:8317" }, "management"],
    ["localhost", { host: "localhost:8317" }, "management"],
    ["a name without a dot", { host: "cliproxy:8317" }, "management"],
    ["a configured name", { host: "Proxy.example.com" }, "management"],
    ["a rebound name", { host: "evil.example:8317" }, "bad_host"],
    ["an address as the start of a name", { host: "127.0.0.1.evil.example" }, "bad_host"],
    ["two hosts", { host: "127.0.0.1, evil.example" }, "bad_host"],
    ["its own page", { origin: "http://127.0.0.1:8317" }, "management"],
    ["another page", { origin: "http://evil.example" }, "cross_site"],
    ["another port", { origin: "http://127.0.0.1:3000" }, "cross_site"],
    ["a page of nowhere", { origin: "null" }, "cross_site"],
    ["a cross-site fetch", { "sec-fetch-site": "cross-site" }, "cross_site"],
    ["a same-site fetch", { "sec-fetch-site": "same-site" }, "cross_site"],
    ["a fetch by the page itself", { "sec-fetch-site": "same-origin" }, "management"],
  ];
  test.each(cases)("%s", async (_name, headers, expected) => {
    const hooks = await hooksFor({ key, allowedHosts: ["proxy.example.com"] });
    expect(resultOf(ask(hooks, { ...good, ...headers }))).toBe(expected);
  });
});

describe("failures", () => {
  test("are slowed by address, and a good key still passes", async () => {
    const hooks = await hooksFor({ key });
    for (let i = 0; i < 10; i++) expect(resultOf(ask(hooks, {}))).toBe("unauthenticated");
    expect(ask(hooks, {})).toMatchObject({ deny: "too_many_failures", retryAfterSeconds: 1 });
    expect(ask(hooks, {})).toMatchObject({ deny: "too_many_failures", retryAfterSeconds: 2 });
    expect(resultOf(ask(hooks, {}, "127.0.0.2"))).toBe("unauthenticated");
    expect(resultOf(ask(hooks, good))).toBe("management");
  });

  test("outlive a reload", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ key }, host);
    for (let i = 0; i < 11; i++) ask(hooks, {});
    expect(resultOf(ask(await hooksFor({ key }, host), {}))).toBe("too_many_failures");
  });

  test("are told, never the key", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ key }, host);
    ask(hooks, { "x-management-key": "m-planted-secret" });
    ask(hooks, good, "203.0.113.9");
    expect(host.events).toMatchObject([
      { type: "auth_failure", result: "invalid_management_key", ip: "127.0.0.1" },
      { type: "security_violation", result: "address_not_allowed", ip: "203.0.113.9" },
    ]);
    expect(JSON.stringify(host.events)).not.toContain("planted");
  });
});
