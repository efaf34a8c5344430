import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { policy as allow } from "../../policies/ip-allowlist.ts";
import { policy as deny } from "../../policies/ip-denylist/index.ts";
import { newEntry, pageQuery } from "../../policies/ip-denylist/operations.ts";
import type { Deny } from "../../src/contract/policy.ts";
import { Live } from "../../src/live.ts";
import {
  administer,
  answerTo,
  enabled,
  exchange,
  hooksFor,
  hostWith,
  storeWith,
  told,
  walkThrough,
} from "../harness/policies.ts";
import {
  activePolicy,
  createStubHost,
  createStubHouse,
  type LogLines,
  startExchange,
} from "../harness/stubs.ts";

const serving = { serving: true };

describe("ip-allowlist", () => {
  const guide = ["10.0.0.0/8", "192.168.1.100", "203.0.113.0/24", "2001:db8::/32"];
  const cases: readonly (readonly [ip: string, expected: string])[] = [
    ["10.1.2.3", "pass"],
    ["192.168.1.100", "pass"],
    ["192.168.1.101", "address_not_allowed"],
    ["203.0.113.255", "pass"],
    ["203.0.114.0", "address_not_allowed"],
    ["::ffff:10.0.0.1", "pass"],
    ["2001:db8:1::1", "pass"],
    ["2001:db9::1", "address_not_allowed"],
    // Translators could have made it of any address, so an IPv4 rule says nothing of it.
    ["64:ff9b::10.0.0.1", "address_not_allowed"],
    ["", "address_not_allowed"],
    ["nonsense", "address_not_allowed"],
  ];
  test.each(cases)("%j: %s", async (ip, expected) => {
    const hooks = await enabled(allow, { enabled: true, allowedIps: guide });
    expect(answerTo(hooks, ip)).toBe(expected);
  });

  test("an address of a link is on no list", async () => {
    const hooks = await enabled(allow, { allowedIps: ["fe80::/10", "::/0"] });
    expect(answerTo(hooks, "fe80::1%eth0")).toBe("address_not_allowed");
    expect(answerTo(hooks, "fe80::1")).toBe("pass");
  });

  test("its refusal names the address that was seen and the key that mends it", async () => {
    const hooks = await enabled(allow, { allowedIps: guide });
    const refusal = hooks.request?.(exchange({ peer: "198.51.100.7" }));
    const { message } = refusal as unknown as Deny;
    expect(message).toContain("198.51.100.7");
    expect(message).toContain("server.security.ip_allowlist.allowed_ips");
  });

  test("raises a security_violation, and none for whom it lets in", async () => {
    const host = createStubHost();
    const hooks = await enabled(allow, { allowedIps: guide }, host);
    answerTo(hooks, "10.0.0.1");
    expect(host.events).toEqual([]);
    answerTo(hooks, "198.51.100.7");
    expect(host.events).toMatchObject([
      { type: "security_violation", result: "address_not_allowed", ip: "198.51.100.7" },
    ]);
  });

  test("as a trust list it refuses nobody", async () => {
    const hooks = await enabled(allow, { enabled: true, allowedIps: guide, denyAll: false });
    expect(answerTo(hooks, "10.0.0.1")).toBe("trusted");
    expect(answerTo(hooks, "198.51.100.7")).toBe("pass");
  });

  const states: readonly (readonly [config: object, expected: "on" | "off" | "error"])[] = [
    [{}, "off"],
    [{ enabled: false }, "off"],
    [{ enabled: false, allowedIps: guide }, "off"],
    [{ allowedIps: guide }, "on"],
    [{ enabled: true, allowedIps: guide, denyAll: true }, "on"],
    [{ enabled: true }, "error"],
    [{ enabled: true, allowedIps: [] }, "error"],
    [{ allowedIps: [] }, "error"],
    [{ denyAll: true }, "error"],
    [{ enabled: true, allowedIps: [], denyAll: false }, "on"],
  ];
  test.each(states)("%j is %s", async (config, expected) => {
    const made = hooksFor(allow, config);
    if (expected === "error") expect(made).rejects.toThrow("would refuse everybody");
    else expect((await made) === undefined).toBe(expected === "off");
    await made.catch(() => {});
  });

  test("warns of bits behind a prefix", async () => {
    const host = createStubHost();
    await enabled(allow, { allowedIps: ["10.1.2.3/8"] }, host);
    expect(JSON.stringify((host.log as LogLines).lines)).toContain("10.0.0.0/8");
  });

  test("when the configuration changes, what is no longer allowed ends", async () => {
    const host = hostWith([exchange({ peer: "10.0.0.1" }), exchange({ peer: "198.51.100.7" })]);
    const hooks = await enabled(allow, { allowedIps: guide }, host);
    hooks.event?.({ type: "auth_failure", result: "x" });
    expect(host.cut).toEqual([]);
    hooks.event?.({ type: "config_change", result: "applied" });
    expect(host.cut).toEqual(["198.51.100.7 revoked"]);
  });
});

