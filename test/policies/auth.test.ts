import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { policy } from "../../policies/auth/index.ts";
import type { Hooks, Policy, Principal } from "../../src/contract/policy.ts";
import {
  callOf,
  createStubHost,
  createStubHouse,
  type StubHost,
  startExchange,
} from "../harness/stubs.ts";

const key = "k-7Qm2vXz9Kd4Lw8Rb1Tn6";
const other = "k-Yc3Hs5Jf0GpZq8Wd2Xe7";
const digest = createHash("sha256").update(other).digest("hex");
const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-auth-"));
  dirs.push(dir);
  return dir;
}

/** The hooks of a configuration as YAML gives it. */
async function hooksFor(config: object, host: StubHost = createStubHost()): Promise<Hooks> {
  const settings = v.parse(policy.config.schema, config);
  const hooks = await (policy as unknown as Policy).create(settings, host);
  if (hooks === undefined) throw new Error("auth is never off");
  return hooks;
}

interface Sent {
  readonly headers?: Record<string, string>;
  readonly query?: string;
  readonly ip?: string;
}

function exchangeOf({ headers = {}, query = "", ip }: Sent) {
  const url = `http://127.0.0.1:8317/line${query}`;
  return startExchange(createStubHouse(), { headers, url, ...(ip !== undefined && { peer: ip }) });
}

/** The key id that a request is let in as, or the code that it is refused with. */
function answer(hooks: Hooks, sent: Sent): string {
  const verdict = hooks.request?.(exchangeOf(sent)) as
    | { deny: string }
    | { edit: { principal: Principal } };
  return "deny" in verdict ? verdict.deny : verdict.edit.principal.keyId;
}

const keys = [
  { id: "alice", user_id: "alice@example.org", key },
  { id: "bob", key_sha256: digest },
  { id: "gone", key: `${key}-old`, expires: "2025-12-31T23:59:59Z" },
  { id: "soon", key: `${key}-new`, expires: "2026-01-01T00:00:01Z" },
];

describe("the key", () => {
  type Case = readonly [name: string, sent: Sent, expected: string];
  const bearer = (token: string): Sent => ({ headers: { authorization: `Bearer ${token}` } });
  const no = "unauthenticated";
  const cases: readonly Case[] = [
    ["as Bearer", bearer(key), "alice"],
    ["in any case of the scheme", { headers: { authorization: `bEARER ${key}` } }, "alice"],
    ["after several spaces", { headers: { authorization: `Bearer   ${key}` } }, "alice"],
    ["as x-api-key", { headers: { "x-api-key": key } }, "alice"],
    ["as x-goog-api-key", { headers: { "x-goog-api-key": key } }, "alice"],
    ["known by its digest", bearer(other), "bob"],
    ["not yet expired", bearer(`${key}-new`), "soon"],
    ["expired", bearer(`${key}-old`), no],
    ["none", {}, no],
    ["unknown", bearer("k-unknown"), no],
    ["empty Bearer", { headers: { authorization: "Bearer " } }, no],
    ["Basic", { headers: { authorization: `Basic ${key}` } }, no],
    ["without a scheme", { headers: { authorization: key } }, no],
    ["two in one header", { headers: { authorization: `Bearer ${key}, Bearer ${key}` } }, no],
    ["followed by more", bearer(`${key} x`), no],
    ["cut off", bearer(key.slice(0, -1)), no],
    ["with a tail", bearer(`${key}x`), no],
    ["in another case", bearer(key.toUpperCase()), no],
    ["its digest instead", bearer(digest), no],
    ["10 KB", bearer("x".repeat(10_000)), no],
    [
      "a bad Bearer beside a good x-api-key",
      { headers: { authorization: "Bearer bad", "x-api-key": key } },
      no,
    ],
    ["in the query, not allowed", { query: `?key=${key}` }, no],
    ["as a cookie", { headers: { cookie: `key=${key}` } }, no],
    ["empty x-api-key", { headers: { "x-api-key": "" } }, no],
    ["bytes above ASCII", bearer("schlüssel"), no],
  ];
  test.each(cases)("%s", async (_name, sent, expected) => {
    expect(answer(await hooksFor({ keys }), sent)).toBe(expected);
  });

  test("in the query, where that is allowed", async () => {
    const hooks = await hooksFor({ keys, allowQueryKey: true });
    expect(answer(hooks, { query: `?key=${key}` })).toBe("alice");
    expect(answer(hooks, { query: `?k%65y=${key}` })).toBe("alice");
    expect(answer(hooks, { query: "?key=" })).toBe(no);
  });

  test("expires at the very millisecond", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ keys }, host);
    host.clock.advance(999);
    expect(answer(hooks, bearer(`${key}-new`))).toBe("soon");
    host.clock.advance(1);
    expect(answer(hooks, bearer(`${key}-new`))).toBe(no);
  });

  test("names its user; the id where none is given", async () => {
    const hooks = await hooksFor({ keys });
    const verdicts = [key, other].map((k) => hooks.request?.(exchangeOf(bearer(k))));
    expect(verdicts).toEqual([
      { edit: { principal: { keyId: "alice", userId: "alice@example.org" } } },
      { edit: { principal: { keyId: "bob", userId: "bob" } } },
    ]);
  });
});

