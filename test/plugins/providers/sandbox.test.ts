import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { dialect as anthropicMessages } from "../../../plugins/dialects/anthropic-messages/index.ts";
import { dialect as openaiChat } from "../../../plugins/dialects/openai-chat/index.ts";
import { dialect as openaiResponses } from "../../../plugins/dialects/openai-responses/index.ts";
import { provider } from "../../../plugins/providers/sandbox/index.ts";
import { pacedStream } from "../../../plugins/providers/sandbox/paced-stream.ts";
import type { LocalRequest } from "../../../src/contract/plugin.ts";
import type { Surface } from "../../../src/contract/types.ts";
import { rejection } from "../dialects/streams.ts";

const dialects = [anthropicMessages, openaiChat, openaiResponses];

const usualSurface: Readonly<Record<string, Surface>> = {
  "openai-chat": "chat",
  "openai-responses": "responses",
  "anthropic-messages": "messages",
};

type Asked = Omit<LocalRequest, "surface" | "verb" | "query"> & Partial<LocalRequest>;

async function ask(request: Asked): Promise<Response> {
  const surface = usualSurface[request.dialect] ?? "other";
  const whole: LocalRequest = { surface, verb: undefined, query: "", ...request };
  return (await provider.answer?.(whole)) ?? new Response(null, { status: 500 });
}

function body(request: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(request));
}

let server: ReturnType<typeof Bun.serve>;
let openai: OpenAI;
let anthropic: Anthropic;

beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const bytes = await request.bytes();
      const { model, stream = false } = JSON.parse(new TextDecoder().decode(bytes));
      const { pathname } = new URL(request.url);
      const asked = { model, stream, body: bytes, signal: request.signal };
      for (const { name, routes } of dialects) {
        const route = routes.find(({ path }) => path === pathname);
        if (route !== undefined) return ask({ dialect: name, surface: route.surface, ...asked });
      }
      return new Response(null, { status: 404 });
    },
  });
  const origin = `http://127.0.0.1:${server.port}`;
  const options = { apiKey: "k", maxRetries: 0, logLevel: "off" as const };
  openai = new OpenAI({ ...options, baseURL: `${origin}/v1` });
  anthropic = new Anthropic({ ...options, baseURL: origin });
});

afterAll(() => server.stop(true));

const said = "This is the cliproxy sandbox: no model is behind it. You said: zażółć 🦊";

describe("openai-chat", () => {
  const request: Pick<OpenAI.ChatCompletionCreateParams, "model" | "messages"> = {
    model: "any/model",
    messages: [
      { role: "system", content: "Be kind." },
      { role: "user", content: "first" },
      { role: "assistant", content: "second" },
      { role: "user", content: [{ type: "text", text: "zażółć 🦊" }] },
    ],
  };
  const usage = { prompt_tokens: 7, completion_tokens: 18, total_tokens: 25 };

  test("answers whole", async () => {
    const reply = await openai.chat.completions.create(request);
    expect(reply).toMatchObject({ object: "chat.completion", model: "any/model", usage });
    expect(reply.choices[0]?.message.content).toBe(said);
    expect(reply.choices[0]?.finish_reason).toBe("stop");
  });

  test("answers as a stream, with usage when asked", async () => {
    const stream = openai.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
    });
    let deltas = 0;
    stream.on("content", () => {
      deltas++;
    });
    const reply = await stream.finalChatCompletion();
    expect(reply.choices[0]?.message.content).toBe(said);
    expect(reply.usage).toMatchObject(usage);
    expect(deltas).toBeGreaterThan(5);
  });

  test("streams without usage unless asked", async () => {
    const stream = await openai.chat.completions.create({ ...request, stream: true });
    const chunks = await Array.fromAsync(stream);
    expect(chunks.some((chunk) => "usage" in chunk || chunk.choices.length === 0)).toBe(false);
  });

  test.each(["max_tokens", "max_completion_tokens"])("keeps within %s", async (key) => {
    const reply = await openai.chat.completions.create({ ...request, [key]: 3 });
    expect(reply.choices[0]?.message.content).toBe("This is the ");
    expect(reply.choices[0]?.finish_reason).toBe("length");
    expect(reply.usage?.completion_tokens).toBe(3);
  });

  test("refuses a request without messages in the vendor's shape", async () => {
    const raised = await rejection(openai.chat.completions.create({ ...request, messages: [] }));
    expect(raised).toBeInstanceOf(OpenAI.BadRequestError);
    expect((raised as Error).message).toContain("`messages` must be a list");
  });
});