describe("ip-denylist", () => {
  const guide = ["192.0.2.0/24", "198.51.100.100"];
  const cases: readonly (readonly [ip: string, expected: string])[] = [
    ["192.0.2.1", "address_denied"],
    ["192.0.3.1", "pass"],
    ["198.51.100.100", "address_denied"],
    ["198.51.100.101", "pass"],
    // 51: other spellings of what is denied.
    ["::ffff:192.0.2.1", "address_denied"],
    ["::ffff:c000:0201", "address_denied"],
    ["64:ff9b::192.0.2.1", "address_denied"],
    ["::192.0.2.1", "address_denied"],
    ["64:ff9b::192.0.3.1", "pass"],
    ["2001:db8::1", "pass"],
    ["", "address_denied"],
    ["nonsense", "address_denied"],
  ];
  test.each(cases)("%j: %s", async (ip, expected) => {
    const hooks = await enabled(deny, { enabled: true, deniedIps: guide });
    expect(answerTo(hooks, ip)).toBe(expected);
  });

  test("a zone does not hide an address", async () => {
    const hooks = await enabled(deny, { deniedIps: ["fe80::/10"] });
    expect(answerTo(hooks, "fe80::1%eth0")).toBe("address_denied");
  });

  test("entries with a time are over when it has come", async () => {
    const host = createStubHost();
    const expires = new Date(host.clock.now() + 5000).toISOString();
    const deniedIps = [{ ip: "203.0.113.0/24", reason: "abuse", expires }, "198.51.100.1"];
    const hooks = await enabled(deny, { deniedIps }, host);
    host.clock.advance(4999);
    expect(answerTo(hooks, "203.0.113.9")).toBe("address_denied");
    host.clock.advance(1);
    expect(answerTo(hooks, "203.0.113.9")).toBe("pass");
    expect(answerTo(hooks, "198.51.100.1")).toBe("address_denied");
  });

  test("56: in both lists is denied, whichever is asked first", async () => {
    const both = ["10.0.0.1"];
    const allowHooks = await enabled(allow, { allowedIps: ["10.0.0.0/8"] });
    const denyHooks = await enabled(deny, { deniedIps: both });
    const policies = [
      activePolicy("ip-denylist", denyHooks, { stage: "edge" }),
      activePolicy("ip-allowlist", allowHooks, { stage: "edge" }),
    ];
    const ask = (peer: string) => walkThrough(policies, { peer });
    expect(await ask("10.0.0.1")).toMatchObject({ code: "address_denied" });
    expect(await ask("10.0.0.2")).toBeUndefined();
    const trust = await enabled(allow, { allowedIps: both, denyAll: false });
    const trusting = [activePolicy("ip-allowlist", trust, { stage: "edge" }), ...policies];
    expect(await walkThrough(trusting, { peer: "10.0.0.1" })).toMatchObject({
      code: "address_denied",
    });
  });

  test("a denied address raises a security_violation", async () => {
    const host = createStubHost();
    const hooks = await enabled(deny, { deniedIps: guide }, host);
    answerTo(hooks, "10.0.0.1");
    answerTo(hooks, "192.0.2.7");
    expect(host.events).toMatchObject([
      { type: "security_violation", result: "address_denied", ip: "192.0.2.7" },
    ]);
  });

  test("an empty list denies nobody, not even who has left already", async () => {
    expect(answerTo(await enabled(deny, {}), "")).toBe("pass");
  });

  test("off is off, and without entries it is on for the management API", async () => {
    expect(await hooksFor(deny, { enabled: false, deniedIps: guide })).toBeUndefined();
    expect((await enabled(deny, {})).admin).toBeDefined();
  });

  test("a longer list of the configuration ends what still runs, but no management", async () => {
    const running = [
      exchange({ peer: "192.0.2.1" }),
      exchange({ peer: "192.0.2.1", surface: "admin" }),
      exchange({ peer: "10.0.0.1" }),
    ];
    const host = hostWith(running);
    const hooks = await enabled(deny, { deniedIps: guide }, host);
    hooks.event?.({ type: "config_change", result: "applied" });
    expect(host.cut).toEqual(["192.0.2.1 revoked"]);
  });
});

