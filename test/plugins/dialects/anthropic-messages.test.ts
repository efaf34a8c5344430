import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import Anthropic from "@anthropic-ai/sdk";
import { dialect } from "../../../plugins/dialects/anthropic-messages/index.ts";
import type { FactValue, Problem } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";
import { expectStream, rejection, type StreamCase, withServer } from "./streams.ts";

function event(data: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

const first = event({
  type: "message_start",
  message: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "m",
    content: [],
    stop_reason: null,
    usage: {
      input_tokens: 10,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 3,
      output_tokens: 1,
    },
  },
});
const block = event({
  type: "content_block_start",
  index: 0,
  content_block: { type: "text", text: "" },
});
const text = (said: string): string =>
  event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: said } });
const delta = event({
  type: "message_delta",
  delta: { stop_reason: "end_turn", stop_sequence: null },
  usage: { output_tokens: 9, output_tokens_details: { thinking_tokens: 4 } },
});
const stop = event({ type: "message_stop" });
const atStart: Usage = { inputTokens: 18, outputTokens: 1, cachedTokens: 5, reasoningTokens: 0 };
const usage: Usage = { ...atStart, outputTokens: 9, reasoningTokens: 4 };

describe("readStream", () => {
  const tool = event({
    type: "content_block_start",
    content_block: { type: "tool_use", input: { usage: { output_tokens: 99 }, error: {} } },
  });
  const named = event({ type: "error", error: { type: "overloaded_error", message: "no" } });
  const cases: readonly StreamCase[] = [
    ["nothing", "", "truncated"],
    ["plain", first + block + text("zażółć 🦊") + delta + stop, "complete", usage],
    ["BOM", `\ufeff${first}${delta}${stop}`, "complete", usage],
    ["pings", first + event({ type: "ping" }) + delta + stop, "complete", usage],
    ["comments", `: a\n\n${first}: b\n${delta}: c\n${stop}`, "complete", usage],
    ["no spaces", (first + delta + stop).replaceAll(": ", ":"), "complete", usage],
    ["padded JSON", first + delta + stop.replace('"}', '"    }'), "complete", usage],
    [
      "data before the name",
      `${first}data: {"type": "message_stop"}\nevent: message_stop\n\n`,
      "complete",
      atStart,
    ],
    ["without names", (first + delta + stop).replace(/event: .*\n/g, ""), "complete", usage],
    [
      "several data lines",
      first + delta.replace('"usage"', '\ndata: "usage"') + stop,
      "complete",
      usage,
    ],
    ["no message_stop", first + text("hi") + delta, "truncated", usage],
    ["no delta", first + text("hi"), "truncated", atStart],
    ["message_stop without its end", first + stop.slice(0, -1), "truncated", atStart],
    ["message_stop without data", `${first}event: message_stop\n\n`, "truncated", atStart],
    ["message_stop in text", first + text(stop), "truncated", atStart],
    ["half an event", first + text("hi").slice(0, -20), "truncated", atStart],
    ["usage in text", text('"usage":{"output_tokens":7}') + stop, "complete"],
    ["usage in a tool's input", first + tool + delta + stop, "complete", usage],
    ["usage: null", first.replace(/"usage":\{.*?\}/, '"usage":null') + stop, "complete"],
    [
      "input in the delta alone",
      first.replace(/"usage":\{.*?\}/, '"usage":{"input_tokens":0,"output_tokens":0}') +
        'data: {"type":"message_delta","usage":{"input_tokens":18,"output_tokens":2}}\n\n' +
        stop,
      "complete",
      { inputTokens: 18, outputTokens: 2, cachedTokens: 0, reasoningTokens: 0 },
    ],
    [
      "the whole usage again",
      first +
        delta.replace('"usage":{', '"usage":{"input_tokens":10,"cache_read_input_tokens":5,') +
        stop,
      "complete",
      usage,
    ],
    ["an error", first + named, "error", atStart],
    ["an error and a stop", first + named + stop, "error", atStart],
    ["an error without its name", named.replace(/event: .*\n/, ""), "error"],
    ["an error without data", "event: error\n\n", "error"],
    ["half an error", first + named.slice(0, -1), "truncated", atStart],
    ["no JSON", `data: {"usage":oops\n\n${stop}`, "complete"],
  ];
  for (const stream of cases) test(stream[0], () => expectStream(dialect, stream));

  test("an event too long to be read makes the usage unknown", () => {
    const reader = dialect.readStream();
    reader.push(Buffer.from(`${first}data: `));
    for (let i = 0; i < 20; i++) reader.push(new Uint8Array(65_536).fill(0x61));
    reader.push(Buffer.from(`\n\n${delta}${stop}`));
    expect(reader.usage).toBeUndefined();
    expect(reader.end()).toBe("complete");
  });
});

