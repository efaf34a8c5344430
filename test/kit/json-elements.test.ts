import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { ElementWatcher } from "../../src/kit/json-elements.ts";
import { maxEventBytes, shownBytes } from "../../src/kit/sse.ts";

class Collector extends ElementWatcher {
  readonly elements: string[] = [];
  readonly tails: string[] = [];

  protected override element(text: string): void {
    this.elements.push(Buffer.from(text, "latin1").toString());
  }

  protected override long(tail: string): void {
    this.tails.push(tail);
  }

  get closed(): boolean {
    return this.isClosed;
  }
}

function watch(bytes: Buffer, cuts: readonly number[]): readonly [readonly string[], boolean] {
  const watcher = new Collector();
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(from, to));
    watcher.push(chunk);
    // What a chunk is moved to must not matter.
    chunk.fill(0x7d);
    from = to;
  }
  return [watcher.elements, watcher.closed];
}

/** Cut nowhere, at every byte, byte by byte and at random. */
function expectAtAnyCut(text: string, elements: readonly string[], closed: boolean): void {
  const bytes = Buffer.from(text);
  const check = (cuts: readonly number[]): void => {
    expect(watch(bytes, cuts)).toEqual([elements, closed]);
  };
  check([]);
  for (let at = 0; at <= bytes.length; at++) check([at]);
  check([...bytes.keys()]);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 9 }), (cuts) => {
      check(cuts.sort((a, b) => a - b));
    }),
    { numRuns: 30 },
  );
}

const a = '{"a":"zażółć 🦊"}';
const b = String.raw`{"b":{"c":[{}, "]}\\\"{["]}}`;

describe("ElementWatcher", () => {
  const cases: readonly (readonly [
    name: string,
    text: string,
    elements: string[],
    closed: boolean,
  ])[] = [
    ["nothing", "", [], false],
    ["spaces", " \r\n\t", [], false],
    ["an empty list", "[]", [], true],
    ["a list", `[${a}\n,\r\n${b}\n]\n`, [a, b], true],
    ["one object", ` ${b} `, [b], true],
    ["no end", `[${a},${b}`, [a, b], false],
    ["half an element", `[${a},${b.slice(0, -1)}`, [a], false],
    ["an end inside a string", `[{"a":"]}`, [], false],
    ["items that are no objects", `[1,"{}",[${a}],null,${b}]`, [b], true],
    ["the wrong bracket", `[${a}}`, [a], false],
    ["the wrong bracket of an object", '{"a":1]', ['{"a":1]'], false],
    ["a second list", `[${a}][${b}]`, [a], false],
    ["something behind the end", `[${a}]x`, [a], false],
    ["a string behind the end", `[${a}]"`, [a], false],
    ["no JSON", "<html>", [], false],
    ["a byte order mark", `\ufeff[${a}]`, [a], true],
    ["closed before it opened", "]", [], false],
  ];
  test.each(cases)("%s", (_name, text, elements, closed) => {
    expectAtAnyCut(text, elements, closed);
  });

  test("tells the objects of any list, as JSON.parse has them", () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(
        fc.array(object, { maxLength: 6 }),
        fc.constantFrom(undefined, 2),
        fc.array(fc.nat(), { maxLength: 9 }),
        (value, indent, cuts) => {
          const bytes = Buffer.from(JSON.stringify(value, null, indent));
          const at = cuts.map((cut) => cut % (bytes.length + 1)).sort((x, y) => x - y);
          const [elements, closed] = watch(bytes, at);
          expect(closed).toBe(true);
          expect(elements.map((text) => JSON.parse(text) as unknown)).toEqual(
            JSON.parse(JSON.stringify(value)) as unknown[],
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  const sizes = [
    ["at the limit", maxEventBytes, true],
    ["one byte above", maxEventBytes + 1, false],
  ] as const;
  test.each(sizes)("an element %s, whole or in chunks", (_name, size, kept) => {
    const frame = '{"x":""}';
    const end = '"}';
    const text = `{"x":"${"y".repeat(size - frame.length)}"}`;
    for (const step of [text.length + 2, 50_000]) {
      const watcher = new Collector();
      const bytes = Buffer.from(`[${text},${a}]`);
      for (let at = 0; at < bytes.length; at += step) watcher.push(bytes.subarray(at, at + step));
      expect(watcher.elements.map((e) => e.length)).toEqual(kept ? [size, a.length] : [a.length]);
      expect(watcher.tails.map((tail) => tail.length)).toEqual(kept ? [] : [shownBytes]);
      expect(watcher.tails.every((tail) => tail.endsWith(`y${end}`))).toBe(true);
      expect(watcher.closed).toBe(true);
    }
  });
});
