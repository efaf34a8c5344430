import { describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import fc from "fast-check";
import { embeddedIpv4, formatIp, parseIp } from "../../src/kit/ip.ts";

function canonical(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}

describe("parseIp", () => {
  const cases: readonly (readonly [text: string, canonical: string | undefined])[] = [
    ["203.0.113.9", "203.0.113.9"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["::FFFF:0a01:0203", "10.1.2.3"],
    ["0:0:0:0:0:ffff:a01:203", "10.1.2.3"],
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["1::", "1::"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["::192.0.2.33", "::c000:221"],
    ["fe80::1%eth0", "fe80::1"],
    ["fe80::1%3", "fe80::1"],
  ];
  test.each(cases)("%s is %s", (text, expected) => expect(canonical(text)).toBe(expected));

  const refused = [
    ...["", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "010.0.0.1", "10.1", "0x0a.1", "1.2.3.4 "],
    ...[
      " 1.2.3.4",
      "1.2.3.",
      ".1.2.3",
      "1..2.3",
      "1.2.3.-4",
      "00.0.0.0",
      "1.2.3.4/8",
      "2130706433",
    ],
    ...[
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7::8:9",
      "::12345",
    ],
    ...["::g", "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "fe80::1%", "fe80::1%a b", "[::1]", "::1]"],
    ...["１.2.3.4", "::ffff:1.2.3.04", "1:2:3:4:5:6:7:8::", `::${"0".repeat(200)}1`, "example.com"],
  ];
  test.each(refused)("refuses %j", (text) => expect(parseIp(text)).toBeUndefined());

  test("a zone is remembered, and no part of the address", () => {
    expect(parseIp("fe80::1%eth0")?.zoned).toBe(true);
    expect(parseIp("fe80::1")?.zoned).toBe(false);
  });

  test("asked twice, it says the same; asked for another, it does not mix them up", () => {
    for (const text of ["1.2.3.4", "1.2.3.4", "nonsense", "nonsense", "::1", "1.2.3.4"]) {
      expect(canonical(text)).toBe(text === "nonsense" ? undefined : text);
    }
  });

  test("takes what the standard library takes, and no more", () => {
    const alphabet = fc.constantFrom(..."0123456789abf:.%".split(""));
    const texts = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: alphabet, maxLength: 24 }),
      fc.array(fc.constantFrom("0", "1", "255", "256", "ffff", "::", ":", ".", "%1"), {
        maxLength: 16,
      }),
    );
    fc.assert(
      fc.property(texts, (given) => {
        const text = typeof given === "string" ? given : given.join("");
        // What a zone may be made of is up to the system; ours is a name or a number.
        if (/%.*[^\w.~-]/.test(text)) return;
        expect([text, parseIp(text) !== undefined]).toEqual([text, isIP(text) !== 0]);
      }),
      { numRuns: 5000 },
    );
  });

  test("reading what was written gives the same address", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const ip = parseIp(text);
        expect(ip && parseIp(formatIp(ip))).toEqual(ip);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("embeddedIpv4", () => {
  const cases: readonly (readonly [text: string, inside: string | undefined])[] = [
    ["64:ff9b::203.0.113.7", "203.0.113.7"],
    ["64:ff9b:0:0:0:0:cb00:7107", "203.0.113.7"],
    ["::203.0.113.7", "203.0.113.7"],
    ["64:ff9b:1::203.0.113.7", undefined],
    ["64:ff9b::1:203.0.113.7", undefined],
    ["::", undefined],
    ["::1", undefined],
    ["203.0.113.7", undefined],
    ["2001:db8::203.0.113.7", undefined],
  ];
  test.each(cases)("%s holds %s", (text, inside) => {
    const ip = parseIp(text);
    const found = ip && embeddedIpv4(ip);
    expect(found && formatIp(found)).toBe(inside);
  });
});
