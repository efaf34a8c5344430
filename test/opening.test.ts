import { describe, expect, test } from "bun:test";
import { joined, type Opening, readOpening, wholeBytes } from "../src/opening.ts";
import { createStubHouse, startExchange } from "./harness/stubs.ts";

const encoder = new TextEncoder();
const idleMs = 1000;

/** A body in pieces, of which no more is given than is asked for. */
function bodyOf(pieces: readonly string[]) {
  const left = [...pieces];
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = left.shift();
        if (next === undefined) return controller.close();
        return controller.enqueue(encoder.encode(next));
      },
    },
    { highWaterMark: 0 },
  );
  return { body, left };
}

function open(body: ReadableStream<Uint8Array>): Promise<Opening> {
  const house = createStubHouse();
  return readOpening(startExchange(house), body, idleMs, house.clock.mono() + 10_000);
}

describe("readOpening", () => {
  type Case = readonly [
    name: string,
    pieces: readonly string[],
    form: Opening["form"],
    isWhole: boolean,
    left: number,
  ];
  const fill = (bytes: number): string => `{${"x".repeat(bytes - 1)}`;
  const cases: readonly Case[] = [
    ["JSON in pieces", ["{", '"a":1', "}"], "json", true, 0],
    ["a list", ["[]"], "json", true, 0],
    ["blanks first", ["\n", " \ufeff", "{}"], "json", true, 0],
    ["the limit", [fill(wholeBytes)], "json", true, 0],
    ["one byte above, not read to its end", [fill(wholeBytes + 1), "y", "z"], "json", false, 2],
    ["events, known by the first", ["d", "ata: x\n\n", "more"], "events", false, 2],
    ["a comment", [": hi\n\n", "more"], "events", false, 1],
    ["HTML, known by the first", ["<", "html>"], "other", false, 1],
    ["words", ["hello", "there"], "other", false, 1],
    ["nothing", [], "other", true, 0],
    ["blanks alone", [" ", "\n"], "other", true, 0],
    ["blanks beyond the limit", [" ".repeat(wholeBytes + 1), " "], "other", false, 1],
  ];
  test.each(cases)("%s", async (_name, pieces, form, isWhole, left) => {
    const source = bodyOf(pieces);
    const opening = await open(source.body);
    expect([opening.form, opening.isWhole, source.left.length]).toEqual([form, isWhole, left]);
    const read = pieces.slice(0, pieces.length - left).join("");
    expect(joined(opening)).toEqual(encoder.encode(read));
    // What is left can be read on by another reader.
    expect(source.body.locked).toBe(isWhole);
  });

  test("a source that breaks is thrown", () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error("reset"));
      },
    });
    expect(open(body)).rejects.toThrow("reset");
  });

  test("each piece moves the idle deadline, never past the last", async () => {
    const house = createStubHouse();
    const x = startExchange(house);
    let feed: (text: string) => void = () => {};
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        feed = (text) => controller.enqueue(encoder.encode(text));
      },
    });
    const startMs = house.clock.mono();
    void readOpening(x, body, idleMs, startMs + 1500).catch(() => {});
    expect(x.deadlineMs).toBe(startMs + idleMs);
    for (const [afterMs, deadlineMs] of [
      [300, 1300],
      [600, 1500],
    ] as const) {
      house.clock.advance(afterMs);
      house.live.tick();
      feed("{");
      await Bun.sleep(0);
      expect(x.deadlineMs).toBe(startMs + deadlineMs);
    }
  });
});
