import { describe, expect, test } from "bun:test";
import { type BodyLimits, readBody } from "../src/body.ts";
import { parseCall, withModel } from "../src/call.ts";
import type { CalledRoute } from "../src/contract/plugin.ts";
import { defineFactKeys } from "../src/kit/fact-keys.ts";
import {
  createStubHouse,
  type ExchangeOptions,
  lineDialect,
  startExchange,
} from "./harness/stubs.ts";
import { sleep } from "./harness/wait.ts";

const limits: BodyLimits = { bodyBytes: 100, bodyBytesInFlight: 250, bodyTimeoutMs: 1000 };
const route: CalledRoute = { surface: "chat", target: undefined };
const keys = defineFactKeys(lineDialect.factKeys);
const encoder = new TextEncoder();
const free = (): void => {};

/** A body that comes in chunks, with no length declared. */
function chunked(...sizes: readonly number[]): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      for (const size of sizes) controller.enqueue(new Uint8Array(size).fill(97));
      controller.close();
    },
  });
}

function exchangeOf(options: ExchangeOptions) {
  const house = createStubHouse();
  const x = startExchange(house, options);
  return { house, x };
}

describe("readBody", () => {
  type Case = readonly [
    name: string,
    body: BodyInit | undefined,
    headers: Record<string, string>,
    expected: number | string,
  ];
  const length = (n: number): Record<string, string> => ({ "content-length": String(n) });
  const cases: readonly Case[] = [
    ["declared, empty", "", length(0), 0],
    ["declared, at the limit", "x".repeat(100), length(100), 100],
    ["declared, one above", "x".repeat(101), length(101), "body_too_large"],
    ["declared far above, nothing sent", "", length(1e15), "body_too_large"],
    ["chunked, at the limit", chunked(60, 40), {}, 100],
    ["chunked, one above", chunked(60, 41), {}, "body_too_large"],
    ["chunked, one chunk far above", chunked(100_000), {}, "body_too_large"],
    ["no body", undefined, {}, 0],
    ["identity is plain", "x", { "content-encoding": "identity", ...length(1) }, 1],
    ["compressed", "x", { "content-encoding": "gzip", ...length(1) }, "unsupported_media_type"],
    ["unknown coding", "x", { "content-encoding": "x", ...length(1) }, "unsupported_media_type"],
  ];
  test.each(cases)("%s", async (_name, body, headers, expected) => {
    const { x } = exchangeOf({ headers, ...(body !== undefined && { body }) });
    const budget = { held: 0 };
    const read = await readBody(x, limits, budget, free);
    if ("code" in read) {
      expect(read.code).toBe(expected as never);
      expect(budget.held).toBe(0);
      return;
    }
    expect(read.bytes.byteLength).toBe(expected as number);
    // What is held is what is there, not what might have come.
    expect(budget.held).toBe(read.bytes.byteLength);
    read.hold.release();
    read.hold.release();
    expect(budget.held).toBe(0);
  });

  const inFlight: readonly (readonly [name: string, held: number, bytes: number, ok: boolean])[] = [
    ["fills the budget", 150, 100, true],
    ["one byte too many", 151, 100, false],
    ["small beside a full budget", 249, 1, true],
    ["full budget", 250, 1, false],
  ];
  test.each(inFlight)("bytes in flight: %s", async (_name, held, bytes, ok) => {
    const headers = { "content-length": String(bytes) };
    const { x } = exchangeOf({ body: "x".repeat(bytes), headers });
    const budget = { held };
    const read = await readBody(x, limits, budget, free);
    expect("bytes" in read).toBe(ok);
    if ("code" in read) expect(read).toEqual({ code: "overloaded", retryAfterSeconds: 1 });
    else read.hold.release();
    expect(budget.held).toBe(held);
  });

  test("a chunked body reserves the largest one until it is read", async () => {
    const budget = { held: 151 };
    const first = await readBody(exchangeOf({ body: chunked(1) }).x, limits, budget, free);
    expect(first).toMatchObject({ code: "overloaded" });
    budget.held = 150;
    const pending = new ReadableStream<Uint8Array>({});
    const { x, house } = exchangeOf({ body: pending });
    const reading = readBody(x, limits, budget, free);
    expect(budget.held).toBe(250);
    await sleep(0);
    house.clock.advance(1000);
    house.live.tick();
    expect(await reading).toMatchObject({ code: "body_timeout" });
    expect(budget.held).toBe(150);
  });

  const KiB = 1024;
  const growing: readonly (readonly [
    name: string,
    sizes: readonly number[],
    held: number,
    code: string,
  ])[] = [
    ["fits", [100 * KiB, 100 * KiB], 0, ""],
    ["fits beside others", [100 * KiB, 100 * KiB], 200 * KiB, ""],
    ["no room to grow", [100 * KiB, 100 * KiB], 201 * KiB, "overloaded"],
    ["no room to begin", [1], 500 * KiB, "overloaded"],
    ["at the largest", Array(5).fill(100 * KiB), 100 * KiB, ""],
    ["one above the largest", [...Array(5).fill(100 * KiB), 1], 100 * KiB, "body_too_large"],
  ];
  test.each(growing)(
    "a chunked body holds what it has grown to: %s",
    async (_name, sizes, held, code) => {
      const roomy = { bodyBytes: 500 * KiB, bodyBytesInFlight: 600 * KiB, bodyTimeoutMs: 1000 };
      const budget = { held };
      const freed: number[] = [];
      const read = await readBody(
        exchangeOf({ body: chunked(...sizes) }).x,
        roomy,
        budget,
        (bytes) => void freed.push(bytes.byteLength),
      );
      if ("code" in read) {
        expect([read.code, budget.held]).toEqual([code as typeof read.code, held]);
        return;
      }
      const total = sizes.reduce((sum, size) => sum + size, 0);
      expect([read.bytes.byteLength, budget.held - held]).toEqual([total, total]);
      expect(freed.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(total);
      read.hold.release();
      expect(budget.held).toBe(held);
    },
  );

  test("once sent, a long body holds as much as a short one, until it is released", async () => {
    const roomy = { bodyBytes: 500 * KiB, bodyBytesInFlight: 600 * KiB, bodyTimeoutMs: 1000 };
    for (const [size, kept] of [
      [128 * KiB, 128 * KiB],
      [128 * KiB + 1, 128 * KiB],
      [500 * KiB, 128 * KiB],
    ] as const) {
      const budget = { held: 0 };
      const read = await readBody(exchangeOf({ body: chunked(size) }).x, roomy, budget, free);
      if ("code" in read) throw new Error(read.code);
      expect(budget.held).toBe(size);
      read.hold.shrink();
      expect(budget.held).toBe(kept);
      read.hold.release();
      read.hold.shrink();
      expect(budget.held).toBe(0);
    }
  });

  test("a body that breaks off gives its budget back", async () => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.error(new Error("reset")),
    });
    const budget = { held: 0 };
    const read = await readBody(exchangeOf({ body }).x, limits, budget, free);
    expect(read).toMatchObject({ code: "bad_request" });
    expect(budget.held).toBe(0);
  });

  const stops = ["declared", "chunked"] as const;
  test.each(stops)("%s: a stop from outside ends the wait, with its reason", async (how) => {
    const headers = how === "declared" ? { "content-length": "10" } : {};
    const { x } = exchangeOf({ body: new ReadableStream<Uint8Array>({}), headers });
    const budget = { held: 0 };
    const reading = readBody(x, limits, budget, free);
    await sleep(0);
    x.stop({ code: "shutting_down" });
    expect(await reading).toMatchObject({ code: "shutting_down" });
    expect(budget.held).toBe(0);
  });

  test("its deadline is over once the body is there", async () => {
    const { x, house } = exchangeOf({ body: "x", headers: { "content-length": "1" } });
    await readBody(x, limits, { held: 0 }, free);
    house.clock.advance(5000);
    house.live.tick();
    expect(x.stopped).toBeUndefined();
  });
});