describe("anthropic-messages", () => {
  const request: Anthropic.MessageCreateParamsNonStreaming = {
    model: "any/model",
    max_tokens: 100,
    system: "Be kind.",
    messages: [
      { role: "user", content: "first" },
      { role: "assistant", content: "second" },
      { role: "user", content: [{ type: "text", text: "zażółć 🦊" }] },
    ],
  };
  const usage = { input_tokens: 7, output_tokens: 18 };

  test("answers whole", async () => {
    const reply = await anthropic.messages.create(request);
    expect(reply).toMatchObject({ type: "message", model: "any/model", usage });
    expect(reply.content).toMatchObject([{ type: "text", text: said }]);
    expect(reply.stop_reason).toBe("end_turn");
  });

  test("answers as a stream", async () => {
    const stream = anthropic.messages.stream(request);
    let deltas = 0;
    stream.on("text", () => {
      deltas++;
    });
    const reply = await stream.finalMessage();
    expect(reply.content).toMatchObject([{ type: "text", text: said }]);
    expect(reply.usage).toMatchObject(usage);
    expect(deltas).toBeGreaterThan(5);
  });

  test("keeps within max_tokens", async () => {
    const reply = await anthropic.messages.create({ ...request, max_tokens: 3 });
    expect(reply.content).toMatchObject([{ text: "This is the " }]);
    expect(reply).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 3 } });
  });

  test("knows no thread, so that the SDK sends all again", async () => {
    const thread = { type: "continue", id: "thread_1" };
    const raised = await rejection(anthropic.messages.create({ ...request, thread } as never));
    expect(raised).toBeInstanceOf(Anthropic.NotFoundError);
    expect(raised).toMatchObject({
      error: { error: { details: { error_code: "thread_not_found" } } },
    });
  });

  test("refuses a request without messages in the vendor's shape", async () => {
    const raised = await rejection(anthropic.messages.create({ ...request, messages: [] }));
    expect(raised).toBeInstanceOf(Anthropic.BadRequestError);
    expect(raised).toMatchObject({ type: "invalid_request_error" });
  });
});

describe("completions", () => {
  const request = { model: "any/model", prompt: "zażółć 🦊", max_tokens: 100 };

  test("answers whole", async () => {
    const reply = await openai.completions.create({ ...request, n: 2 });
    expect(reply).toMatchObject({ object: "text_completion", model: "any/model" });
    expect(reply.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, said],
      [1, said],
    ]);
    expect(reply.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 36 });
  });

  test("answers as a stream", async () => {
    const options = { include_usage: true };
    const stream = await openai.completions.create({
      ...request,
      stream: true,
      stream_options: options,
    });
    const chunks = await Array.fromAsync(stream);
    expect(chunks.map(({ choices }) => choices[0]?.text ?? "").join("")).toBe(said);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 18 });
  });

  test.each([
    [
      "no limit",
      { prompt: "a" },
      ["This is the cliproxy sandbox: no model is behind it. You said: a"],
    ],
    ["a limit", { prompt: "a", max_tokens: 3 }, ["This is the "]],
    ["no room", { prompt: "a", max_tokens: 0 }, [""]],
    ["no room, echoed", { prompt: "a", max_tokens: 0, echo: true }, ["a"]],
    [
      "no prompt",
      { max_tokens: 99 },
      ["This is the cliproxy sandbox: no model is behind it. You sent no text."],
    ],
    ["texts", { prompt: ["a", "b"], max_tokens: 2, echo: true }, ["aThis is ", "bThis is "]],
    [
      "tokens",
      { prompt: [1, 2, 3], max_tokens: 99 },
      ["This is the cliproxy sandbox: no model is behind it. You said: 3 tokens"],
    ],
    ["lists of tokens", { prompt: [[1], [2, 3]], max_tokens: 1 }, ["This", "This"]],
  ])("%s", async (_name, asked, texts) => {
    const reply = await openai.completions.create({ model: "m", ...asked } as typeof request);
    expect(reply.choices.map(({ text }) => text)).toEqual(texts);
  });

  test.each([[[]], [[[]]], [{}], [7], [[1.5]], [["a", 1]], [[null]]])(
    "refuses the prompt %j",
    async (prompt) => {
      const asked = { ...request, prompt: prompt as string };
      const raised = await rejection(openai.completions.create(asked));
      expect(raised).toBeInstanceOf(OpenAI.BadRequestError);
      expect((raised as Error).message).toContain("`prompt` must be");
    },
  );

  test("gives 128 replies, and not one more", async () => {
    const reply = await openai.completions.create({ ...request, n: 128 });
    expect(reply.choices).toHaveLength(128);
    const raised = await rejection(openai.completions.create({ ...request, n: 129 }));
    expect((raised as Error).message).toContain("128 replies");
  });
});

