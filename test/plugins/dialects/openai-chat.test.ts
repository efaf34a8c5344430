import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import OpenAI from "openai";
import { dialect } from "../../../plugins/dialects/openai-chat/index.ts";
import type { FactValue, Problem } from "../../../src/contract/plugin.ts";
import type { Surface, Usage } from "../../../src/contract/types.ts";
import { defineFactKeys } from "../../../src/kit/fact-keys.ts";
import { scanFacts } from "../../../src/kit/json-facts.ts";
import { expectStream, rejection, type StreamCase, withServer } from "./streams.ts";

const usage: Usage = { inputTokens: 20, outputTokens: 9, cachedTokens: 5, reasoningTokens: 3 };
const reported =
  '{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,' +
  '"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":3}}';

function chunk(content: string, extra = ""): string {
  const delta = JSON.stringify({ role: "assistant", content });
  return `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":${delta},"finish_reason":null}]${extra}}\n\n`;
}
const text = (said: string): string =>
  `data: {"id":"c","object":"text_completion","choices":[{"index":0,"text":"${said}","finish_reason":null}]}\n\n`;
const last = `data: {"id":"c","choices":[],"usage":${reported}}\n\n`;
const done = "data: [DONE]\n\n";

describe("readStream", () => {
  const cases: readonly StreamCase[] = [
    ["nothing", "", "truncated"],
    ["plain", chunk("zażółć 🦊") + done, "complete"],
    ["usage at the end", chunk("hi", ',"usage":null') + last + done, "complete", usage],
    ["completions", text("hi") + text("ho") + last + done, "complete", usage],
    ["completions that break off", text("hi"), "truncated"],
    ["usage with the last text", chunk("hi", `, "usage" : ${reported}`) + done, "complete", usage],
    ["BOM", `\ufeff${last}${done}`, "complete", usage],
    ["comments", `: a\n\n${last}: b\n${done}: c\n\n`, "complete", usage],
    ["no space after data:", (last + done).replaceAll("data: ", "data:"), "complete", usage],
    ["no blank line after [DONE]", chunk("hi") + done.trimEnd(), "complete"],
    ["several data lines", last.replace(',"usage"', '\ndata: ,"usage"') + done, "complete", usage],
    ["no [DONE]", chunk("hi") + last, "truncated", usage],
    ["half of [DONE]", `${chunk("hi")}data: [DON`, "truncated"],
    ["[DONE] in text", chunk("data: [DONE]\n\n"), "truncated"],
    ["half an event", chunk("hi").slice(0, -20), "truncated"],
    ["usage in text", chunk('"usage":{"prompt_tokens":1}') + done, "complete"],
    ["usage deeper", chunk("").replace("}]", `,"usage":${reported}}]`) + done, "complete"],
    ["usage of a wrong type", `data: {"usage":[1]}\n\ndata: {"usage":"x"}\n\n${done}`, "complete"],
    [
      "the last usage wins",
      `data: {"usage":{"prompt_tokens":1}}\n\n${last}${done}`,
      "complete",
      usage,
    ],
    ["an error", `${chunk("hi")}data: {"error":{"message":"no"}}\n\n`, "error"],
    ["an error and [DONE]", `data: {"id":"c", "error": "no"}\n\n${done}`, "error"],
    ["a named error", 'event: error\ndata: {"message":"no"}\n\n', "error"],
    ["half an error", `${chunk("hi")}data: {"error":{"message":"no"}}\n`, "truncated"],
    ["error: null", `data: {"error":null,"choices":[]}\n\n${done}`, "complete"],
    ["error in text", chunk('"error":{}') + done, "complete"],
    ["no JSON", `data: {"usage":oops\n\n${done}`, "complete"],
  ];
  for (const stream of cases) test(stream[0], () => expectStream(dialect, stream));

  test.each([
    ["-1", 0],
    ["1.5", 0],
    ["1e300", 0],
    ['"7"', 0],
    ["7", 7],
  ])("a count of %s", (text, expected) => {
    const reader = dialect.readStream();
    reader.push(Buffer.from(`data: {"usage":{"prompt_tokens":${text},"completion_tokens":1}}\n\n`));
    expect(reader.usage?.inputTokens).toBe(expected);
  });

  test("an event too long to be read makes the usage unknown", () => {
    const reader = dialect.readStream();
    reader.push(Buffer.from("data: "));
    for (let i = 0; i < 20; i++) reader.push(new Uint8Array(65_536).fill(0x61));
    reader.push(Buffer.from(`\n\n${last}${done}`));
    expect(reader.usage).toBeUndefined();
    expect(reader.end()).toBe("complete");
  });
});