describe("readUsage", () => {
  const reported =
    '{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":9}';
  const expected: Usage = { ...usage, reasoningTokens: 0 };
  const nothing: Usage = { inputTokens: 0, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 };
  const cases: readonly (readonly [name: string, reply: string, usage: Usage | undefined])[] = [
    ["at the end", `{"type":"message","content":[],"usage":${reported}}`, expected],
    ["at the start", `{"usage":${reported},"content":["${"x".repeat(100_000)}"]}`, expected],
    ["in a tool's input", `{"usage":${reported},"content":[{"input":{"usage":{}}}]}`, expected],
    ["in a tool's input alone", `{"content":[{"input":{"usage":${reported}}}]}`, undefined],
    ["without counts", '{"usage":{}}', undefined],
    ["only counted", '{"input_tokens":2095}', nothing],
    ["only counted, with more", '{"input_tokens":7,"context_management":{"a":9}}', nothing],
    ["counted deeper", '{"context_management":{"input_tokens":7}}', undefined],
    ["counted as a text", '{"input_tokens":"7"}', undefined],
    ["none", "{}", undefined],
  ];
  test.each(cases)("%s", (_name, reply, wanted) => {
    expect(dialect.readUsage(Buffer.from(reply))).toEqual(wanted);
  });
});

describe("readCall", () => {
  const good = { model: "claude", stream: false, maxTokens: 5, bodyBytes: 7 };
  const cases: readonly (readonly [facts: Record<string, FactValue>, expected: object | RegExp])[] =
    [
      [{ model: "claude", max_tokens: 5 }, good],
      [
        { model: "claude", max_tokens: 5, stream: true },
        { ...good, stream: true },
      ],
      [
        { model: "claude", max_tokens: 0 },
        { ...good, maxTokens: 0 },
      ],
      [{ model: "claude" }, { ...good, maxTokens: undefined }],
      [{ max_tokens: 5 }, /`model` must name a model/],
      [{ model: "a\0" }, /not printable/],
      [{ model: "claude", stream: "yes" }, /`stream` must be true or false/],
      [{ model: "claude", max_tokens: "5" }, /`max_tokens` must be a whole number/],
      [{ model: "claude", max_tokens: -5 }, /`max_tokens` must be a whole number/],
      [{ model: "claude", max_tokens: "nested" }, /`max_tokens` must be a whole number/],
    ];
  test.each(cases)("%j", (facts, expected) => {
    const call = dialect.readCall(
      (key) => facts[key],
      7,
      {
        surface: "messages",
        target: undefined,
      },
      () => undefined,
    );
    if (expected instanceof RegExp) expect(call).toMatch(expected);
    else expect(call).toEqual(expected as typeof call);
  });
});

describe("readCall of a count", () => {
  const good = { model: "claude", stream: false, maxTokens: 0, bodyBytes: 7 };
  const cases: readonly (readonly [facts: Record<string, FactValue>, expected: object | RegExp])[] =
    [
      [{ model: "claude" }, good],
      // The provider has its own word on what does not belong there.
      [{ model: "claude", max_tokens: 5, stream: true }, good],
      [{}, /`model` must name a model/],
    ];
  test.each(cases)("%j", (facts, expected) => {
    const route = { surface: "count_tokens" as const, target: undefined };
    const call = dialect.readCall(
      (key) => facts[key],
      7,
      route,
      () => undefined,
    );
    if (expected instanceof RegExp) expect(call).toMatch(expected);
    else expect(call).toEqual(expected as typeof call);
  });
});

describe("recognises", () => {
  const cases: readonly (readonly [headers: Record<string, string>, expected: boolean])[] = [
    [{}, false],
    [{ authorization: "Bearer x" }, false],
    [{ authorization: "Bearer x", "x-api-key": "x" }, false],
    [{ "x-api-key": "x" }, true],
    [{ authorization: "Bearer x", "anthropic-version": "2026-10-21" }, true],
  ];
  test.each(cases)("%j", (headers, expected) => {
    expect(dialect.recognises((name) => headers[name] ?? null)).toBe(expected);
  });
});

const problem: Problem = {
  code: "bad_request",
  status: 400,
  message: "Too much \u2028 \n at once.",
  requestId: "req_1",
};

function client(origin: string): Anthropic {
  return new Anthropic({ apiKey: "k", baseURL: origin, maxRetries: 0, logLevel: "off" });
}

