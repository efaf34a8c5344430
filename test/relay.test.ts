import { describe, expect, test } from "bun:test";
import type { Refusal } from "../src/errors.ts";
import {
  type LastWords,
  Relay,
  type RelayEnd,
  type RelayLimits,
  type RelayTap,
} from "../src/relay.ts";
import { createStubHouse, startExchange } from "./harness/stubs.ts";
import { sleep } from "./harness/wait.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const totalMs = 5000;
const usual: Omit<RelayLimits, "totalAtMs"> = { idleMs: 1000, writeStallMs: 300 };

interface Setup {
  readonly limits?: Partial<RelayLimits>;
  /** What `end` appends. */
  readonly last?: string;
  /** What `broken` says; undefined: the connection is cut. */
  readonly words?: (refusal: Refusal) => string | undefined;
  readonly request?: AbortSignal;
  /** Read before the relay. */
  readonly opening?: readonly string[];
  /** Nothing is missing, however it breaks. */
  readonly isComplete?: boolean;
  /** The source's own end leaves something missing. */
  readonly isCutAtEnd?: boolean;
}

/** A relay between a source that a test feeds and a sink that a test may block. */
function setUp(setup: Setup = {}) {
  const house = createStubHouse();
  const x = startExchange(house, { ...(setup.request && { signal: setup.request }) });
  let source: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        source = controller;
      },
      cancel() {
        cancelled += 1;
      },
    },
    { highWaterMark: 0 },
  );
  const pushed: string[] = [];
  const toWords = (text: string | undefined, none: "complete" | "cut"): LastWords =>
    text === undefined ? none : encoder.encode(text);
  const tap: RelayTap = {
    push: (chunk) => void pushed.push(decoder.decode(chunk)),
    end: () => toWords(setup.last, setup.isCutAtEnd ? "cut" : "complete"),
    broken: (refusal) =>
      setup.isComplete
        ? "complete"
        : toWords(setup.words === undefined ? `<${refusal.code}>` : setup.words(refusal), "cut"),
  };
  const ends: RelayEnd[] = [];
  const totalAtMs = house.clock.mono() + totalMs;
  const limits = { ...usual, totalAtMs, ...setup.limits };
  const opening = (setup.opening ?? []).map((text) => encoder.encode(text));
  const relay = new Relay(x, body, tap, limits, (end) => ends.push(end), opening);
  const written: string[] = [];
  const blocked: (() => void)[] = [];
  let block = false;
  const run = () =>
    relay.run({
      write(bytes) {
        written.push(decoder.decode(bytes));
        if (!block) return undefined;
        return new Promise<void>((resolve) => {
          blocked.push(resolve);
        });
      },
      close: () => void written.push("[close]"),
      cut: () => void written.push("[cut]"),
    });
  return {
    ...{ house, x, relay, ends, written, pushed, run },
    feed: (text: string) => source?.enqueue(encoder.encode(text)),
    finish: () => source?.close(),
    fail: () => source?.error(new Error("reset")),
    cancelled: () => cancelled,
    blockWrites() {
      block = true;
    },
    unblock() {
      for (const go of blocked.splice(0)) go();
    },
    wait(ms: number) {
      house.clock.advance(ms);
      house.live.tick();
      return sleep(0);
    },
  };
}