describe("readUsage", () => {
  const cases: readonly (readonly [name: string, reply: string, usage: Usage | undefined])[] = [
    ["at the end", `{"id":"c","choices":[{"a":1}],"usage":${reported}}`, usage],
    ["followed by more", `{"choices":[],"usage" : ${reported} ,"x":{"y":[]}}\n`, usage],
    ["at the start", `{"usage":${reported},"choices":["${"x".repeat(100_000)}"]}`, usage],
    ["the end of a reply", `ngs"}}],"usage":${reported}}`, usage],
    ["deeper later on", `{"usage":${reported},"x":{"usage":{"prompt_tokens":1}}}`, usage],
    ["deeper only", '{"x":{"usage":{"prompt_tokens":1}}}', undefined],
    ["as a value", '{"x":"usage"}', undefined],
    ["in text", '{"x":"\\"usage\\":{\\"prompt_tokens\\":1}}"}', undefined],
    ["the end of a string", '{"\\"usage":{"prompt_tokens":1}}', undefined],
    ["null", '{"usage":null}', undefined],
    ["none", "{}", undefined],
    ["empty", "", undefined],
    ["no JSON", `{"usage":${reported}`, undefined],
    ["a list", `[{"usage":${reported}}]`, undefined],
    [
      "embeddings",
      '{"data":[{"embedding":"AAAA"}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}',
      { inputTokens: 8, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 },
    ],
    [
      "embeddings, told first",
      '{"usage":{"prompt_tokens":8,"total_tokens":8},"data":[{"embedding":[0.5,-1]}]}',
      { inputTokens: 8, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 },
    ],
  ];
  test.each(cases)("%s", (_name, reply, expected) => {
    expect(dialect.readUsage(Buffer.from(reply))).toEqual(expected);
  });
});

type CallCase = readonly [facts: Record<string, FactValue>, expected: object | RegExp];

function expectCall(surface: Surface, [facts, expected]: CallCase): void {
  const route = { surface, target: undefined };
  const call = dialect.readCall(
    (key) => facts[key],
    7,
    route,
    () => undefined,
  );
  if (expected instanceof RegExp) expect(call).toMatch(expected);
  else expect(call).toEqual(expected as typeof call);
}

const list = Symbol("list");

describe("readCall of a chat", () => {
  const good = { model: "gpt", stream: false, maxTokens: undefined, bodyBytes: 7 };
  const cases: readonly CallCase[] = [
    [{ model: "gpt" }, good],
    [
      { model: "org/Modèle 7b:free", stream: null },
      { ...good, model: "org/Modèle 7b:free" },
    ],
    [
      { model: "gpt", stream: true, max_tokens: 5 },
      { ...good, stream: true, maxTokens: 5 },
    ],
    [
      { model: "gpt", max_completion_tokens: 9, max_tokens: 5 },
      { ...good, maxTokens: 9 },
    ],
    [{ model: "gpt", max_completion_tokens: null }, good],
    [{ model: "m".repeat(256) }, { ...good, model: "m".repeat(256) }],
    [{ model: "m".repeat(257) }, /`model` is longer than 256 characters/],
    [{}, /`model` must name a model/],
    [{ model: "" }, /`model` must name a model/],
    [{ model: null }, /`model` must name a model/],
    [{ model: "nested" }, { ...good, model: "nested" }],
    [{ model: 5 }, /`model` must name a model/],
    [{ model: "a\nb" }, /not printable/],
    [{ model: "a\u202eb" }, /not printable/],
    [{ model: "gpt", stream: "true" }, /`stream` must be true or false/],
    [{ model: "gpt", stream: 1 }, /`stream` must be true or false/],
    [{ model: "gpt", max_tokens: 0 }, /`max_tokens` must be a whole number/],
    [{ model: "gpt", max_tokens: 1.5 }, /`max_tokens` must be a whole number/],
    [{ model: "gpt", max_tokens: 2 ** 53 }, /`max_tokens` must be a whole number/],
    [{ model: "gpt", max_completion_tokens: "9" }, /`max_completion_tokens` must be/],
    [{ model: "gpt", max_completion_tokens: -1 }, /`max_completion_tokens` must be/],
    [{ model: "gpt", n: 3 }, good],
    [
      { model: "gpt", n: 3, max_tokens: 5 },
      { ...good, maxTokens: 15 },
    ],
    [
      { model: "gpt", n: null, best_of: 9, max_tokens: 5 },
      { ...good, maxTokens: 5 },
    ],
    [
      { model: "gpt", n: 2 ** 52, max_tokens: 5 },
      { ...good, maxTokens: Number.MAX_SAFE_INTEGER },
    ],
    [{ model: "gpt", n: 0 }, /`n` must be a whole number from 1/],
    [{ model: "gpt", n: "3" }, /`n` must be a whole number from 1/],
  ];
  test.each(cases.map((one, i) => [i, one] as const))("case %d", (_i, one) => {
    expectCall("chat", one);
  });
});

