import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { dialect as anthropicMessages } from "../../../plugins/dialects/anthropic-messages.ts";
import { dialect as openaiChat } from "../../../plugins/dialects/openai-chat.ts";
import { provider } from "../../../plugins/providers/sandbox/index.ts";
import { pacedStream } from "../../../plugins/providers/sandbox/paced-stream.ts";
import type { LocalRequest } from "../../../src/contract/plugin.ts";
import { rejection } from "../dialects/streams.ts";

const dialects: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "openai-chat",
  "/v1/messages": "anthropic-messages",
};

type Asked = Omit<LocalRequest, "surface" | "verb" | "query"> & Partial<LocalRequest>;

async function ask(request: Asked): Promise<Response> {
  const surface = request.dialect === "anthropic-messages" ? "messages" : "chat";
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
      const dialect = dialects[new URL(request.url).pathname] ?? "";
      return ask({ dialect, model, stream, body: bytes, signal: request.signal });
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

  test("refuses a request without messages in the vendor's shape", async () => {
    const raised = await rejection(anthropic.messages.create({ ...request, messages: [] }));
    expect(raised).toBeInstanceOf(Anthropic.BadRequestError);
    expect(raised).toMatchObject({ type: "invalid_request_error" });
  });
});

describe("answer", () => {
  const { signal } = new AbortController();
  const messages = [{ role: "user", content: "hi" }];
  const both = [openaiChat, anthropicMessages] as const;

  test.each(both)("$name: its stream is complete and reports usage", async (dialect) => {
    const request = { messages, stream_options: { include_usage: true } };
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
    const reply = await ask({ ...call, body: body({ messages }) });
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
