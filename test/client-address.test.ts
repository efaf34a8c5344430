import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createFindClient, type ForwardedHeader } from "../src/client-address.ts";
import { readRange } from "../src/kit/ip-range.ts";
import { createIpSet } from "../src/kit/ip-set.ts";

const trusted = createIpSet(
  ["10.0.0.0/8", "127.0.0.1", "2001:db8:a::/48"].map((text) => {
    const read = readRange(text);
    if ("problem" in read) throw new Error(read.problem);
    return read.range;
  }),
);

function clientOf(name: ForwardedHeader, peer: string, value: string | null): string {
  const find = createFindClient(trusted, name);
  return find(peer, (asked) => (asked === name ? value : "198.51.100.66")).ip;
}

describe("X-Forwarded-For", () => {
  const cases: readonly (readonly [
    name: string,
    peer: string,
    value: string | null,
    ip: string,
  ])[] = [
    [
      "47: an untrusted peer is the client, whatever it says",
      "203.0.113.5",
      "10.1.1.1",
      "203.0.113.5",
    ],
    ["a trusted peer without the header", "10.0.0.1", null, "10.0.0.1"],
    ["a trusted peer with an empty one", "10.0.0.1", "", "10.0.0.1"],
    ["one hop", "10.0.0.1", "203.0.113.5", "203.0.113.5"],
    [
      "48: the nearest untrusted one is judged",
      "10.0.0.1",
      "192.0.2.1, 203.0.113.5",
      "203.0.113.5",
    ],
    ["past trusted ones", "10.0.0.1", "192.0.2.1, 203.0.113.5, 10.3.3.3, 10.2.2.2", "203.0.113.5"],
    ["all trusted: the farthest", "10.0.0.1", "10.9.9.9, 10.2.2.2", "10.9.9.9"],
    ["a malformed hop ends it", "10.0.0.1", "203.0.113.5, nonsense, 10.2.2.2", "10.2.2.2"],
    ["a malformed first hop", "10.0.0.1", "203.0.113.5, nonsense", "10.0.0.1"],
    ["a spelling with two readings", "10.0.0.1", "203.0.113.5, 010.0.0.1", "10.0.0.1"],
    ["empty members are none", "10.0.0.1", ",203.0.113.5, ,10.2.2.2,,", "203.0.113.5"],
    ["only commas", "10.0.0.1", ",,,", "10.0.0.1"],
    ["with a port", "10.0.0.1", "203.0.113.5:4711", "203.0.113.5"],
    ["IPv6", "10.0.0.1", "2001:db8::1", "2001:db8::1"],
    ["IPv6 with a port", "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"],
    ["IPv6 in brackets", "10.0.0.1", "[2001:DB8::1]", "2001:db8::1"],
    ["IPv4 in brackets", "10.0.0.1", "[203.0.113.5]", "10.0.0.1"],
    ["mapped", "10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"],
    ["a mapped peer is trusted like its own form", "::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"],
    ["a mapped trusted hop", "10.0.0.1", "203.0.113.5, ::ffff:10.7.7.7", "203.0.113.5"],
    ["trusted IPv6 hops", "2001:db8:a::1", "203.0.113.5, 2001:db8:a:1::2", "203.0.113.5"],
    ["quotes mean nothing here", "10.0.0.1", '"203.0.113.5"', "10.0.0.1"],
    ["a host name", "10.0.0.1", "client.example", "10.0.0.1"],
    ["a zone stays", "10.0.0.1", "fe80::1%eth0", "fe80::1%eth0"],
    ["tabs and spaces", "10.0.0.1", "\t203.0.113.5\t,  10.2.2.2 ", "203.0.113.5"],
    ["no address at all", "", "203.0.113.5", ""],
  ];
  test.each(cases)("%s", (_name, peer, value, ip) => {
    expect(clientOf("x-forwarded-for", peer, value)).toBe(ip);
  });

  test("32 hops are walked, and not one more", () => {
    const hops = (count: number): string =>
      ["203.0.113.5", ...Array.from({ length: count }, (_, i) => `10.0.1.${i}`)].join(", ");
    expect(clientOf("x-forwarded-for", "10.0.0.1", hops(31))).toBe("203.0.113.5");
    expect(clientOf("x-forwarded-for", "10.0.0.1", hops(32))).toBe("10.0.1.0");
    expect(clientOf("x-forwarded-for", "10.0.0.1", hops(33))).toBe("10.0.1.1");
  });

  test("tells peer and trust", () => {
    const find = createFindClient(trusted, "x-forwarded-for");
    expect(find("::ffff:10.0.0.1", () => "203.0.113.5")).toEqual({
      ip: "203.0.113.5",
      peer: "10.0.0.1",
      proxied: true,
    });
    expect(find("203.0.113.5", () => "10.0.0.1")).toMatchObject({ proxied: false });
  });

  test("without trusted proxies no header is even read", () => {
    const find = createFindClient(createIpSet([]), "x-forwarded-for");
    const read = (): never => {
      throw new Error("read");
    };
    expect(find("127.0.0.1", read).ip).toBe("127.0.0.1");
  });

  test("whatever stands in front of what a proxy appended changes nothing", () => {
    for (const [header, appended] of [
      ["x-forwarded-for", "203.0.113.5"],
      ["forwarded", "for=203.0.113.5"],
      ["forwarded", 'by=_x;FOR="203.0.113.5:99";proto=https'],
      ["forwarded", 'for="[2001:db8::5]:4711"'],
    ] as const) {
      const expected = appended.includes("2001") ? "2001:db8::5" : "203.0.113.5";
      const bits = fc.constantFrom(...'"\\,;= []:.'.split(""), "for=", "10.0.0.1", '\\"');
      fc.assert(
        fc.property(fc.array(bits, { maxLength: 20 }), (junk) => {
          const value = `${junk.join("")}, ${appended}`;
          expect([value, clientOf(header, "10.0.0.1", value)]).toEqual([value, expected]);
        }),
        { numRuns: 1000 },
      );
    }
  });
});