describe("the configuration", () => {
  const good = { id: "a", key };
  const bad: readonly (readonly [name: string, entries: readonly object[]])[] = [
    ["a sample key", [{ id: "a", key: "your-api-key-goes-here" }]],
    ["a short key", [{ id: "a", key: "k-7Qm2vXz9" }]],
    ["key and digest", [{ ...good, key_sha256: digest }]],
    ["neither", [{ id: "a" }]],
    ["two with one id", [good, { id: "a", key: other }]],
    ["no id", [{ key }]],
    ["id with a space", [{ id: "a b", key }]],
    ["digest of another length", [{ id: "a", key_sha256: "abc" }]],
    ["expires is no time", [{ ...good, expires: "tomorrow" }]],
    ["expires is empty", [{ ...good, expires: "" }]],
    ["unknown key", [{ ...good, role: "admin" }]],
    ["models is no list", [{ ...good, models: "fast" }]],
  ];
  test.each(bad)("refused: %s", (_name, entries) => {
    expect(v.safeParse(policy.config.schema, { keys: entries }).success).toBe(false);
  });

  // By the schema, or by the key: a date that can't be read never means for ever.
  const unreadable = [
    "2020-01-01T00:00:00+05",
    "2020-02-31T00:00:00Z",
    "2026-02-31T00:00:00Z",
    "2099-02-30T00:00:00Z",
    "2099-13-01T00:00:00Z",
    "2099-00-01T00:00:00Z",
    "2099-01-01T24:30:00Z",
  ];
  test.each(unreadable)("expires %p lets nobody in", async (expires) => {
    const entries = { keys: [{ ...good, expires }] };
    if (!v.safeParse(policy.config.schema, entries).success) return;
    const said = await hooksFor(entries).then(
      (hooks) => answer(hooks, { headers: { "x-api-key": key } }),
      () => "refused",
    );
    expect(said).not.toBe("a");
  });

  const readable = [
    "2026-01-01T00:00:00.001Z",
    "2026-01-01T02:00:01+02:00",
    "2028-02-29T00:00:00Z",
  ];
  test.each(readable)("expires %p is to come", async (expires) => {
    const hooks = await hooksFor({ keys: [{ ...good, expires }] });
    expect(answer(hooks, { headers: { "x-api-key": key } })).toBe("a");
  });

  test("what goes wrong never shows the key", () => {
    const parsed = v.safeParse(policy.config.schema, {
      keys: [
        { id: "a", key: "your-secret-key-here-12345" },
        { id: "a b", key },
      ],
    });
    const told = JSON.stringify(parsed.issues?.map((issue) => issue.message));
    expect(told).not.toContain("your-secret-key");
    expect(told).not.toContain(key);
  });
});