describe("embeddings", () => {
  const create = async (more: object): Promise<readonly (readonly number[])[]> => {
    const request = { model: "any/model", input: "zażółć 🦊" };
    const { data } = await openai.embeddings.create({ ...request, ...more });
    expect(data.map(({ index }) => index)).toEqual([...data.keys()]);
    return data.map(({ embedding }) => Array.from(embedding));
  };
  const lengthOf = (vector: readonly number[]): number => Math.hypot(...vector);

  test("gives the same unit vector in either form", async () => {
    const [[plain = []], [packed = []]] = [
      await create({ encoding_format: "float" }),
      // The SDK asks for base64 and decodes it.
      await create({}),
    ];
    expect(plain).toHaveLength(1536);
    expect(packed).toEqual(plain);
    expect(lengthOf(plain)).toBeCloseTo(1, 5);
    expect((await create({}))[0]).toEqual(plain);
  });

  test("a shorter vector points where the longer one starts", async () => {
    const [[short = []], [long = []]] = [
      await create({ dimensions: 8 }),
      await create({ dimensions: 16 }),
    ];
    expect(short).toHaveLength(8);
    const start = long.slice(0, 8);
    for (const [i, value] of start.entries()) {
      expect(short[i]).toBeCloseTo(value / lengthOf(start), 5);
    }
  });

  test("each text has its own", async () => {
    const vectors = await create({ input: ["a", "b", "a"], dimensions: 64 });
    expect(vectors[2]).toEqual(vectors[0] as number[]);
    const product = (vectors[0] ?? []).reduce((sum, v, i) => sum + v * (vectors[1]?.[i] ?? 0), 0);
    expect(Math.abs(product)).toBeLessThan(0.6);
    expect(await create({ input: [[1, 2], [3]], dimensions: 2 })).toHaveLength(2);
    expect(await create({ input: [1, 2], dimensions: 2 })).toHaveLength(1);
  });

  test("reports usage", async () => {
    const { usage } = await openai.embeddings.create({ model: "m", input: ["12345678", "1"] });
    expect(usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  });

  const most = Array.from({ length: 256 }, () => "x");
  test.each([
    ["no text", { input: "" }, "no text may be empty"],
    ["no texts", { input: [] }, "`input` must be"],
    ["an empty text", { input: ["a", ""] }, "no text may be empty"],
    ["an object", { input: {} }, "`input` must be"],
    ["too many texts", { input: [...most, ...most].flatMap((x) => [x, x, x, x, x]) }, "2048"],
    ["an unknown format", { encoding_format: "hex" }, "float or base64"],
    ["no dimensions", { dimensions: 0 }, "from 1 to 4096"],
    ["too many dimensions", { dimensions: 4097 }, "from 1 to 4096"],
    ["half a dimension", { dimensions: 1.5 }, "from 1 to 4096"],
    ["too many numbers", { input: [...most, "x"], dimensions: 4096 }, "1048576 numbers"],
  ])("refuses %s", async (_name, asked, message) => {
    const raised = await rejection(create(asked));
    expect(raised).toBeInstanceOf(OpenAI.BadRequestError);
    expect((raised as Error).message).toContain(message);
  });

  test("gives as many numbers as it says", async () => {
    expect(await create({ input: most, dimensions: 4096 })).toHaveLength(256);
  });
});

describe("openai-responses", () => {
  const request = {
    model: "any/model",
    instructions: "Be kind.",
    input: [
      { role: "user" as const, content: "first" },
      { role: "assistant" as const, content: "second" },
      { role: "user" as const, content: [{ type: "input_text" as const, text: "zażółć 🦊" }] },
    ],
  };
  const usage = { input_tokens: 7, output_tokens: 18, total_tokens: 25 };

  test("answers whole", async () => {
    const reply = await openai.responses.create({ ...request, metadata: { a: "b" } });
    const expected = { object: "response", status: "completed", model: "any/model", usage };
    expect(reply).toMatchObject({ ...expected, metadata: { a: "b" }, store: false });
    expect(reply.output_text).toBe(said);
  });

  test("answers a text", async () => {
    const reply = await openai.responses.create({ model: "m", input: "zażółć 🦊" });
    expect(reply.output_text).toBe(said);
  });

  test("answers as a stream of typed, numbered events", async () => {
    const stream = openai.responses.stream(request);
    const types: string[] = [];
    const numbers: number[] = [];
    stream.on("event", ({ type, sequence_number }) => {
      if (types.at(-1) !== type) types.push(type);
      numbers.push(sequence_number);
    });
    const reply = await stream.finalResponse();
    expect(types).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(numbers).toEqual([...numbers.keys()]);
    expect(numbers.length).toBeGreaterThan(12);
    expect(reply).toMatchObject({ status: "completed", output_text: said, usage });
  });

  test("keeps within max_output_tokens", async () => {
    const limited = { ...request, max_output_tokens: 3 };
    const expected = {
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output_text: "This is the ",
      usage: { output_tokens: 3 },
    };
    expect(await openai.responses.create(limited)).toMatchObject(expected);
    const stream = openai.responses.stream(limited);
    expect(await stream.finalResponse()).toMatchObject(expected);
  });

  test.each([
    ["no input", { input: [] }, "`input` must be", "bad_request"],
    ["an empty input", { input: "" }, "`input` must be", "bad_request"],
    ["a conversation", { conversation: "conv_1" }, "keeps no conversations", "bad_request"],
    [
      "what it never stored",
      { previous_response_id: "resp_1" },
      "'resp_1' not found",
      "previous_response_not_found",
    ],
  ])("refuses %s in the vendor's shape", async (_name, more, message, code) => {
    const raised = await rejection(openai.responses.create({ ...request, ...more }));
    expect(raised).toBeInstanceOf(OpenAI.BadRequestError);
    expect(raised).toMatchObject({ code, message: expect.stringContaining(message) });
  });
});

describe("count_tokens", () => {
  test("counts what a message would report", async () => {
    const messages = [{ role: "user" as const, content: "12345678" }];
    const counted = { model: "m", system: "1234", messages };
    expect(await anthropic.messages.countTokens(counted)).toMatchObject({ input_tokens: 3 });
    const { usage } = await anthropic.messages.create({ ...counted, max_tokens: 9 });
    expect(usage.input_tokens).toBe(3);
  });

  test("refuses a request without messages", async () => {
    const raised = await rejection(anthropic.messages.countTokens({ model: "m", messages: [] }));
    expect(raised).toBeInstanceOf(Anthropic.BadRequestError);
  });
});

describe("answer", () => {
  const { signal } = new AbortController();
  const messages = [{ role: "user", content: "hi" }];
  const input = "hi";
  const both = [openaiChat, openaiResponses, anthropicMessages] as const;

  test.each(both)("$name: its stream is complete and reports usage", async (dialect) => {
    const request = { messages, input, stream_options: { include_usage: true } };
    const reply = await ask({
      dialect: dialect.name,
      model: "m",
      stream: true,
      body: body(request),
      signal,
    });
    expect(reply.headers.get("content-type")).toStartWith("text/event-stream");
    const reader = dialect.readStream();
    for await (const chunk of reply.body ?? []) reader.push(chunk);
    expect(reader.end()).toBe("complete");
    expect(reader.usage).toMatchObject({ inputTokens: 1, outputTokens: 17 });
  });

  test.each(both)("$name: a whole reply tells its length and usage", async (dialect) => {
    const call = { dialect: dialect.name, model: "m", stream: false, signal };
    const reply = await ask({ ...call, body: body({ messages, input }) });
    const bytes = await reply.bytes();
    expect(reply.headers.get("content-length")).toBe(String(bytes.length));
    expect(dialect.readUsage(bytes)).toMatchObject({ inputTokens: 1, outputTokens: 17 });
  });

  const hostile: readonly (readonly [name: string, messages: unknown])[] = [
    ["no text", [{ role: "user", content: [{ type: "image" }] }]],
    ["odd members", [null, 5, "x", [], { role: "user" }, { content: 5 }]],
    ["a long text", [{ role: "user", content: "🦊".repeat(100_000) }]],
    ["control characters", [{ role: "user", content: "a\u0000\r\n\ndata: [DONE]\n\n\u2028" }]],
  ];
  test.each(hostile)("answers %s", async (_name, odd) => {
    const call = { dialect: "openai-chat", model: "m", stream: false, signal };
    const reply = await ask({ ...call, body: body({ messages: odd }) });
    const text = await reply.text();
    expect(reply.status).toBe(200);
    expect(text.length).toBeLessThan(2500);
    expect(JSON.parse(text).choices[0].message.content.isWellFormed()).toBe(true);
  });

  test.each([["{"], ["[]"], ["null"], [""], ['{"messages":"hi"}']])("refuses %j", async (text) => {
    const bytes = new TextEncoder().encode(text);
    const call = { dialect: "openai-chat", model: "m", stream: false, signal };
    expect((await ask({ ...call, body: bytes })).status).toBe(400);
  });

  test("answers on every route of what it speaks", async () => {
    expect(provider.dialects).toEqual([
      ...["openai-chat", "openai-responses", "anthropic-messages", "gemini"],
    ]);
    const content = { parts: [{ text: "hi" }] };
    const texts = { messages, input, prompt: "hi", contents: [content], content };
    for (const { name, routes } of dialects) {
      for (const { surface } of routes.filter((route) => route.surface !== "models")) {
        const call = { dialect: name, surface, model: "m", stream: false, signal };
        const reply = await ask({ ...call, body: body(texts) });
        expect([surface, reply.status]).toEqual([surface, 200]);
      }
    }
  });

  test("lists its model", () => {
    expect(provider.readModels(undefined)).toEqual(["sandbox-echo"]);
  });
});

describe("pacedStream", () => {
  function* counting(seen: { count: number }): Generator<string> {
    for (;;) yield `piece ${seen.count++}`;
  }
  const settle = (): Promise<void> => Bun.sleep(40);

  test("gives no more than is read", async () => {
    const seen = { count: 0 };
    const reader = pacedStream(counting(seen), 1, new AbortController().signal).getReader();
    await settle();
    expect(seen.count).toBeLessThanOrEqual(2);
    await reader.read();
    await settle();
    expect(seen.count).toBeLessThanOrEqual(3);
    await reader.cancel();
    await settle();
    expect(seen.count).toBeLessThanOrEqual(3);
  });

  test("an abort ends it at once, in the middle of a pause and before the start", async () => {
    const seen = { count: 0 };
    const abort = new AbortController();
    const reader = pacedStream(counting(seen), 60_000, abort.signal).getReader();
    await reader.read();
    const waiting = rejection(reader.read());
    abort.abort();
    expect(await waiting).toMatchObject({ name: "AbortError" });
    expect(seen.count).toBe(1);
    const late = pacedStream(counting(seen), 1, abort.signal).getReader();
    expect(await rejection(late.read())).toMatchObject({ name: "AbortError" });
  });

  test("leaves no timer that would keep the process alive", async () => {
    const script = `
      import { pacedStream } from "./plugins/providers/sandbox/paced-stream.ts";
      for (const how of ["abort", "cancel"]) {
        const abort = new AbortController();
        const pieces = ["a", "b", "c"][Symbol.iterator]();
        const reader = pacedStream(pieces, 60_000, abort.signal).getReader();
        await reader.read();
        if (how === "abort") abort.abort();
        else await reader.cancel();
      }`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      cwd: `${import.meta.dir}/../../..`,
      timeout: 4000,
    });
    expect(await child.exited).toBe(0);
  });

  test("a client that leaves ends it", async () => {
    const stream = await openai.chat.completions.create({
      model: "m",
      messages: [{ role: "user", content: "a ".repeat(200) }],
      stream: true,
    });
    for await (const _chunk of stream) break;
    await settle();
    expect(server.pendingRequests).toBe(0);
  });
});
