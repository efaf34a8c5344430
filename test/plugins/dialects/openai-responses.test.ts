import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import OpenAI from "openai";
import { Stream } from "openai/streaming";
import OpenAI7 from "openai-7";
import { Stream as Stream7 } from "openai-7/streaming";
import { dialect } from "../../../plugins/dialects/openai-responses/index.ts";
import type { FactValue, Problem } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";
import { defineFactKeys } from "../../../src/kit/fact-keys.ts";
import { scanFacts } from "../../../src/kit/json-facts.ts";
import { expectStream, rejection, type StreamCase, withServer } from "./streams.ts";

const usage: Usage = { inputTokens: 20, outputTokens: 9, cachedTokens: 5, reasoningTokens: 3 };
const reported = {
  input_tokens: 20,
  input_tokens_details: { cached_tokens: 5 },
  output_tokens: 9,
  output_tokens_details: { reasoning_tokens: 3 },
  total_tokens: 29,
};

type Event = { readonly type: string; readonly [key: string]: unknown };

function event(data: Event): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

const head = { id: "resp_1", object: "response", created_at: 1, model: "m", error: null };
const item = { id: "msg_1", type: "message", role: "assistant" };
const place = { item_id: "msg_1", output_index: 0, content_index: 0 };
const part = { type: "output_text", annotations: [], logprobs: [], text: "" };
const created = event({
  type: "response.created",
  sequence_number: 0,
  response: { ...head, status: "in_progress", output: [], usage: null, tools: [] },
});
const added =
  event({
    type: "response.output_item.added",
    sequence_number: 1,
    output_index: 0,
    item: { ...item, status: "in_progress", content: [] },
  }) + event({ type: "response.content_part.added", sequence_number: 2, ...place, part });
const delta = (text: string, sequence_number = 3): string =>
  event({ type: "response.output_text.delta", sequence_number, ...place, delta: text });
const terminal = (status: string, more: object = {}): string =>
  event({
    type: `response.${status}`,
    sequence_number: 4,
    response: { ...head, status, output: [], usage: reported, metadata: {}, ...more },
  });
const completed = terminal("completed");
const start = created + added;