describe("limits of a key", () => {
  const limited = [{ id: "a", key, models: ["fast", "p/small"], providers: ["one"] }];
  const models: readonly (readonly [model: string, ok: boolean])[] = [
    ["fast", true],
    ["p/small", true],
    ["small", false],
    ["FAST", false],
    ["p/fast", false],
    ["", false],
    ["constructor", false],
  ];
  test.each(models)("model %p: %p", async (model, ok) => {
    const hooks = await hooksFor({ keys: limited }, createStubHost({ providers: ["one", "two"] }));
    const x = exchangeOf({ headers: { "x-api-key": key } });
    const verdict = hooks.request?.(x) as { edit: { principal: Principal } };
    x.principal = verdict.edit.principal;
    const said = hooks.call?.(x, callOf({ model })) as "pass" | { deny: string };
    expect(said === "pass" ? "pass" : said.deny).toBe(ok ? "pass" : "not_allowed");
  });

  const providers = [
    ["one", "pass"],
    ["two", expect.objectContaining({ skip: expect.objectContaining({ deny: "not_allowed" }) })],
  ] as const;
  test.each(providers)("provider %s: %s", async (provider, expected) => {
    const hooks = await hooksFor({ keys: limited }, createStubHost({ providers: ["one", "two"] }));
    const x = exchangeOf({ headers: { "x-api-key": key } });
    const verdict = hooks.request?.(x) as { edit: { principal: Principal } };
    x.principal = verdict.edit.principal;
    const attempt = { index: 0, provider, credentialId: "c", model: "m" };
    expect(hooks.attempt?.(x, attempt)).toEqual(expected);
  });
});

describe("the addresses of a key", () => {
  const limited = [{ id: "a", key, allowed_ips: ["10.0.0.0/8", "2001:db8::/32"] }];
  test.each<[string, string]>([
    ["10.1.2.3", "a"],
    ["::ffff:10.1.2.3", "a"],
    ["2001:db8::7", "a"],
    ["11.0.0.1", "address_not_allowed"],
    ["2001:db9::7", "address_not_allowed"],
    ["fe80::1%eth0", "address_not_allowed"],
    ["", "address_not_allowed"],
  ])("%p: %s", async (ip, expected) => {
    const hooks = await hooksFor({ keys: limited });
    expect(answer(hooks, { headers: { "x-api-key": key }, ip })).toBe(expected);
  });

  test("a key from elsewhere is told to the audit, without slowing its neighbours", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ keys: limited }, host);
    for (let i = 0; i < 50; i++) answer(hooks, { headers: { "x-api-key": key }, ip: "11.0.0.1" });
    expect(host.events).toHaveLength(50);
    expect(host.events[0]).toMatchObject({
      type: "auth_failure",
      result: "address_not_allowed",
      userId: "a",
      ip: "11.0.0.1",
    });
    expect(answer(hooks, { headers: { "x-api-key": "wrong" }, ip: "11.0.0.1" })).toBe(
      "unauthenticated",
    );
  });

  test.each([[[]], [["10.1"]], [["010.0.0.1"]], [["10.0.0.0/33"]], [[7]]])(
    "%j is no list of addresses",
    (allowed_ips) => {
      const config = { keys: [{ id: "a", key, allowed_ips }] };
      expect(v.safeParse(policy.config.schema, config).success).toBe(false);
    },
  );
});

describe("the list of models", () => {
  test.each<[object, id: string, provider: string, shown: boolean]>([
    [{}, "fast", "one", true],
    [{ models: ["fast"] }, "fast", "two", true],
    [{ models: ["fast"] }, "slow", "one", false],
    [{ providers: ["one"] }, "fast", "one", true],
    [{ providers: ["one"] }, "fast", "two", false],
    [{ models: ["fast"], providers: ["one"] }, "slow", "one", false],
  ])("of a key with %j shows %s of %s: %p", async (bounds, id, provider, shown) => {
    const hooks = await hooksFor({ keys: [{ id: "a", key, ...bounds }] });
    const x = exchangeOf({ headers: { "x-api-key": key } });
    const verdict = hooks.request?.(x) as { edit: { principal: Principal } };
    x.principal = verdict.edit.principal;
    expect(hooks.lists?.(x, { id, provider })).toBe(shown);
  });
});

