import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatIp, parseIp } from "../../src/kit/ip.ts";
import { formatRange, isInRange, readRange, toRange } from "../../src/kit/ip-range.ts";

describe("readRange", () => {
  const cases: readonly (readonly [text: string, meant: string, masked: boolean])[] = [
    ["10.0.0.0/8", "10.0.0.0/8", false],
    ["10.1.2.3/8", "10.0.0.0/8", true],
    ["192.168.1.100", "192.168.1.100", false],
    ["192.168.1.100/32", "192.168.1.100", false],
    ["0.0.0.0/0", "0.0.0.0/0", false],
    ["128.0.0.1/1", "128.0.0.0/1", true],
    ["2001:db8::/32", "2001:db8::/32", false],
    ["2001:db8::1/33", "2001:db8::/33", true],
    ["2001:DB8::1/128", "2001:db8::1", false],
    ["::/0", "::/0", false],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8", false],
    ["::ffff:10.0.0.1", "10.0.0.1", false],
    ["::ffff:0:0/96", "0.0.0.0/0", false],
    ["ffff::1/64", "ffff::/64", true],
  ];
  test.each(cases)("%s means %s", (text, meant, masked) => {
    const read = readRange(text);
    expect("range" in read ? [formatRange(read.range), read.masked] : read).toEqual([
      meant,
      masked,
    ]);
  });

  const refused: readonly (readonly [text: string, words: string])[] = [
    ["010.0.0.1", "also be read as 8.0.0.1"],
    ["10.1", "also be read as 10.0.0.1"],
    ["0x0a.1", "also be read as 10.0.0.1"],
    ["167772161", "also be read as 10.0.0.1"],
    ["010.0.0.0/8", "also be read as 8.0.0.0"],
    ["10.0.0.0/33", "prefix from 0 to 32"],
    ["10.0.0.0/", "prefix from 0 to 32"],
    ["10.0.0.0/08", "prefix from 0 to 32"],
    ["10.0.0.0/-1", "prefix from 0 to 32"],
    ["10.0.0.0/8/8", "prefix from 0 to 32"],
    ["10.0.0.0/255.0.0.0", "prefix from 0 to 32"],
    ["::/129", "prefix from 0 to 128"],
    ["::ffff:10.0.0.0/8", "prefix from 96 to 128"],
    ["fe80::1%eth0", "zone"],
    ["example.com", "neither an address nor a range"],
    ["", "neither an address nor a range"],
    ["10.0.0.0 /8", "neither an address nor a range"],
    ["10.0.0.*", "neither an address nor a range"],
    ["10.0.0.1-10.0.0.9", "neither an address nor a range"],
  ];
  test.each(refused)("refuses %j: %s", (text, words) => {
    const read = readRange(text);
    expect("problem" in read ? read.problem : read).toContain(words);
  });
});

describe("toRange", () => {
  test("holds what shares the first bits, and nothing else", () => {
    const bitsOf = (text: string): string => {
      const ip = parseIp(text);
      if (ip === undefined) throw new Error(text);
      const words = ip.v4 ? [ip.d] : [ip.a, ip.b, ip.c, ip.d];
      return words.map((w) => w.toString(2).padStart(32, "0")).join("");
    };
    const pair = fc.oneof(
      fc.tuple(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.ipV6(), fc.ipV6(), fc.integer({ min: 0, max: 128 })),
    );
    fc.assert(
      fc.property(pair, ([one, other, prefix]) => {
        const [a, b] = [parseIp(one), parseIp(other)];
        if (a === undefined || b === undefined) throw new Error("made up");
        const bits = Math.min(prefix, a.v4 ? 32 : 128);
        const range = toRange(a, bits);
        const same =
          a.v4 === b.v4 && bitsOf(formatIp(a)).slice(0, bits) === bitsOf(other).slice(0, bits);
        expect(isInRange(a, range)).toBe(true);
        expect([one, other, bits, isInRange(b, range)]).toEqual([one, other, bits, same]);
      }),
      { numRuns: 3000 },
    );
  });
});