describe("parseCall", () => {
  test("estimates the input once, and needs the body no more", () => {
    const body = new TextEncoder().encode(`{"model":"m","x":"${"word ".repeat(100)}"}`);
    const parsed = parseCall(body, lineDialect, keys, route);
    if ("code" in parsed) throw new Error(parsed.code);
    const estimate = parsed.call.inputTokens();
    expect(estimate).toBe(Math.ceil(body.byteLength / 4));
    body.fill(0x80);
    expect(parsed.call.inputTokens()).toBe(estimate);
  });

  const cases: readonly (readonly [name: string, body: string, expected: unknown])[] = [
    [
      "facts and size",
      '{"model":"m","stream":true}',
      { model: "m", stream: true, maxTokens: undefined, bodyBytes: 27 },
    ],
    ["a model in escapes", '{"model":"\\u006d\\"x"}', { model: 'm"x' }],
    ["what is nested is not a fact", '{"x":{"model":"evil"},"model":"m"}', { model: "m" }],
    ["no model", "{}", "model is missing: name one"],
    ["model of another type", '{"model":{"a":1}}', "model is missing: name one"],
    ["two models", '{"model":"a","model":"b"}', "A key is given twice."],
    ["model in another case", '{"model":"a","Model":"b"}', "A key differs from a known one"],
    ["a key in escapes hides nothing", '{"model":"a","\\u006dodel":"b"}', "A key is given twice."],
    ["no JSON", "model=m", "The body is not a JSON object. (byte 0)"],
    ["empty", "", "The body is not a JSON object."],
    ["list", '[{"model":"m"}]', "The body is not a JSON object."],
    ["second object", '{"model":"m"}{"model":"n"}', "Something follows the JSON object."],
    ["not closed", '{"model":"m"', "is not closed"],
    ["byte order mark", '\ufeff{"model":"m"}', "byte order mark"],
  ];
  test.each(cases)("%s", (_name, body, expected) => {
    const parsed = parseCall(encoder.encode(body), lineDialect, keys, route);
    if (typeof expected === "string") {
      expect(parsed).toMatchObject({ code: "bad_request" });
      expect((parsed as { message: string }).message).toContain(expected);
    } else {
      expect(parsed).toMatchObject({ call: expected as object });
    }
  });

  test("invalid UTF-8", () => {
    const body = new Uint8Array([...encoder.encode('{"model":"'), 0xff, ...encoder.encode('"}')]);
    expect(parseCall(body, lineDialect, keys, route)).toMatchObject({
      code: "bad_request",
      message: expect.stringContaining("UTF-8"),
    });
  });
});

describe("withModel", () => {
  const cases: readonly (readonly [name: string, body: string, model: string, out: string])[] = [
    ["same name: same bytes", '{ "model" :\t"m" }', "m", '{ "model" :\t"m" }'],
    ["other name, nothing else", '{ "model" :\t"m", "x":1}', "n", '{ "model" :\t"n", "x":1}'],
    ["longer", '{"a":[1],"model":"m"}', "a-longer-name", '{"a":[1],"model":"a-longer-name"}'],
    ["shorter", '{"model":"long-name","z":null}', "s", '{"model":"s","z":null}'],
    ["quotes and umlauts", '{"model":"m"}', 'a"b\\ü', '{"model":"a\\"b\\\\ü"}'],
    ["after umlauts", '{"ü":"é🦊","model":"m"}', "n", '{"ü":"é🦊","model":"n"}'],
    ["a model in escapes", '{"model":"\\u006d"}', "n", '{"model":"n"}'],
  ];
  test.each(cases)("%s", (_name, body, model, out) => {
    const parsed = parseCall(encoder.encode(body), lineDialect, keys, route);
    if ("code" in parsed) throw new Error(parsed.message);
    expect(new TextDecoder().decode(withModel(parsed, model))).toBe(out);
  });
});