describe("relay", () => {
  test("hands chunks on as they are, and shows each to the tap", async () => {
    const r = setUp();
    const running = r.run();
    for (const part of ["a", "bc", "🦊"]) r.feed(part);
    r.finish();
    await running;
    expect(r.written).toEqual(["a", "bc", "🦊", "[close]"]);
    expect(r.pushed).toEqual(["a", "bc", "🦊"]);
    expect(r.ends).toEqual([{ bytes: 7, refusal: undefined, clientGone: false }]);
  });

  type Ending = readonly [
    name: string,
    setup: Setup,
    act: (r: ReturnType<typeof setUp>) => unknown,
    written: readonly string[],
    end: Partial<RelayEnd>,
    cancelled: number,
  ];
  const truncated = { refusal: { code: "upstream_truncated" }, clientGone: false } as const;
  const endings: readonly Ending[] = [
    ["early end", { last: "<early>" }, (r) => r.finish(), ["<early>", "[close]"], truncated, 0],
    ["early end without words", { isCutAtEnd: true }, (r) => r.finish(), ["[cut]"], truncated, 0],
    ["reset", {}, (r) => r.fail(), ["<upstream_truncated>", "[close]"], truncated, 0],
    ["reset without words", { words: () => undefined }, (r) => r.fail(), ["[cut]"], truncated, 0],
    ["client leaves", {}, (r) => r.relay.gone(), [], { refusal: undefined, clientGone: true }, 1],
    [
      "stop from outside",
      {},
      (r) => r.x.stop({ code: "revoked" }),
      ["<revoked>", "[close]"],
      { refusal: { code: "revoked" } },
      1,
    ],
    [
      "stop without words",
      { words: () => undefined },
      (r) => r.x.stop({ code: "revoked" }),
      ["[cut]"],
      { refusal: { code: "revoked" } },
      1,
    ],
    [
      "silence, at the limit",
      {},
      (r) => r.wait(1000),
      ["<upstream_timeout>", "[close]"],
      { refusal: { code: "upstream_timeout" } },
      1,
    ],
  ];
  test.each(endings)("%s", async (_name, setup, act, written, end, cancelled) => {
    const r = setUp(setup);
    const running = r.run();
    r.feed("data");
    await sleep(0);
    await act(r);
    await running;
    expect(r.written).toEqual(["data", ...written]);
    expect(r.ends).toHaveLength(1);
    expect(r.ends[0]).toMatchObject({ bytes: 4, ...end });
    expect(r.cancelled()).toBe(cancelled);
    r.relay.gone();
    r.x.stop({ code: "revoked" });
    await r.wait(10_000);
    expect(r.ends).toHaveLength(1);
    expect(r.written).toEqual(["data", ...written]);
  });

  test("silence one below the limit is nothing", async () => {
    const r = setUp();
    const running = r.run();
    for (let i = 0; i < 4; i++) {
      r.feed("x");
      await sleep(0);
      await r.wait(999);
      expect(r.ends).toEqual([]);
    }
    r.finish();
    await running;
    expect(r.ends).toMatchObject([{ bytes: 4, refusal: undefined }]);
  });

  test("a client that doesn't read is cut after write_stall; nothing more is read for it", async () => {
    const r = setUp();
    r.blockWrites();
    const running = r.run();
    r.feed("one");
    await sleep(0);
    r.feed("two");
    await r.wait(299);
    expect(r.ends).toEqual([]);
    expect(r.pushed).toEqual(["one"]);
    await r.wait(1);
    expect(r.ends).toMatchObject([{ refusal: { code: "client_stalled" } }]);
    expect(r.cancelled()).toBe(1);
    r.unblock();
    await running;
    expect(r.pushed).toEqual(["one"]);
  });

  test("a client that reads late goes on, and the provider's time starts anew", async () => {
    const r = setUp();
    r.blockWrites();
    const running = r.run();
    r.feed("one");
    await sleep(0);
    await r.wait(299);
    r.unblock();
    await sleep(0);
    await r.wait(999);
    expect(r.ends).toEqual([]);
    r.finish();
    await running;
    expect(r.ends).toMatchObject([{ refusal: undefined }]);
  });

  test("what was read before comes first", async () => {
    const r = setUp({ opening: ["a", "b"] });
    const running = r.run();
    r.feed("c");
    r.finish();
    await running;
    expect(r.written).toEqual(["a", "b", "c", "[close]"]);
    expect(r.pushed).toEqual(["a", "b", "c"]);
    expect(r.ends).toMatchObject([{ bytes: 3, refusal: undefined }]);
  });

  const complete: readonly (readonly [
    name: string,
    how: (r: ReturnType<typeof setUp>) => unknown,
  ])[] = [
    ["breaks", (r) => r.fail()],
    ["falls silent", (r) => r.wait(1001)],
    ["is stopped", (r) => r.x.stop({ code: "shutting_down" })],
  ];
  test.each(complete)("a body that is complete stays so when its source %s", async (_name, how) => {
    const r = setUp({ isComplete: true });
    const running = r.run();
    r.feed("all");
    await sleep(0);
    await how(r);
    await running;
    expect(r.written).toEqual(["all", "[close]"]);
    expect(r.ends).toEqual([{ bytes: 3, refusal: undefined, clientGone: false }]);
  });

  test("an end that only a cut can tell", async () => {
    const r = setUp({ isCutAtEnd: true });
    const running = r.run();
    r.feed("half");
    r.finish();
    await running;
    expect(r.written).toEqual(["half", "[cut]"]);
    expect(r.ends).toMatchObject([{ refusal: { code: "upstream_truncated" } }]);
  });

  const early: readonly (readonly [name: string, before: boolean])[] = [
    ["before the relay is made", true],
    ["before the client asks for the body", false],
  ];
  test.each(early)("a stop %s is told when it runs", async (_name, before) => {
    const house = createStubHouse();
    const x = startExchange(house);
    const source = new ReadableStream<Uint8Array>({});
    const tap: RelayTap = {
      push() {},
      end: () => "complete" as const,
      broken: ({ code }) => encoder.encode(code),
    };
    const ends: RelayEnd[] = [];
    const totalAtMs = house.clock.mono() + totalMs;
    if (before) x.stop({ code: "shutting_down" });
    const relay = new Relay(x, source, tap, { ...usual, totalAtMs }, (end) => ends.push(end));
    if (!before) x.stop({ code: "shutting_down" });
    const written: string[] = [];
    await relay.run({
      write(bytes) {
        written.push(decoder.decode(bytes));
        return undefined;
      },
      close: () => void written.push("[close]"),
      cut: () => void written.push("[cut]"),
    });
    expect(written).toEqual(["shutting_down", "[close]"]);
    expect(ends).toMatchObject([{ refusal: { code: "shutting_down" } }]);
  });

  test("a source that breaks because the client left is the client's end", async () => {
    const abort = new AbortController();
    const r = setUp({ request: abort.signal });
    const running = r.run();
    r.feed("x");
    await sleep(0);
    abort.abort();
    r.fail();
    await running;
    expect(r.ends).toMatchObject([{ clientGone: true, refusal: undefined }]);
  });
});