describe("readCall of a completion", () => {
  const good = { model: "gpt", stream: false, maxTokens: 16, bodyBytes: 7 };
  const cases: readonly CallCase[] = [
    [{ model: "gpt" }, good],
    [
      { model: "gpt", prompt: "a", stream: true },
      { ...good, stream: true },
    ],
    [{ model: "gpt", prompt: "a", max_tokens: null }, good],
    [
      { model: "gpt", prompt: "a", max_tokens: 5, n: 2 },
      { ...good, maxTokens: 10 },
    ],
    [
      { model: "gpt", max_tokens: 5, n: 2, best_of: 4 },
      { ...good, maxTokens: 20 },
    ],
    [
      { model: "gpt", max_tokens: 5, best_of: 0 },
      { ...good, maxTokens: 5 },
    ],
    // Each prompt of a list has replies of its own: nobody knows how many.
    [
      { model: "gpt", prompt: list, max_tokens: 5 },
      { ...good, maxTokens: undefined },
    ],
    [
      { model: "gpt", prompt: list },
      { ...good, maxTokens: undefined },
    ],
    [
      { model: "gpt", prompt: list, max_tokens: 0 },
      { ...good, maxTokens: 0 },
    ],
    // Rating a prompt.
    [
      { model: "gpt", prompt: "a", max_tokens: 0 },
      { ...good, maxTokens: 0 },
    ],
    // It is none of this API's limits.
    [{ model: "gpt", prompt: "a", max_completion_tokens: 5 }, good],
    [{ prompt: "a" }, /`model` must name a model/],
    [{ model: "gpt", stream: "true" }, /`stream` must be true or false/],
    [{ model: "gpt", max_tokens: -1 }, /`max_tokens` must be a whole number/],
    [{ model: "gpt", n: 1.5 }, /`n` must be a whole number from 1/],
    [{ model: "gpt", best_of: "2" }, /`best_of` must be a whole number from 1/],
  ];
  test.each(cases.map((one, i) => [i, one] as const))("case %d", (_i, one) => {
    expectCall("completions", one);
  });
});

describe("readCall of embeddings", () => {
  const good = { model: "emb", stream: false, maxTokens: 0, bodyBytes: 7 };
  const cases: readonly CallCase[] = [
    [{ model: "emb", input: "a" }, good],
    [{ model: "emb", input: list, stream: false }, good],
    [{ model: "emb", input: list, max_tokens: 7 }, good],
    [{ input: "a" }, /`model` must name a model/],
    [{ model: "emb", input: "a", stream: true }, /leave `stream` out/],
  ];
  test.each(cases.map((one, i) => [i, one] as const))("case %d", (_i, one) => {
    expectCall("embeddings", one);
  });
});

describe("facts of a body", () => {
  const keys = defineFactKeys(dialect.factKeys, dialect.textKeys);
  test.each([
    ['{"model":"m","prompt":"a","prompt":"b"}', "duplicate_key"],
    ['{"model":"m","input":"a","Input":"b"}', "case_variant_key"],
    ['{"model":"m","input":["a"],"inpu\\u0074":["b"]}', "duplicate_key"],
    ['{"model":"m","N":2}', "case_variant_key"],
    ['{"model":"m","input":"a\\u0000b\\ud800"}', undefined],
    ['{"model":"m","prompt":"a\\u0000b"}', undefined],
    ['{"model":"m\\u0000","prompt":"a"}', "ambiguous_value"],
  ])("%s", (body, problem) => {
    const scan = scanFacts(Buffer.from(body), keys);
    expect(scan.ok ? undefined : scan.problem).toBe(problem as never);
  });
});

