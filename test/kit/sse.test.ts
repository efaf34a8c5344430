import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { EventWatcher, maxEventBytes, type SseEvent, shownBytes } from "../../src/kit/sse.ts";

class Collector extends EventWatcher {
  readonly events: SseEvent[] = [];
  readonly runs: string[] = [];
  readonly longs: (readonly [head: string, tail: string])[] = [];

  protected override event(name: string, data: string): void {
    this.events.push({ name: decode(name), data: decode(data) });
  }

  protected override seen(run: string): void {
    this.runs.push(run);
  }

  protected override long(head: string, tail: string): void {
    this.longs.push([head, tail]);
  }

  last(): SseEvent | undefined {
    return this.lastOf(this.runs.at(-1) ?? "");
  }

  finish(): SseEvent | undefined {
    return this.rest();
  }

  get isInLine(): boolean {
    return this.inLine;
  }

  get isLost(): boolean {
    return this.lost;
  }
}

function decode(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString();
}

function watch(chunks: readonly Uint8Array[], marker = /^/): readonly SseEvent[] {
  const watcher = new Collector(marker);
  for (const chunk of chunks) {
    watcher.push(chunk);
    // What a chunk is moved to must not matter.
    chunk.fill(0x21);
  }
  watcher.finish();
  return watcher.events;
}

/** The specification's own algorithm on the whole text; events without data are kept. */
function reference(text: string): readonly SseEvent[] {
  const events: SseEvent[] = [];
  let name = "";
  let data: string[] = [];
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/);
  for (const line of lines.slice(0, -1)) {
    if (line === "") {
      if (name !== "" || data.length > 0) events.push({ name, data: data.join("\n") });
      name = "";
      data = [];
      continue;
    }
    const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return events;
}

