import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type Ask, ask, openStreamFrom } from "../harness/edge.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { endless } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

function start(server: object, more: object = {}): Promise<RunningProxy> {
  const providers = providersOf(upstream.url);
  const state = { store: "memory" };
  return startProxy({ config: { providers, state, server, ...more } });
}

describe("lists", () => {
  test("the guide's allowlist refuses everybody else, in their dialect, before the key", async () => {
    const proxy = await start({
      security: {
        ip_allowlist: { enabled: true, allowed_ips: ["10.0.0.0/8", "127.0.0.2"], deny_all: true },
      },
    });
    expect((await ask(proxy, { from: "127.0.0.2" })).status).toBe(200);
    expect((await ask(proxy, { from: "127.0.0.2", key: "wrong" })).status).toBe(401);
    for (const key of [undefined, "wrong"]) {
      const refused = await ask(proxy, { from: "127.0.0.3", key });
      expect([refused.status, JSON.parse(refused.body).error.code]).toEqual([
        403,
        "address_not_allowed",
      ]);
      expect(refused.body).toContain("127.0.0.3");
    }
    const messages = { from: "127.0.0.3", method: "POST", path: "/v1/messages", body: {} };
    expect(JSON.parse((await ask(proxy, messages)).body)).toMatchObject({ type: "error" });
    // Whoever only asks whether it lives learns nothing that an address could be refused for.
    expect((await ask(proxy, { from: "127.0.0.3", path: "/healthz" })).status).toBe(200);
    expect((await ask(proxy, { from: "127.0.0.3", path: "/nowhere" })).status).toBe(403);
    expect(await proxy.stop()).toBe(0);
  });

  test("56: the denylist wins; mapped forms and ranges are the same", async () => {
    const proxy = await start({
      security: {
        ip_allowlist: { enabled: true, allowed_ips: ["127.0.0.0/8"] },
        ip_denylist: { enabled: true, denied_ips: ["::ffff:127.0.0.2", "127.0.1.0/24"] },
      },
    });
    const statuses = await Promise.all(
      ["127.0.0.2", "127.0.1.77", "127.0.0.3"].map((from) => ask(proxy, { from })),
    );
    expect(statuses.map(({ status }) => status)).toEqual([403, 403, 200]);
    expect(statuses[0]?.body).toContain("address_denied");
    expect(await proxy.stop()).toBe(0);
  });

  test("a reload that denies an address ends its streams within a second, and no other", async () => {
    const proxy = await start({});
    upstream.on("edge-live", endless(20));
    const [cut, kept] = await Promise.all([
      openStreamFrom(proxy, "127.0.0.2", "edge-live"),
      openStreamFrom(proxy, "127.0.0.3", "edge-live"),
    ]);
    const state = { store: "memory" };
    const denied = { security: { ip_denylist: { enabled: true, denied_ips: ["127.0.0.2"] } } };
    proxy.writeConfig({ providers: providersOf(upstream.url), state, server: denied });
    const text = await cut.read((t) => t.includes("revoked"), 5000);
    expect(text).not.toContain("[DONE]");
    expect((await ask(proxy, { from: "127.0.0.2" })).status).toBe(403);
    const before = kept.text().length;
    await until("the other stream goes on", () => kept.text().length > before + 500);
    expect(kept.text()).not.toContain("revoked");
    kept.close();
    cut.close();
    expect(await proxy.stop()).toBe(0);
  });

  test("a trust list refuses nobody and lifts the limit by address", async () => {
    const proxy = await start({
      security: {
        ip_allowlist: { enabled: true, allowed_ips: ["127.0.0.2"], deny_all: false },
        rate_limiting: { enabled: true, requests_per_second: 0.01, burst: 2, per_ip: true },
      },
    });
    const statuses = async (from: string): Promise<number[]> => {
      const seen: number[] = [];
      for (let i = 0; i < 4; i++) seen.push((await ask(proxy, { from })).status);
      return seen;
    };
    expect(await statuses("127.0.0.2")).toEqual([200, 200, 200, 200]);
    expect(await statuses("127.0.0.3")).toEqual([200, 200, 429, 429]);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("the true client address", () => {
  let proxy: RunningProxy;
  let standard: RunningProxy;
  beforeAll(async () => {
    const security = {
      ip_allowlist: { enabled: true, allowed_ips: ["203.0.113.0/24", "2001:db8::/32"] },
      ip_denylist: { enabled: true, denied_ips: ["203.0.113.66"] },
    };
    const trusted_proxies = ["127.0.0.1", "10.0.0.0/8"];
    proxy = await start({ trusted_proxies, security });
    standard = await start({ trusted_proxies, forwarded_header: "forwarded", security });
  });

  type Case = readonly [name: string, ask: Ask, status: number];
  const xff = (...values: string[]): Ask["headers"] =>
    values.map((value) => ["X-Forwarded-For", value] as const);
  const cases: readonly Case[] = [
    ["47: forged by an untrusted peer", { from: "127.0.0.2", headers: xff("203.0.113.5") }, 403],
    ["told by a trusted peer", { headers: xff("203.0.113.5") }, 200],
    ["48: the nearest is judged", { headers: xff("203.0.113.5, 198.51.100.9") }, 403],
    ["past trusted hops", { headers: xff("198.51.100.9, 203.0.113.5, 10.1.1.1") }, 200],
    [
      "repeated fields are one list",
      { headers: xff("198.51.100.9", "203.0.113.5", "10.1.1.1") },
      200,
    ],
    ["the last of repeated fields counts", { headers: xff("203.0.113.5", "198.51.100.9") }, 403],
    ["a malformed hop stops at the proxy", { headers: xff("203.0.113.5, x") }, 403],
    ["51: a mapped form of a denied one", { headers: xff("::ffff:203.0.113.66") }, 403],
    ["51: in hexadecimal", { headers: xff("::ffff:cb00:7142") }, 403],
    ["a denied one behind an allowed one", { headers: xff("203.0.113.5, 203.0.113.66") }, 403],
    ["IPv6 with a port", { headers: xff("[2001:db8::7]:4711") }, 200],
    ["none: the proxy itself", {}, 403],
    ["another header is not read", { headers: [["Forwarded", "for=203.0.113.5"]] }, 403],
    ["nor X-Real-IP", { headers: [["X-Real-IP", "203.0.113.5"]] }, 403],
  ];
  test.concurrent.each(cases)("%s", async (_name, options, status) => {
    expect((await ask(proxy, options)).status).toBe(status);
  });

  const forwarded: readonly (readonly [value: string, status: number])[] = [
    ["for=203.0.113.5", 200],
    ['for="[2001:db8::1]:4711"', 200],
    ["for=203.0.113.5, for=_hidden", 403],
    ["for=203.0.113.5, for=unknown", 403],
    ['for="203.0.113.5, for=198.51.100.9', 403],
    ['for=198.51.100.9, for="203.0.113.5:8080";proto=https, for=10.2.2.2;by=10.1.1.1', 200],
  ];
  test.concurrent.each(forwarded)("58: Forwarded: %s", async (value, status) => {
    const answer = await ask(standard, { headers: [["Forwarded", value]] });
    expect(answer.status).toBe(status);
  });

  test("with Forwarded configured, X-Forwarded-For is not read", async () => {
    expect((await ask(standard, { headers: xff("203.0.113.5") })).status).toBe(403);
  });
});

test("each client behind a proxy has its own limit, and can't make up another", async () => {
  const proxy = await start({
    trusted_proxies: ["127.0.0.1"],
    security: { rate_limiting: { requests_per_second: 0.01, burst: 2 } },
  });
  const via = async (address: string, from?: string): Promise<number> => {
    const headers = [["X-Forwarded-For", address]] as const;
    return (await ask(proxy, { headers, ...(from && { from }) })).status;
  };
  for (const client of ["203.0.113.1", "203.0.113.2"]) {
    expect([await via(client), await via(client), await via(client)]).toEqual([200, 200, 429]);
  }
  const forged: number[] = [];
  for (let i = 0; i < 4; i++) forged.push(await via(`198.51.100.${i}`, "127.0.0.2"));
  expect(forged).toEqual([200, 200, 429, 429]);
  expect(await proxy.stop()).toBe(0);
});