describe("the denylist in the management API", () => {
  const parsed = (body: object) => v.parse(newEntry, body);
  const post = (hooks: Parameters<typeof administer>[0], body: object, peer = "127.0.0.1") =>
    administer(hooks, "denyAddress", {
      body: parsed(body),
      x: exchange({ peer, surface: "admin" }),
    });
  const list = async (hooks: Parameters<typeof administer>[0], query: object = {}) => {
    const reply = await administer(hooks, "listDeniedAddresses", {
      query: v.parse(pageQuery, query),
    });
    return (reply as { body: { entries: { ip: string }[]; total: number; next: string | null } })
      .body;
  };
  const remove = (hooks: Parameters<typeof administer>[0], ip: string, query: object = {}) =>
    administer(hooks, "allowAddress", { params: { ip }, query });

  test("the guide's entry is in force when it is answered, and says what was done", async () => {
    const host = hostWith([exchange({ peer: "192.168.1.100" }), exchange({ peer: "10.0.0.1" })]);
    const hooks = await enabled(deny, {}, host);
    expect(answerTo(hooks, "192.168.1.100")).toBe("pass");
    const answer = await post(hooks, { ip: "192.168.1.100", reason: "Suspicious activity" });
    expect(answer).toMatchObject({
      body: {
        ip: "192.168.1.100",
        reason: "Suspicious activity",
        created_at: "2026-01-01T00:00:00.000Z",
        expires_at: null,
        source: "api",
        ended: 1,
      },
      change: { what: "denylist 192.168.1.100", before: undefined },
    });
    expect(host.cut).toEqual(["192.168.1.100 revoked"]);
    expect(answerTo(hooks, "192.168.1.100")).toBe("address_denied");
    expect(answerTo(hooks, "::ffff:192.168.1.100")).toBe("address_denied");
    expect(answerTo(hooks, "192.168.1.101")).toBe("pass");
  });

  test("it is in force before it is kept: a store that hangs holds nothing off", async () => {
    const host = createStubHost();
    const never = new Promise<undefined>(() => {});
    const hooks = await enabled(
      deny,
      {},
      { ...host, store: storeWith(host.store, { get: () => never }) },
    );
    void post(hooks, { ip: "203.0.113.5" });
    expect(answerTo(hooks, "203.0.113.5")).toBe("address_denied");
  });

  test("a range ends all streams inside of it", async () => {
    const peers = ["203.0.113.5", "203.0.113.200", "203.0.114.1"];
    const host = hostWith(peers.map((peer) => exchange({ peer })));
    const hooks = await enabled(deny, {}, host);
    await post(hooks, { ip: "203.0.113.77/24" });
    expect(host.cut).toEqual(["203.0.113.5 revoked", "203.0.113.200 revoked"]);
    expect((await list(hooks)).entries).toMatchObject([{ ip: "203.0.113.0/24" }]);
  });

  test("a live stream ends with `revoked`", async () => {
    const house = createStubHouse();
    const live = new Live(house.clock);
    const x = startExchange({ ...house, live }, { peer: "203.0.113.5" });
    const stopped: string[] = [];
    expect(x.ip).toBe("203.0.113.5");
    x.expect("upstream_timeout", 1000, ({ code }) => void stopped.push(code));
    const hooks = await enabled(deny, {}, { ...createStubHost(), live });
    await post(hooks, { ip: "203.0.113.5" });
    expect(stopped).toEqual(["revoked"]);
    x.finish({ kind: "aborted", status: 200 });
    live.tick();
  });

  const lockouts: readonly (readonly [ip: string, caller: string, refused: boolean])[] = [
    ["127.0.0.1", "127.0.0.1", true],
    ["127.0.0.0/8", "127.0.0.1", true],
    ["0.0.0.0/0", "10.1.1.1", true],
    ["10.1.1.2", "10.1.1.1", false],
    ["::/0", "10.1.1.1", false],
    ["2001:db8::/32", "2001:db8::1", true],
    ["203.0.113.7", "64:ff9b::203.0.113.7", true],
  ];
  test.each(lockouts)("75: %s from %s: refused %p without force", async (ip, caller, refused) => {
    const hooks = await enabled(deny, {});
    const answer = await post(hooks, { ip }, caller);
    if (!refused) return expect(answer).toMatchObject({ change: {} });
    expect(answer).toMatchObject({ deny: "conflict" });
    expect((answer as Deny).message).toContain("force");
    expect((await list(hooks)).total).toBe(0);
    expect(answerTo(hooks, caller)).toBe("pass");
    expect(await post(hooks, { ip, force: true }, caller)).toMatchObject({ change: {} });
    expect(answerTo(hooks, caller)).toBe("address_denied");
  });

  test("whoever denies itself still hears of it", async () => {
    const x = exchange({ peer: "127.0.0.1", surface: "admin" });
    const host = hostWith([x]);
    const hooks = await enabled(deny, {}, host);
    const body = parsed({ ip: "127.0.0.1", force: true });
    await administer(hooks, "denyAddress", { body, x });
    hooks.event?.({ type: "config_change", result: "applied" });
    expect(host.cut).toEqual([]);
  });

  const times: readonly (readonly [expires_in: unknown, ms: number])[] = [
    [1, 1000],
    [3600, 3_600_000],
    ["90s", 90_000],
    ["1d", 86_400_000],
  ];
  test.each(times)("expires_in %p", async (expires_in, ms) => {
    const host = createStubHost();
    const hooks = await enabled(deny, {}, host);
    await post(hooks, { ip: "203.0.113.5", expires_in });
    host.clock.advance(ms - 1);
    expect(answerTo(hooks, "203.0.113.5")).toBe("address_denied");
    expect((await list(hooks)).total).toBe(1);
    host.clock.advance(1);
    expect(answerTo(hooks, "203.0.113.5")).toBe("pass");
    expect((await list(hooks)).total).toBe(0);
  });

  const bad: readonly object[] = [
    {},
    { ip: "010.0.0.1" },
    { ip: "10.1" },
    { ip: "example.com" },
    { ip: 5 },
    { ip: "10.0.0.1", expires_in: 0 },
    { ip: "10.0.0.1", expires_in: -1 },
    { ip: "10.0.0.1", expires_in: 1.5 },
    { ip: "10.0.0.1", expires_in: "soon" },
    { ip: "10.0.0.1", expires_in: "1000d" },
    { ip: "10.0.0.1", reason: "x".repeat(513) },
    { ip: "10.0.0.1", unknown: true },
  ];
  test.each(bad)("refuses %j", (body) => {
    expect(v.safeParse(newEntry, body).success).toBe(false);
  });

  test("the same address again replaces reason and time", async () => {
    const host = createStubHost();
    const hooks = await enabled(deny, { maxEntries: 1 }, host);
    await post(hooks, { ip: "203.0.113.5", reason: "one", expires_in: 10 });
    const again = await post(hooks, { ip: "203.0.113.5/32", reason: "two" });
    expect(again).toMatchObject({
      change: { before: { reason: "one" }, after: { reason: "two" } },
    });
    host.clock.advance(20_000);
    expect(answerTo(hooks, "203.0.113.5")).toBe("address_denied");
    expect((await list(hooks)).entries).toMatchObject([{ reason: "two", expires_at: null }]);
  });

  test("at the limit it takes what there is room for; one above is refused", async () => {
    const host = createStubHost();
    const hooks = await enabled(deny, { maxEntries: 2 }, host);
    await post(hooks, { ip: "203.0.113.1", expires_in: 10 });
    expect(await post(hooks, { ip: "203.0.113.2" })).toMatchObject({ change: {} });
    const full = await post(hooks, { ip: "203.0.113.3" });
    expect(full).toMatchObject({ deny: "conflict" });
    expect((full as Deny).message).toContain("max_entries");
    expect(answerTo(hooks, "203.0.113.3")).toBe("pass");
    host.clock.advance(10_000);
    expect(await post(hooks, { ip: "203.0.113.3" })).toMatchObject({ change: {} });
  });

  test("removes an address and a range, and says what it can't remove", async () => {
    const hooks = await enabled(deny, { deniedIps: ["198.51.100.0/24"] });
    await post(hooks, { ip: "203.0.113.5", reason: "why" });
    await post(hooks, { ip: "2001:db8::/32" });
    expect(await remove(hooks, "203.0.113.5")).toMatchObject({
      change: { what: "denylist 203.0.113.5", before: { reason: "why" }, after: undefined },
    });
    expect(answerTo(hooks, "203.0.113.5")).toBe("pass");
    expect(await remove(hooks, "203.0.113.5")).toMatchObject({ deny: "not_found" });
    expect(await remove(hooks, "2001:db8::")).toMatchObject({ deny: "not_found" });
    expect(await remove(hooks, "2001:DB8::", { prefix: "32" })).toMatchObject({ change: {} });
    expect(answerTo(hooks, "2001:db8::1")).toBe("pass");
    expect(await remove(hooks, "198.51.100.0", { prefix: "24" })).toMatchObject({
      deny: "conflict",
    });
    expect(await remove(hooks, "nonsense")).toMatchObject({ deny: "bad_request" });
    expect(await remove(hooks, "10.0.0.0", { prefix: "99" })).toMatchObject({
      deny: "bad_request",
    });
  });

  test("lists both sources by page", async () => {
    const deniedIps = ["198.51.100.0/24", "192.0.2.1", "203.0.113.2"];
    const hooks = await enabled(deny, { deniedIps });
    for (const last of [1, 2, 3]) await post(hooks, { ip: `203.0.113.${last}` });
    const seen: string[] = [];
    let after: string | null = "";
    let pages = 0;
    while (after !== null && pages < 9) {
      const page: Awaited<ReturnType<typeof list>> = await list(hooks, { limit: "2", after });
      expect(page.total).toBe(6);
      seen.push(...page.entries.map(({ ip }) => ip));
      after = page.next;
      pages += 1;
    }
    expect(pages).toBe(3);
    expect(seen).toEqual([
      ...["198.51.100.0/24", "192.0.2.1", "203.0.113.2"],
      ...["203.0.113.1", "203.0.113.2", "203.0.113.3"],
    ]);
  });

  test.each([
    ["1", true],
    ["10000", true],
    ["10001", false],
    ["0", false],
    ["", false],
  ])("a page of %j: %p", (limit, isGood) => {
    expect(v.safeParse(pageQuery, { limit }).success).toBe(isGood);
  });

  test.each([
    ["config:7", true],
    ["api:203.0.113.1", true],
    ["api:2001:db8::/32", true],
    ["api:", true],
    ["203.0.113.1", false],
    ["config:x", false],
    ["api:'; --", false],
    [`api:${"1".repeat(65)}`, false],
  ])("behind %j: %p", (after, isGood) => {
    expect(v.safeParse(pageQuery, { after }).success).toBe(isGood);
  });

  test("a page ends where the configuration does, too, and leaves out what is over", async () => {
    const host = createStubHost();
    const expires = new Date(host.clock.now() + 5000).toISOString();
    const deniedIps = ["198.51.100.1", { ip: "198.51.100.2", expires }, "198.51.100.3"];
    const hooks = await enabled(deny, { deniedIps }, host);
    await post(hooks, { ip: "203.0.113.1", expires_in: 5 });
    await post(hooks, { ip: "203.0.113.2" });
    const page = async (after: string) => {
      const { entries, total, next } = await list(hooks, { limit: "2", after });
      return [entries.map(({ ip }) => ip).join(" "), total, next];
    };
    expect(await page("")).toEqual(["198.51.100.1 198.51.100.2", 5, "config:2"]);
    expect(await page("config:2")).toEqual(["198.51.100.3 203.0.113.1", 5, "api:203.0.113.1"]);
    expect(await page("api:203.0.113.1")).toEqual(["203.0.113.2", 5, null]);
    host.clock.advance(5000);
    expect(await page("")).toEqual(["198.51.100.1 198.51.100.3", 3, "api:"]);
    expect(await page("api:")).toEqual(["203.0.113.2", 3, null]);
    expect(await page("config:9999999")).toEqual(["203.0.113.2", 3, null]);
  });

  test("writes that overlap end as the last one asked", async () => {
    const host = createStubHost(serving);
    const slow = storeWith(host.store, {
      remove: async (key) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return host.store.remove(key);
      },
    });
    const hooks = await enabled(deny, {}, { ...host, store: slow });
    await post(hooks, { ip: "203.0.113.5" });
    const removing = remove(hooks, "203.0.113.5");
    const adding = post(hooks, { ip: "203.0.113.5", reason: "again" });
    await Promise.all([removing, adding]);
    expect(answerTo(hooks, "203.0.113.5")).toBe("address_denied");
    expect((await list(hooks)).entries).toMatchObject([{ reason: "again" }]);
    await Promise.all([post(hooks, { ip: "203.0.113.6" }), remove(hooks, "203.0.113.6")]);
    expect(answerTo(hooks, "203.0.113.6")).toBe("pass");
  });

  test("what shadow mode tries out is not enforced, nor lost what was", async () => {
    const host = createStubHost(serving);
    const hooks = await enabled(deny, {}, host);
    await post(hooks, { ip: "203.0.113.5" });
    const other = createStubHost(serving).store;
    const shadow = await enabled(deny, {}, { ...host, store: other });
    expect(answerTo(shadow, "203.0.113.5")).toBe("pass");
    await post(shadow, { ip: "203.0.113.6" });
    const again = await enabled(deny, {}, host);
    expect(answerTo(again, "203.0.113.5")).toBe("address_denied");
    expect(answerTo(again, "203.0.113.6")).toBe("pass");
  });

  test("a reload keeps it, a restart brings it back, and `check` does not look", async () => {
    const host = createStubHost(serving);
    const hooks = await enabled(deny, {}, host);
    await post(hooks, { ip: "203.0.113.5" });
    await post(hooks, { ip: "2001:db8::/32", expires_in: 60 });
    await post(hooks, { ip: "203.0.113.6" });
    await remove(hooks, "203.0.113.6");
    const reloaded = await enabled(deny, { deniedIps: ["192.0.2.1"] }, host);
    expect(answerTo(reloaded, "203.0.113.5")).toBe("address_denied");
    const fresh = () => ({ ...createStubHost(serving), store: host.store, clock: host.clock });
    const restarted = await enabled(deny, {}, fresh());
    expect(answerTo(restarted, "203.0.113.5")).toBe("address_denied");
    expect(answerTo(restarted, "2001:db8::9")).toBe("address_denied");
    expect(answerTo(restarted, "203.0.113.6")).toBe("pass");
    host.clock.advance(60_000);
    expect(answerTo(restarted, "2001:db8::9")).toBe("pass");
    const checked = await enabled(deny, {}, { ...fresh(), facts: createStubHost().facts });
    expect(answerTo(checked, "203.0.113.5")).toBe("pass");
  });

  test("a store that fails stops the start, and an entry that was not kept is told", async () => {
    const host = createStubHost(serving);
    const broken = storeWith(host.store, {
      scan() {
        throw new Error("disk");
      },
    });
    expect(hooksFor(deny, {}, { ...host, store: broken })).rejects.toThrow("disk");
    const full = storeWith(host.store, { put: () => Promise.reject(new Error("full")) });
    const hooks = await enabled(deny, {}, { ...createStubHost(), store: full });
    expect(post(hooks, { ip: "203.0.113.5" })).rejects.toThrow("full");
    await Promise.resolve();
  });
});

test("verdicts are told apart", () => {
  expect(told({ edit: { trusted: true } })).toBe("trusted");
  expect(told("pass")).toBe("pass");
});