describe("a reload", () => {
  const applied = { type: "config_change", result: "applied" } as const;

  /** Who of two that run is cut when the keys have become others. */
  async function cut(next: readonly object[], event: object = applied): Promise<string[]> {
    const running = ["alice", "bob"].map((id) => ({ id, x: exchangeOf({}) }));
    const ended: string[] = [];
    const base = createStubHost();
    const host: StubHost = {
      ...base,
      live: {
        size: 2,
        abort(match, code) {
          const matching = running.filter(({ x }) => match(x));
          ended.push(...matching.map(({ id }) => `${id} ${code}`));
          return matching.length;
        },
      },
    };
    const old = await hooksFor({ keys: keys.slice(0, 2) }, host);
    for (const { id, x } of running) {
      const sent = exchangeOf({ headers: { "x-api-key": id === "alice" ? key : other } });
      const verdict = old.request?.(sent) as { edit: { principal: Principal } };
      x.principal = verdict.edit.principal;
    }
    const hooks = await hooksFor({ keys: next }, host);
    hooks.event?.(event as never);
    return ended;
  }

  test.each<[string, readonly object[], string[]]>([
    ["the same keys", keys.slice(0, 2), []],
    ["one has gone", keys.slice(1, 2), ["alice revoked"]],
    ["one is another", [{ id: "alice", key: `${key}-new` }, keys[1] as object], ["alice revoked"]],
    ["one has another name", [{ id: "carol", key }, keys[1] as object], []],
    ["all have gone", [{ id: "carol", key: `${key}-x` }], ["alice revoked", "bob revoked"]],
  ])("%s", async (_name, next, expected) => {
    expect(await cut(next)).toEqual(expected);
  });

  test("that is rejected cuts nobody", async () => {
    expect(await cut(keys.slice(1, 2), { ...applied, result: "rejected" })).toEqual([]);
    expect(await cut(keys.slice(1, 2), { type: "auth_failure", result: "applied" })).toEqual([]);
  });
});

describe("failures", () => {
  const bad: Sent = { headers: { "x-api-key": "wrong" }, ip: "192.0.2.1" };
  const good: Sent = { headers: { "x-api-key": key }, ip: "192.0.2.1" };

  test("are slowed by address; a valid key from there passes, and neighbours are not touched", async () => {
    const hooks = await hooksFor({ keys });
    for (let i = 0; i < 10; i++) expect(answer(hooks, bad)).toBe("unauthenticated");
    for (let i = 0; i < 200; i++) expect(answer(hooks, bad)).toBe("too_many_failures");
    expect(answer(hooks, good)).toBe("alice");
    expect(answer(hooks, { ...bad, ip: "192.0.2.2" })).toBe("unauthenticated");
  });

  test("tell how long to wait, in whole seconds", async () => {
    const hooks = await hooksFor({ keys });
    const verdicts = Array.from({ length: 12 }, () => hooks.request?.(exchangeOf(bad)));
    expect(verdicts.slice(9)).toEqual([
      { deny: "unauthenticated" },
      { deny: "too_many_failures", retryAfterSeconds: 1 },
      { deny: "too_many_failures", retryAfterSeconds: 2 },
    ]);
  });

  test("outlive a reload", async () => {
    const host = createStubHost();
    const before = await hooksFor({ keys }, host);
    for (let i = 0; i < 10; i++) answer(before, bad);
    const after = await hooksFor({ keys }, host);
    expect(answer(after, bad)).toBe("too_many_failures");
  });

  test("are told as events, without the key", async () => {
    const host = createStubHost();
    const hooks = await hooksFor({ keys }, host);
    answer(hooks, { ip: "192.0.2.1" });
    answer(hooks, { headers: { "x-api-key": "wrong-key-canary" }, ip: "192.0.2.1" });
    answer(hooks, { headers: { "x-api-key": `${key}-old` }, ip: "192.0.2.1" });
    expect(host.events).toMatchObject([
      { type: "auth_failure", ip: "192.0.2.1", provider: "home", details: { reason: "No token" } },
      { type: "auth_failure", userId: "", details: { reason: "Unknown token" } },
      { type: "auth_failure", userId: "gone", details: { reason: "Token expired" } },
    ]);
    expect(JSON.stringify(host.events)).not.toContain("wrong-key-canary");
    expect(JSON.stringify(host.events)).not.toContain(key);
  });
});