describe("a comment in a quiet stream", () => {
  const comment = ": keep-alive\n\n";
  const keepaliveMs = 200;
  type Case = readonly [name: string, parts: readonly string[], expected: readonly string[]];
  const cases: readonly Case[] = [
    ["between events", ["data: a\n\n"], [comment, comment]],
    ["whose lines end as HTTP's", ["data: a\r\n\r\n"], [comment, comment]],
    ["not before the first byte", [], []],
    ["not within an event", ["data: a\n"], []],
    ["not within a line", ["data: a\n\ndata: b"], []],
    ["not after CR LF alone", ["data: a\r\n"], []],
  ];
  test.each(cases)("%s", async (_name, parts, expected) => {
    const r = setUp({ limits: { keepaliveMs } });
    const running = r.run();
    for (const part of parts) {
      r.feed(part);
      await sleep(0);
    }
    for (const ms of [100, 100, 100, 100]) await r.wait(ms);
    expect(r.written).toEqual([...parts, ...expected]);
    r.finish();
    await running;
  });

  test("does not put off the deadline of the provider", async () => {
    const r = setUp({ limits: { keepaliveMs } });
    const running = r.run();
    r.feed("data: a\n\n");
    await sleep(0);
    for (let i = 0; i < 10; i++) await r.wait(100);
    await running;
    expect(r.ends).toMatchObject([{ refusal: { code: "upstream_timeout" } }]);
  });

  test("is not for a client that reads nothing, nor without the setting, nor after the end", async () => {
    const slow = setUp({ limits: { keepaliveMs, writeStallMs: 900 } });
    slow.blockWrites();
    const running = slow.run();
    slow.feed("data: a\n\n");
    await sleep(0);
    for (let i = 0; i < 4; i++) await slow.wait(100);
    expect(slow.written).toEqual(["data: a\n\n"]);
    slow.unblock();
    slow.finish();
    await running;
    await slow.wait(1000);
    expect(slow.written).toEqual(["data: a\n\n", "[close]"]);
    const off = setUp();
    const other = off.run();
    off.feed("data: a\n\n");
    await sleep(0);
    await off.wait(900);
    expect(off.written).toEqual(["data: a\n\n"]);
    off.finish();
    await other;
  });
});