describe("error", () => {
  const cases: readonly (readonly [
    status: number,
    code: Problem["code"],
    error: unknown,
    type: string,
  ])[] = [
    [400, "bad_request", Anthropic.BadRequestError, "invalid_request_error"],
    [401, "unauthenticated", Anthropic.AuthenticationError, "authentication_error"],
    [403, "not_allowed", Anthropic.PermissionDeniedError, "permission_error"],
    [404, "not_found", Anthropic.NotFoundError, "not_found_error"],
    [405, "method_not_allowed", Anthropic.APIError, "invalid_request_error"],
    [413, "body_too_large", Anthropic.APIError, "request_too_large"],
    [429, "all_skipped", Anthropic.RateLimitError, "rate_limit_error"],
    [500, "internal", Anthropic.InternalServerError, "api_error"],
    [502, "upstream_unreachable", Anthropic.InternalServerError, "api_error"],
    [503, "overloaded", Anthropic.InternalServerError, "overloaded_error"],
    [503, "shutting_down", Anthropic.InternalServerError, "overloaded_error"],
    [503, "policy_fault", Anthropic.InternalServerError, "api_error"],
    [504, "upstream_timeout", Anthropic.InternalServerError, "timeout_error"],
  ];
  test.each(cases)(
    "the official SDK raises its own class for %d %s",
    async (status, code, error, type) => {
      const body = dialect.error({ ...problem, status, code });
      const { message } = problem;
      expect(JSON.parse(body)).toEqual({
        type: "error",
        error: { type, message },
        request_id: "req_1",
      });
      await withServer(
        () => new Response(body, { status, headers: { "content-type": "application/json" } }),
        async (origin) => {
          const raised = await rejection(client(origin).models.list());
          expect(raised).toBeInstanceOf(error as typeof Anthropic.APIError);
          expect(raised).toMatchObject({ status, type, apiMessage: message });
        },
      );
    },
  );
});

describe("fail", () => {
  const cases: readonly (readonly [name: string, before: string, own: boolean])[] = [
    ["at the start", "", true],
    ["after an event", first + block + text("hi"), true],
    ["after half a name", `${first}event: message_st`, true],
    ["after a name", `${first}event: message_stop\n`, true],
    ["after a CR", `${first}: x\r`, true],
    ["after a message_stop without its line's end", first + stop.slice(0, -2), false],
    ["after half an event", (first + block + text("hi")).slice(0, -30), false],
    ["after a line", (first + block + text("hi")).slice(0, -1), false],
    ["after a message_stop without its end", first + delta + stop.slice(0, -1), false],
  ];
  const serve = (body: string) => (): Response =>
    new Response(body, { headers: { "content-type": "text/event-stream" } });

  test.each(cases)("the official SDK raises %s", async (_name, before, own) => {
    const body = before + dialect.readStream().fail(problem);
    await withServer(serve(body), async (origin) => {
      const parameters = { model: "m", max_tokens: 5, messages: [] };
      const stream = await client(origin).messages.create({ ...parameters, stream: true });
      const seen: string[] = [];
      const read = async (): Promise<void> => {
        for await (const { type } of stream) seen.push(type);
      };
      const raised = await rejection(read());
      expect(raised).toBeInstanceOf(Anthropic.APIError);
      expect((raised as Error).message).toContain("at once.");
      expect(seen).not.toContain("message_stop");
      if (own) {
        const type = "invalid_request_error";
        expect(raised).toMatchObject({ type, apiMessage: problem.message });
      }
      const helper = client(origin).messages.stream(parameters);
      expect(await rejection(helper.finalMessage())).toBeInstanceOf(Anthropic.APIError);
    });
    const reader = dialect.readStream();
    reader.push(Buffer.from(body));
    expect(reader.end()).toBe("error");
  });

  test("nothing follows a message's end", () => {
    const reader = dialect.readStream();
    reader.push(Buffer.from(first + delta + stop));
    expect(reader.fail(problem)).toBe("");
  });
});

describe("listModels", () => {
  const models = [
    { id: "a", provider: "claude", created: 1_764_028_800 },
    { id: "org/b", provider: "other", created: 0 },
  ];
  const expected = [
    { type: "model", id: "a", display_name: "a", created_at: "2025-11-25T00:00:00Z" },
    { type: "model", id: "org/b", display_name: "org/b", created_at: "1970-01-01T00:00:00Z" },
  ];
  const serve = (body: string) => (): Response =>
    new Response(body, { headers: { "content-type": "application/json" } });

  test("the official SDK reads the list and one model", async () => {
    await withServer(serve(dialect.listModels(models)), async (origin) => {
      const list = await client(origin).models.list();
      expect(list).toMatchObject({ has_more: false, first_id: "a", last_id: "org/b" });
      expect(await Array.fromAsync(list)).toEqual(expected as unknown as typeof list.data);
    });
    await withServer(serve(dialect.oneModel(models[1] as (typeof models)[1])), async (origin) => {
      expect(await client(origin).models.retrieve("org/b")).toMatchObject(expected[1] as object);
    });
  });

  test("an empty list", () => {
    const empty = { data: [], has_more: false, first_id: null, last_id: null };
    expect(JSON.parse(dialect.listModels([]))).toEqual(empty);
  });
});