function cut(text: string, at: readonly number[]): Uint8Array[] {
  const bytes = Buffer.from(text);
  const edges = [0, ...at.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((to, i) => Uint8Array.from(bytes.subarray(edges[i], to)));
}

const cases: readonly (readonly [name: string, text: string, events: readonly SseEvent[]])[] = [
  ["nothing", "", []],
  ["only blank lines", "\n\n\n", []],
  ["one event", "data: a\n\n", [{ name: "", data: "a" }]],
  ["no space after the colon", "data:a\n\n", [{ name: "", data: "a" }]],
  ["two spaces", "data:  a\n\n", [{ name: "", data: " a" }]],
  ["no colon", "data\n\n", [{ name: "", data: "" }]],
  ["a name", "event: x\ndata: a\n\n", [{ name: "x", data: "a" }]],
  ["a name alone", "event: x\n\n", [{ name: "x", data: "" }]],
  ["several lines", "data: a\ndata: b\n\n", [{ name: "", data: "a\nb" }]],
  ["comments", ": hi\n\n: ho\ndata: a\n:\n\n", [{ name: "", data: "a" }]],
  ["other fields", "id: 1\nretry: 5\ndatas: x\ndata: a\n\n", [{ name: "", data: "a" }]],
  ["not ended", "data: a\n\ndata: b\n", [{ name: "", data: "a" }]],
  ["UTF-8", "data: zażółć 🦊\n\n", [{ name: "", data: "zażółć 🦊" }]],
  ["BOM", "\ufeffdata: a\n\n", [{ name: "", data: "a" }]],
  ["BOM in the second event", "data: a\n\n\ufeffdata: b\n\n", [{ name: "", data: "a" }]],
  [
    "mixed line ends",
    "data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\n",
    ["a", "b", "c", "d"].map((data) => ({ name: "", data })),
  ],
];

describe("EventWatcher", () => {
  const variants = cases.flatMap(([name, text, events]) =>
    ["\n", "\r\n", "\r"].map(
      (end) => [`${name}, ${JSON.stringify(end)}`, text.replaceAll("\n", end), events] as const,
    ),
  );

  test.each(variants)("%s", (name, text, events) => {
    if (!name.startsWith("mixed")) expect(reference(text)).toEqual(events);
    const length = Buffer.byteLength(text);
    const wanted = reference(text);
    expect(watch(cut(text, []))).toEqual(wanted);
    for (let at = 0; at <= length; at++) expect(watch(cut(text, [at]))).toEqual(wanted);
    expect(watch(cut(text, [...Array(length).keys()]))).toEqual(wanted);
  });

  test("reads any text at any split as the specification does", () => {
    const piece = fc.constantFrom(
      ..."\r \n \r\n \n\n \r\r data: data:x data event: event:e : é 🦊 \ufeff id:1 a".split(" "),
      " ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(120)), (pieces, at) => {
        const text = pieces.join("");
        expect(watch(cut(text, at))).toEqual(reference(text));
      }),
      { numRuns: 3000 },
    );
  });

  test("reads the event that a marker points at, at any split", () => {
    const text = 'data: {"a":1}\n\ndata: {"usage":2}\n\ndata: {"b":3}\n\n';
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const events = watch(cut(text, [first, second]), /"usage"/);
        expect(events).toContainEqual({ name: "", data: '{"usage":2}' });
      }
    }
  });

  test("does not read what no marker points at", () => {
    expect(watch(cut("data: a\n\ndata: b\n\n", [9]), /"usage"/)).toEqual([]);
  });

  test("tells the event that is left over", () => {
    const watcher = new Collector(/^/);
    watcher.push(Buffer.from("data: a\n\nevent: x\ndata: b"));
    expect(watcher.finish()).toEqual({ name: "x", data: "b" });
  });

  test.each([
    ["", false],
    ["data: a", true],
    ["data: a\n", false],
    ["data: a\r", false],
    ["data: a\n\n", false],
    ["data: a\n\nda", true],
    [":", true],
  ])("knows of %j whether its line is ended", (text, expected) => {
    for (let at = 0; at <= text.length; at++) {
      const watcher = new Collector(/never/);
      for (const chunk of cut(text, [at])) watcher.push(chunk);
      expect(watcher.isInLine).toBe(expected);
    }
  });

  test("shows every run of whole events, and the last event of one", () => {
    const watcher = new Collector(/never/);
    watcher.push(Buffer.from("data: a\n\nevent: x\ndata: b\n\ndata: c"));
    expect(watcher.runs).toEqual(["data: a\n\nevent: x\ndata: b\n\n"]);
    expect(watcher.last()).toEqual({ name: "x", data: "b" });
    watcher.push(Buffer.from("\n\n: d\n\n"));
    expect(watcher.runs.slice(1)).toEqual(["data: c\n\n", ": d\n\n"]);
    expect(watcher.last()).toBeUndefined();
    expect(watcher.events).toEqual([]);
  });

  describe("an event that is too long", () => {
    const fill = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(0x61);
    const run = (bytes: number, size: number): Collector => {
      const watcher = new Collector(/^/);
      watcher.push(Buffer.from("data: "));
      for (let at = 6; at < bytes; at += size) watcher.push(fill(Math.min(size, bytes - at)));
      return watcher;
    };

    test.each([[65_536], [999], [maxEventBytes]])("at the limit, in chunks of %d", (size) => {
      const watcher = run(maxEventBytes - 2, size);
      watcher.push(Buffer.from("\n\ndata: b\n\n"));
      expect(watcher.isLost).toBe(false);
      expect(watcher.events.map(({ data }) => data.length)).toEqual([maxEventBytes - 8, 1]);
    });

    test.each([[65_536], [999], [maxEventBytes]])("one above, in chunks of %d", (size) => {
      const watcher = run(maxEventBytes - 1, size);
      watcher.push(Buffer.from("\n"));
      watcher.push(Buffer.from("\ndata: b\n\n"));
      expect(watcher.isLost).toBe(true);
      expect(watcher.events).toEqual([{ name: "", data: "b" }]);
    });

    test("its blank line is found at any split", () => {
      for (const split of [0, 1, 2, 3, 4]) {
        const watcher = run(maxEventBytes + 10, 65_536);
        const end = Buffer.from("\r\n\r\ndata: b\n\n");
        watcher.push(end.subarray(0, split));
        watcher.push(end.subarray(split));
        expect(watcher.events).toEqual([{ name: "", data: "b" }]);
      }
    });

    test.each([[1], [999], [shownBytes - 1], [shownBytes], [shownBytes + 1], [65_536], [3e6]])(
      "its first and its last bytes are shown, in chunks of %d",
      (size) => {
        const start = `event: big\ndata: ${"a".repeat(40_000)}`;
        const end = `${"z".repeat(40_000)}"usage":7}\n\n`;
        const filling = size === 1 ? 0 : maxEventBytes;
        const text = `${start}${"m".repeat(filling)}${end}`;
        const watcher = new Collector(/^/);
        if (size === 1) watcher.push(Buffer.from(start + "m".repeat(maxEventBytes)));
        const rest = Buffer.from(size === 1 ? end : text);
        for (let at = 0; at < rest.length; at += size) watcher.push(rest.subarray(at, at + size));
        watcher.push(Buffer.from("data: b\n\n"));
        if (size > text.length) {
          // One that is whole in its chunk is looked at, whatever its length.
          expect(watcher.longs).toEqual([]);
          expect(watcher.events).toHaveLength(2);
          return;
        }
        expect(watcher.longs).toHaveLength(1);
        const [head = "", tail = ""] = watcher.longs[0] ?? [];
        expect(head).toBe(start.slice(0, shownBytes));
        expect(tail.length).toBeLessThanOrEqual(shownBytes);
        expect(tail).toEndWith('"usage":7}\n\n');
        expect(`${"m".repeat(filling)}${end}`).toEndWith(tail);
        expect(watcher.events).toEqual([{ name: "", data: "b" }]);
      },
    );

    test("is no event left over", () => {
      const watcher = run(maxEventBytes + 10, 65_536);
      expect(watcher.finish()).toBeUndefined();
    });
  });
});
