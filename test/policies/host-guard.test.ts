import { describe, expect, test } from "bun:test";
import { policy } from "../../policies/host-guard.ts";
import type { Policy } from "../../src/contract/policy.ts";
import { createStubHost, createStubHouse, hooksOf, startExchange } from "../harness/stubs.ts";

async function verdict(headers: Record<string, string>, listenHost = "127.0.0.1") {
  const host = createStubHost({ listenHost, listenPort: 8317 });
  const hooks = await hooksOf(policy as unknown as Policy, {}, host);
  return hooks?.request?.(startExchange(createStubHouse(), { headers }));
}

describe("host-guard", () => {
  const hosts: readonly (readonly [host: string, ok: boolean])[] = [
    ["127.0.0.1:8317", true],
    ["localhost:8317", true],
    ["LocalHost:8317", true],
    ["[::1]:8317", true],
    ["127.0.0.1", true],
    ["localhost", true],
    ["127.8.9.1:8317", true],
    // A port forwarded from elsewhere is still loopback by name.
    ["localhost:9999", true],
    ["evil.example", false],
    ["evil.example:8317", false],
    ["192.168.1.5:8317", false],
    ["localhost.evil.example:8317", false],
    ["evil.example#localhost", false],
    ["evil.example@localhost", false],
    // Names that anybody may own, and rebind to 127.0.0.1.
    ["127.evil.example:8317", false],
    ["127.0.0.1.evil.example:8317", false],
    ["127.0.0.1.nip.example", false],
    ["127.1", false],
    ["2130706433", false],
    ["0x7f.0.0.1", false],
    ["0.0.0.0:8317", false],
    ["", false],
    ["localhost:8317:1", false],
    ["[::ffff:127.0.0.1]:8317", false],
  ];
  test.each(hosts)("Host %p: %p", async (host, ok) => {
    expect(await verdict({ host })).toEqual(ok ? "pass" : { deny: "bad_host" });
  });

  test("no Host", async () => {
    expect(await verdict({})).toEqual({ deny: "bad_host" });
  });

  const sites: readonly (readonly [name: string, headers: Record<string, string>, ok: boolean])[] =
    [
      ["no browser", {}, true],
      ["typed by a person", { "sec-fetch-site": "none" }, true],
      ["own page", { "sec-fetch-site": "same-origin", origin: "http://127.0.0.1:8317" }, true],
      ["own page over TLS", { origin: "https://127.0.0.1:8317" }, true],
      ["same site, other port", { "sec-fetch-site": "same-site" }, false],
      ["cross site", { "sec-fetch-site": "cross-site" }, false],
      ["an odd value", { "sec-fetch-site": "Cross-Site" }, false],
      ["foreign origin", { origin: "https://evil.example" }, false],
      ["origin of another local port", { origin: "http://127.0.0.1:3000" }, false],
      ["origin null, from a sandboxed frame", { origin: "null" }, false],
      ["origin of a file", { origin: "file://" }, false],
      [
        "foreign origin, claims no site",
        { origin: "https://evil.example", "sec-fetch-site": "none" },
        false,
      ],
    ];
  test.each(sites)("%s", async (_name, headers, ok) => {
    const expected = ok ? "pass" : { deny: "cross_site" };
    expect(await verdict({ host: "127.0.0.1:8317", ...headers })).toEqual(expected as never);
  });

  const listens: readonly (readonly [listenHost: string, isActive: boolean])[] = [
    ["127.0.0.1", true],
    ["127.0.0.2", true],
    ["localhost", true],
    ["::1", true],
    ["0.0.0.0", false],
    ["::", false],
    ["192.168.1.5", false],
    ["127.evil.example", false],
  ];
  test.each(listens)("listening on %s: active %p", async (listenHost, isActive) => {
    const seen = await verdict({ host: "evil.example" }, listenHost);
    expect(seen).toEqual(isActive ? { deny: "bad_host" } : undefined);
  });
});