describe("Forwarded (RFC 7239)", () => {
  const cases: readonly (readonly [value: string, ip: string])[] = [
    ["for=203.0.113.5", "203.0.113.5"],
    ["For=203.0.113.5", "203.0.113.5"],
    ["for=203.0.113.5;proto=http;by=203.0.113.43", "203.0.113.5"],
    ['for="203.0.113.5:80"', "203.0.113.5"],
    ['for="[2001:db8::1]:4711"', "2001:db8::1"],
    ['for="[2001:db8::1]"', "2001:db8::1"],
    ["for=192.0.2.43, for=203.0.113.5", "203.0.113.5"],
    ["for=203.0.113.5, for=10.2.2.2;host=a", "203.0.113.5"],
    ['for=203.0.113.5;ext="a,b;for=1.2.3.4", for=10.2.2.2', "203.0.113.5"],
    ['for="203\\.0.113.5"', "203.0.113.5"],
    [" for=203.0.113.5 ; proto=https ", "203.0.113.5"],
    ["for=203.0.113.5,,", "203.0.113.5"],
    // Hidden, unknown, absent, doubled, broken: the walk ends at the last good hop.
    ["for=203.0.113.5, for=_hidden", "10.0.0.1"],
    ["for=203.0.113.5, for=unknown", "10.0.0.1"],
    ["for=203.0.113.5, for=unknown, for=10.2.2.2", "10.2.2.2"],
    ["for=203.0.113.5, proto=http", "10.0.0.1"],
    ["for=203.0.113.5;for=203.0.113.6", "10.0.0.1"],
    ['for="203.0.113.5', "10.0.0.1"],
    ["for=", "10.0.0.1"],
    ["for", "10.0.0.1"],
    ["203.0.113.5", "10.0.0.1"],
    ["for = 203.0.113.5", "10.0.0.1"],
    ["for=[2001:db8::1]:4711x", "10.0.0.1"],
  ];
  test.each(cases)("%s is %s", (value, ip) => {
    expect(clientOf("forwarded", "10.0.0.1", value)).toBe(ip);
  });
});
