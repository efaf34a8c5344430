import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import {
  classOf,
  errorClass,
  passError,
  readUpstreamError,
  toRefusal,
} from "../src/upstream-error.ts";
import { activeProvider, createStubHouse, credential, startExchange } from "./harness/stubs.ts";

function answerOf(status: number, body: BodyInit | null, headers: Record<string, string> = {}) {
  let cancelled = 0;
  const cancel = (): void => {
    cancelled += 1;
  };
  return {
    answer: { response: new Response(body, { status, headers }), cancel, totalAtMs: 0 },
    cancelled: () => cancelled,
  };
}

describe("errorClass", () => {
  const cases: readonly (readonly [status: number, expected: string])[] = [
    [400, "final"],
    [401, "credential"],
    [403, "credential"],
    [404, "final"],
    [413, "final"],
    [422, "final"],
    [429, "retry"],
    [499, "final"],
    [500, "retry"],
    [529, "retry"],
  ];
  test.each(cases)("%d is %s", (status, expected) => {
    expect(errorClass(status)).toBe(expected as never);
  });
});

describe("classOf", () => {
  const headers = new Headers();
  const { kind } = activeProvider({
    kind: { refusesCredential: (status, body) => status === 400 && body === "key" },
  });
  test.each([
    [400, "key", "credential"],
    [400, "other", "final"],
    [400, undefined, "final"],
    [429, "key", "retry"],
    [401, "other", "credential"],
  ])("%d with %p is %s", (status, body, expected) => {
    const error = { status, headers, body };
    expect(classOf(error, kind)).toBe(expected as never);
    const isRefused =
      toRefusal(error, classOf(error, kind))?.code === "upstream_refused_credential";
    expect(isRefused).toBe(expected === "credential");
    expect(classOf(error, activeProvider().kind)).toBe(errorClass(status));
  });
});

describe("readUpstreamError", () => {
  const big = (bytes: number): string => `{"a":"${"x".repeat(bytes - 8)}"}`;
  const gzip = { "content-encoding": "gzip" };
  type Case = readonly [
    name: string,
    body: BodyInit | null,
    headers: Record<string, string>,
    kept: boolean,
  ];
  const cases: readonly Case[] = [
    ["JSON object", '{"error":{"message":"no"}}', {}, true],
    ["JSON list", "[1]", {}, true],
    ["JSON string", '"no"', {}, false],
    ["null", "null", {}, false],
    ["HTML", "<html>", {}, false],
    ["empty", "", {}, false],
    ["no body", null, {}, false],
    ["at the limit", big(65_536), {}, true],
    ["one byte above", big(65_537), {}, false],
    ["invalid UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), {}, false],
    ["our credential in it", '{"error":"bad key secret-of-one"}', {}, false],
    ["compressed", gzipSync('{"error":"no"}'), gzip, true],
    ["compressed, our credential in it", gzipSync('{"error":"secret-of-one"}'), gzip, false],
    ["a bomb", gzipSync(Buffer.alloc(10_000_000, 0x20)), gzip, false],
    ["not what its coding says", "{}", gzip, false],
    ["unknown coding", "{}", { "content-encoding": "x-rot13" }, false],
    ["our credential in JSON escapes", '{"error":"\\u0073ecret-of-one"}', {}, false],
  ];
  test.each(cases)("%s", async (_name, body, headers, kept) => {
    const { answer, cancelled } = answerOf(400, body, headers);
    const error = await readUpstreamError(answer, credential("one").secret);
    expect(error.status).toBe(400);
    expect(error.body !== undefined).toBe(kept);
    expect(cancelled()).toBe(1);
  });
});

test("a body that does not come is not waited for", async () => {
  let fail: (error: Error) => void = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"error":'));
      fail = (error) => controller.error(error);
    },
  });
  const response = new Response(body, { status: 500 });
  const cancel = () => fail(new Error("aborted"));
  const error = await readUpstreamError({ response, cancel, totalAtMs: 0 }, undefined, 1);
  expect(error).toMatchObject({ status: 500, body: undefined });
});

describe("toRefusal", () => {
  type Case = readonly [status: number, body: string | undefined, code: string | undefined];
  const cases: readonly Case[] = [
    [400, "{}", undefined],
    [429, "{}", undefined],
    [500, "{}", undefined],
    [400, undefined, "upstream_bad_answer"],
    [500, undefined, "upstream_bad_answer"],
    [429, undefined, "all_skipped"],
    [401, "{}", "upstream_refused_credential"],
    [403, "{}", "upstream_refused_credential"],
    [401, undefined, "upstream_refused_credential"],
  ];
  test.each(cases)("%d with %p is %p", (status, body, code) => {
    expect(toRefusal({ status, headers: new Headers(), body })?.code).toBe(code as never);
  });

  test("a refused credential is not worth a retry", () => {
    const refusal = toRefusal({ status: 401, headers: new Headers(), body: undefined });
    expect(refusal?.headers).toEqual({ "x-should-retry": "false" });
  });
});

describe("passError", () => {
  test("its words, its status and what clients act on; nothing else", async () => {
    const x = startExchange(createStubHouse());
    const headers = new Headers({ "retry-after": "7", server: "secret", "content-type": "text/x" });
    const response = await passError(x, { status: 429, headers, body: '{"e":1}' });
    expect(response.status).toBe(429);
    expect(await response.text()).toBe('{"e":1}');
    expect(Object.fromEntries(response.headers)).toEqual({
      "cache-control": "no-store",
      "content-type": "application/json",
      "retry-after": "7",
      "x-request-id": x.id,
    });
  });
});