describe("readStream", () => {
  const failure = { code: "server_error", message: "no" };
  const error = event({ type: "error", sequence_number: 4, ...failure, param: null });
  const cases: readonly StreamCase[] = [
    ["nothing", "", "truncated"],
    ["plain", start + delta("zażółć 🦊") + completed, "complete", usage],
    ["cut by its limit", start + terminal("incomplete"), "complete", usage],
    ["failed", start + terminal("failed", { error: failure }), "error", usage],
    ["failed without usage", start + terminal("failed", { usage: null }), "error"],
    ["without usage", start + terminal("completed", { usage: null }), "complete"],
    ["BOM", `\ufeff${completed}`, "complete", usage],
    ["comments", `: a\n\n${start}: b\n${completed}: c\n\n`, "complete", usage],
    ["no spaces", (start + completed).replaceAll(": ", ":"), "complete", usage],
    ["without names", (start + completed).replace(/event: .*\n/g, ""), "complete", usage],
    ["padded JSON", completed.replaceAll('":"', '" : "'), "complete", usage],
    [
      "several data lines",
      completed.replace('"response"', '\ndata: "response"'),
      "complete",
      usage,
    ],
    [
      "type after the response",
      completed.replace(/("type":.*?),("response":.*)\}\n/, "$2,$1}\n"),
      "complete",
      usage,
    ],
    ["[DONE] behind it", `${start}${completed}data: [DONE]\n\n`, "complete", usage],
    ["[DONE] instead of it", `${start}data: [DONE]\n\n`, "truncated"],
    ["no terminal event", start + delta("hi"), "truncated"],
    ["a terminal event without its blank line", start + completed.slice(0, -1), "truncated"],
    ["a terminal name without data", `${start}event: response.completed\n\n`, "truncated"],
    ["half an event", start + delta("hi").slice(0, -20), "truncated"],
    ["a terminal event in text", start + delta(completed), "truncated"],
    [
      "a terminal type deeper",
      start + event({ type: "response.x", item: { type: "response.completed" } }),
      "truncated",
    ],
    [
      "usage in text",
      start + delta('"usage":{"input_tokens":1}') + terminal("completed", { usage: null }),
      "complete",
    ],
    [
      "usage deeper",
      start + terminal("completed", { usage: null, output: [{ usage: reported }] }),
      "complete",
    ],
    ["usage of a wrong type", terminal("completed", { usage: [1] }), "complete"],
    ["an error", start + error, "error"],
    ["an error without its name", start + error.replace(/event: .*\n/, ""), "error"],
    ["an error without its type", `${start}data: {"error":{"message":"no"}}\n\n`, "error"],
    ["an error without data", `${start}event: error\n\n`, "error"],
    ["an error and a terminal event", start + error + completed, "error", usage],
    ["half an error", start + error.slice(0, -1), "truncated"],
    ["error: null", `data: {"type":"x","error":null}\n\n${completed}`, "complete", usage],
    ["error in text", start + delta('"error":{"type":"error"}') + completed, "complete", usage],
    ["no JSON", `data: {"type":"response.completed",oops\n\n${start}`, "truncated"],
  ];
  for (const stream of cases) test(stream[0], () => expectStream(dialect, stream));

  const image = "A".repeat(1_500_000);
  const long = { output: [{ id: "ig_1", type: "image_generation_call", result: image }] };
  type Long = readonly [name: string, text: string, end: string, usage: Usage | undefined];
  test.each<Long>([
    ["completed", terminal("completed", { ...long, usage: reported }), "complete", usage],
    ["incomplete", terminal("incomplete", { ...long, usage: reported }), "complete", usage],
    ["failed", terminal("failed", { ...long, usage: reported }), "error", usage],
    ["without usage", terminal("completed", { ...long, usage: null }), "complete", undefined],
    [
      "with another usage",
      terminal("completed", { ...long, tools: [{ usage: { type: "x" } }] }),
      "complete",
      usage,
    ],
    [
      "told by its name",
      terminal("completed", { ...long, usage: reported }).replace(
        '"type":"response.completed",',
        "",
      ),
      "complete",
      usage,
    ],
    [
      "told by its type",
      terminal("completed", { ...long, usage: reported }).replace(/^event: .*\n/, ""),
      "complete",
      usage,
    ],
    [
      "not terminal",
      event({ type: "response.output_item.done", sequence_number: 9, item: long }),
      "truncated",
      undefined,
    ],
  ])("an event longer than is kept: %s", (_name, text, end, wanted) => {
    const bytes = Buffer.from(start + text);
    const reader = dialect.readStream();
    for (let at = 0; at < bytes.length; at += 65_536) reader.push(bytes.subarray(at, at + 65_536));
    expect(reader.end()).toBe(end as never);
    expect(reader.usage).toEqual(wanted);
  });
});

describe("readUsage", () => {
  const whole = { ...head, status: "completed", output: [{ type: "message" }], usage: reported };
  const cases: readonly (readonly [name: string, reply: unknown, usage: Usage | undefined])[] = [
    ["completed", whole, usage],
    ["incomplete", { ...whole, status: "incomplete", incomplete_details: { reason: "x" } }, usage],
    ["failed", { ...whole, status: "failed", error: { code: "server_error" } }, usage],
    ["failed at once", { ...whole, status: "failed", usage: null }, undefined],
    ["followed by more", { ...whole, user: null, metadata: { a: "b" } }, usage],
    ["told first", { usage: reported, output: ["x".repeat(100_000)] }, usage],
    [
      "without details",
      { usage: { input_tokens: 2, output_tokens: 1 } },
      { inputTokens: 2, outputTokens: 1, cachedTokens: 0, reasoningTokens: 0 },
    ],
    ["deeper only", { output: [{ usage: reported }] }, undefined],
    ["of another API", { usage: { prompt_tokens: 1, completion_tokens: 2 } }, undefined],
    [
      "odd counts",
      { usage: { input_tokens: -1, output_tokens: 1.5 } },
      { inputTokens: 0, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 },
    ],
    ["none", {}, undefined],
  ];
  test.each(cases)("%s", (_name, reply, expected) => {
    expect(dialect.readUsage(Buffer.from(JSON.stringify(reply)))).toEqual(expected);
  });
});