describe("successes", () => {
  const sent = { headers: { "x-api-key": key }, ip: "192.0.2.1" };

  test("are told as events, without the key, to who listens", async () => {
    const host = createStubHost();
    answer(await hooksFor({ keys }, host), sent);
    expect(host.events).toMatchObject([
      {
        ...{ type: "auth_success", result: "success", provider: "home", ip: "192.0.2.1" },
        ...{ userId: "alice@example.org", details: { key_id: "alice" } },
      },
    ]);
    expect(JSON.stringify(host.events)).not.toContain(key);
  });

  test("cost nothing when nobody listens", async () => {
    const host = { ...createStubHost(), hears: () => false };
    answer(await hooksFor({ keys }, host), sent);
    expect(host.events).toEqual([]);
  });
});

describe("the generated key", () => {
  test("is made at first start only, for its owner only, and announced", async () => {
    const authDir = join(makeDir(), "auths");
    const first = createStubHost({ authDir, serving: true });
    const hooks = await hooksFor({}, first);
    const [made] = first.announced;
    const path = join(authDir, "client.key");
    expect(made).toMatchObject({ title: "client key", path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(authDir).mode & 0o777).toBe(0o700);
    expect(answer(hooks, { headers: { "x-api-key": made?.secret ?? "" } })).toBe("generated");

    const second = createStubHost({ authDir, serving: true });
    const again = await hooksFor({}, second);
    expect(second.announced).toEqual([{ title: "client key", path, secret: undefined }]);
    expect(answer(again, { headers: { "x-api-key": made?.secret ?? "" } })).toBe("generated");
  });

  test("is not made by a check: nobody gets in, nothing is written", async () => {
    const dir = makeDir();
    const hooks = await hooksFor({}, createStubHost({ authDir: join(dir, "auths") }));
    expect(answer(hooks, { headers: { "x-api-key": "undefined" } })).toBe("unauthenticated");
    expect(() => statSync(join(dir, "auths"))).toThrow();
  });

  test("is not made beside configured ones", async () => {
    const authDir = join(makeDir(), "auths");
    await hooksFor({ keys }, createStubHost({ authDir, serving: true }));
    expect(() => statSync(authDir)).toThrow();
  });

  test("a file that anybody could guess is an error, not a key, and is not shown", async () => {
    for (const text of ["test", "aaaaaaaaaaaaaaaaaaaaaaaa", "your-api-key-goes-here"]) {
      const authDir = makeDir();
      writeFileSync(join(authDir, "client.key"), `${text}\n`, { mode: 0o600 });
      const said = await hooksFor({}, createStubHost({ authDir, serving: true })).then(
        () => "a key",
        (error: Error) => error.message,
      );
      expect(said).toContain("client.key");
      if (text !== "test") expect(said).not.toContain(text);
    }
  });

  test("an empty file is an error, not a key", async () => {
    const authDir = makeDir();
    writeFileSync(join(authDir, "client.key"), "\n");
    expect(hooksFor({}, createStubHost({ authDir, serving: true }))).rejects.toThrow("is empty");
  });
});