describe("recognises", () => {
  const cases: readonly (readonly [headers: Record<string, string>, expected: boolean])[] = [
    [{}, true],
    [{ authorization: "Bearer x" }, true],
    [{ authorization: "Bearer x", "x-api-key": "x" }, true],
    [{ "x-api-key": "x" }, false],
    [{ authorization: "Bearer x", "anthropic-version": "2023-06-01" }, false],
  ];
  test.each(cases)("%j", (headers, expected) => {
    expect(dialect.recognises((name) => headers[name] ?? null)).toBe(expected);
  });
});

const problem: Problem = {
  code: "overloaded",
  status: 503,
  message: "Too much \u2028 \n at once.",
  requestId: "req_1",
};

function client(origin: string): OpenAI {
  return new OpenAI({ apiKey: "k", baseURL: `${origin}/v1`, maxRetries: 0, logLevel: "off" });
}

describe("error", () => {
  const cases: readonly (readonly [status: number, error: unknown, type: string])[] = [
    [400, OpenAI.BadRequestError, "invalid_request_error"],
    [401, OpenAI.AuthenticationError, "authentication_error"],
    [403, OpenAI.PermissionDeniedError, "permission_error"],
    [404, OpenAI.NotFoundError, "invalid_request_error"],
    [413, OpenAI.APIError, "invalid_request_error"],
    [429, OpenAI.RateLimitError, "rate_limit_error"],
    [500, OpenAI.InternalServerError, "server_error"],
    [503, OpenAI.InternalServerError, "server_error"],
  ];
  test.each(cases)("the official SDK raises its own class for %d", async (status, error, type) => {
    const body = dialect.error({ ...problem, status });
    const { message, code } = problem;
    expect(JSON.parse(body)).toEqual({ error: { message, type, param: null, code } });
    await withServer(
      () => new Response(body, { status, headers: { "content-type": "application/json" } }),
      async (origin) => {
        const raised = await rejection(client(origin).models.list());
        expect(raised).toBeInstanceOf(error as typeof OpenAI.APIError);
        expect(raised).toMatchObject({ status, code, type, param: null });
      },
    );
  });
});

describe("fail", () => {
  const cases: readonly (readonly [name: string, before: string, own: boolean])[] = [
    ["at the start", "", true],
    ["after an event", chunk("hi"), true],
    ["after a line", chunk("hi").slice(0, -1), true],
    ["after a whole event without its end", chunk("hi").slice(0, -2), true],
    ["after half an event", chunk("hi").slice(0, -30), false],
    ["after half of [DONE]", `${chunk("hi")}data: [DONE`, false],
    ["after half a field", `${chunk("hi")}dat`, true],
    ["after a CR", `${chunk("hi")}: x\r`, true],
  ];
  test.each(cases)("the official SDK raises %s", async (_name, before, own) => {
    const body = before + dialect.readStream().fail(problem);
    await withServer(
      () => new Response(body, { headers: { "content-type": "text/event-stream" } }),
      async (origin) => {
        const stream = await client(origin).chat.completions.create({
          model: "m",
          messages: [],
          stream: true,
        });
        const raised = await rejection(Array.fromAsync(stream));
        if (own) expect(raised).toBeInstanceOf(OpenAI.APIError);
        if (own) expect(raised).toMatchObject({ code: "overloaded", message: problem.message });
        else expect(raised).toBeInstanceOf(SyntaxError);
      },
    );
    const reader = dialect.readStream();
    reader.push(Buffer.from(body));
    expect(reader.end()).toBe("error");
  });
});

describe("listModels", () => {
  const models = [
    { id: "a", provider: "openai", created: 5 },
    { id: "org/b", provider: "other", created: 0 },
  ];
  test("the official SDK reads the list and one model", async () => {
    const serve = (body: string) => (): Response =>
      new Response(body, { headers: { "content-type": "application/json" } });
    const expected = models.map(({ id, provider, created }) => ({
      id,
      object: "model",
      created,
      owned_by: provider,
    }));
    await withServer(serve(dialect.listModels(models)), async (origin) => {
      const list = await client(origin).models.list();
      expect(list.object).toBe("list");
      expect(list.data).toEqual(expected as typeof list.data);
    });
    await withServer(serve(dialect.oneModel(models[1] as (typeof models)[1])), async (origin) => {
      expect(await client(origin).models.retrieve("org/b")).toMatchObject(expected[1] as object);
    });
  });
});