describe("readCall", () => {
  const good = { model: "gpt", stream: false, maxTokens: undefined, bodyBytes: 7 };
  const list = Symbol("list");
  type Case = readonly [name: string, facts: Record<string, FactValue>, expected: object | RegExp];
  const cases: readonly Case[] = [
    ["a text", { model: "gpt", input: "hi" }, good],
    ["a list", { model: "gpt", input: list, tools: list, store: false }, good],
    ["a stream", { model: "gpt", stream: true }, { ...good, stream: true }],
    ["a limit", { model: "gpt", max_output_tokens: 64 }, { ...good, maxTokens: 64 }],
    ["nulls", { model: "gpt", max_output_tokens: null, stream: null, background: null }, good],
    ["a conversation", { model: "gpt", previous_response_id: "resp_1" }, good],
    ["not in the background", { model: "gpt", background: false }, good],
    ["another API's limit", { model: "gpt", max_tokens: 7 }, good],
    ["no model", { input: "hi" }, /`model` must name a model, also beside `prompt`/],
    ["a prompt's model", { prompt: list }, /tells which provider to ask/],
    ["no model for a conversation", { previous_response_id: "r" }, /also beside .*`previous_resp/],
    ["an empty model", { model: "" }, /`model` must name a model as a non-empty string/],
    ["a model that is a list", { model: list }, /`model` must name a model/],
    ["an odd model", { model: "a\nb" }, /not printable/],
    ["an odd stream", { model: "gpt", stream: "true" }, /`stream` must be true or false/],
    ["no room", { model: "gpt", max_output_tokens: 0 }, /`max_output_tokens` must be a whole/],
    [
      "in the background",
      { model: "gpt", background: true },
      /`background` must be false.*Use `stream`/,
    ],
    ["in the background, quoted", { model: "gpt", background: "true" }, /`background` must be/],
    [
      "in the background, streamed",
      { model: "gpt", stream: true, background: true },
      /`background`/,
    ],
  ];
  test.each(cases)("%s", (_name, facts, expected) => {
    const route = { surface: "responses" as const, target: undefined };
    const call = dialect.readCall(
      (key) => facts[key],
      7,
      route,
      () => undefined,
    );
    if (expected instanceof RegExp) expect(call).toMatch(expected);
    else expect(call).toEqual(expected as typeof call);
  });

  const keys = defineFactKeys(dialect.factKeys, dialect.textKeys);
  test.each([
    ['{"model":"m","input":"a","input":"b"}', "duplicate_key"],
    ['{"model":"m","Background":true}', "case_variant_key"],
    ['{"model":"m","background":false,"back\\u0067round":true}', "duplicate_key"],
    ['{"model":"m","previous_response_id":"a\\u0000"}', "ambiguous_value"],
    ['{"model":"m","input":"a\\u0000","instructions":"\\ud800"}', undefined],
  ])("facts of %s", (body, problem) => {
    const scan = scanFacts(Buffer.from(body), keys);
    expect(scan.ok ? undefined : scan.problem).toBe(problem as never);
  });
});

test("stored responses are not served, and it says why", () => {
  for (const path of ["resp_1", "resp_1/cancel", "resp_1/input_items", "compact"]) {
    expect(dialect.unserved?.(`/v1/responses/${path}`)).toContain("call the provider itself");
  }
  expect(dialect.unserved?.("/v1/responses")).toBeUndefined();
  expect(dialect.unserved?.("/v1/files")).toBeUndefined();
});

const problem: Problem = {
  code: "upstream_truncated",
  status: 502,
  message: "Broke \u2028 \n off.",
  requestId: "req_1",
};

function clients(origin: string): readonly (readonly [string, OpenAI, typeof OpenAI.APIError])[] {
  const options = { apiKey: "k", baseURL: `${origin}/v1`, maxRetries: 0, logLevel: "off" as const };
  return [
    ["6", new OpenAI(options), OpenAI.APIError],
    ["7", new OpenAI7(options) as unknown as OpenAI, OpenAI7.APIError as never],
  ];
}

const stream = (body: string) => (): Response =>
  new Response(body, { headers: { "content-type": "text/event-stream" } });

/** The last words after a stream that ended too early, cut anywhere. */
function failAfter(before: string): { readonly words: string; readonly event: Event } {
  const reader = dialect.readStream();
  const bytes = Buffer.from(before);
  for (let at = 0; at < bytes.length; at += 7) reader.push(bytes.subarray(at, at + 7));
  const words = reader.fail(problem) ?? "";
  return { words, event: JSON.parse(/data: ([^\n]*)\n\n$/.exec(words)?.[1] ?? "{}") };
}

describe("fail", () => {
  type Case = readonly [name: string, before: string, number: number, own: boolean];
  const big = event({ type: "response.x", sequence_number: 41, b64: "A".repeat(1_200_000) });
  const tool = created.replace('"tools":[]', '"tools":[{"examples":[{"sequence_number":99}]}]');
  const cases: readonly Case[] = [
    ["at the start", "", 0, true],
    ["after its first event", created, 1, true],
    ["after a tool with a number of its own", tool, 1, true],
    ["after several events", start + delta("hi", 3) + delta("ho", 4), 5, true],
    ["after a comment", `${start}: ping\n\n`, 3, true],
    ["after half a comment", `${start}: pi`, 3, true],
    ["after a name", `${start}event: response.completed\n`, 3, true],
    ["after half a name", `${start}event: response.comp`, 3, true],
    ["after a CR", `${start}: x\r`, 3, true],
    ["after half an event", start + delta("hi").slice(0, -30), 3, false],
    ["after an event without its end", start + delta("hi", 7).slice(0, -1), 8, true],
    ["after a terminal event without its end", start + completed.slice(0, -1), 3, false],
    ["after a terminal event without its line", start + completed.slice(0, -2), 3, false],
    ["after an event without a number", 'data: {"type":"x"}\n\n', 0, true],
    ["after an event longer than is kept", start + big, 42, true],
    ["after half a terminal event", start + completed.slice(0, -9), 3, false],
    ["in an event longer than is kept", start + big.slice(0, -40), 3, false],
  ];
  test.each(cases)("the official SDKs raise %s", async (_name, before, number, own) => {
    const { words, event: last } = failAfter(before);
    expect(last).toMatchObject({
      type: "response.failed",
      sequence_number: number,
      // What Codex reads.
      response: {
        id: "req_1",
        status: "failed",
        error: { code: "upstream_truncated", message: problem.message },
      },
      error: { type: "server_error", param: null, code: "upstream_truncated" },
    });
    const body = before + words;
    await withServer(stream(body), async (origin) => {
      for (const [, client, ofSdk] of clients(origin)) {
        const request = { model: "m", input: "hi" };
        const seen: string[] = [];
        const read = async (): Promise<void> => {
          const events = await client.responses.create({ ...request, stream: true });
          for await (const { type } of events) seen.push(type);
        };
        const raised = await rejection(read());
        expect(seen).not.toContain("response.completed");
        if (own) expect(raised).toBeInstanceOf(ofSdk);
        if (own) expect(raised).toMatchObject({ code: problem.code, message: problem.message });
        else expect(raised).toBeInstanceOf(Error);
        await rejection(client.responses.stream(request).finalResponse());
      }
    });
    const reader = dialect.readStream();
    reader.push(Buffer.from(body));
    // As another proxy in front would read it.
    if (own) expect(reader.end()).toBe("error");
    else expect(reader.end()).not.toBe("complete");
  });

  test.each([
    ["6", Stream],
    ["7", Stream7],
  ])("version %s of the official SDK raises at any cut", async (_name, sdk) => {
    const whole = start + delta("hi") + completed;
    for (let at = 0; at < whole.length; at++) {
      const before = whole.slice(0, at);
      const body = new Response(before + failAfter(before).words);
      const seen: unknown[] = [];
      const read = async (): Promise<void> => {
        const quiet = { logLevel: "off" } as never;
        const events = sdk.fromSSEResponse(body, new AbortController(), quiet);
        for await (const event of events) seen.push((event as Event).type);
      };
      expect(await rejection(read())).toBeInstanceOf(Error);
      expect(seen).not.toContain("response.completed");
    }
  });

  test("nothing follows a terminal event", () => {
    expect(failAfter(start + completed).words).toBe("");
    expect(failAfter(`${start}${terminal("incomplete")}: ping\n\n`).words).toBe("");
  });

  test("what Codex would read of it at any cut: never a completed response", () => {
    const whole = start + delta("hi") + completed;
    for (let at = 0; at < whole.length; at++) {
      const before = whole.slice(0, at);
      const seen = codexEvents(before + failAfter(before).words);
      expect(seen).not.toContain("response.completed");
      // Only a terminal event that lacks nothing but its end takes our words along.
      if (at < whole.length - 3) expect(seen.at(-1)).toBe("response.failed");
    }
  });
});

/** Types of the events that parse; Codex skips the others. */
function codexEvents(text: string): readonly string[] {
  return text.split("\n\n").flatMap((block) => {
    const data = block
      .split("\n")
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart());
    try {
      return [JSON.parse(data.join("\n")).type as string];
    } catch {
      return [];
    }
  });
}

describe("error", () => {
  test("has OpenAI's shape", () => {
    expect(JSON.parse(dialect.error({ ...problem, status: 429, code: "all_skipped" }))).toEqual({
      error: {
        message: problem.message,
        type: "rate_limit_error",
        param: null,
        code: "all_skipped",
      },
    });
  });
});
