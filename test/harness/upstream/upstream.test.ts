import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { cleanUp } from "../cleanup.ts";
import { type FakeUpstream, startUpstream } from "../fake-upstream.ts";
import { compressed, errorAfterStart, normal, withLimits } from "../scripts.ts";
import { codings } from "./codings.ts";
import { vectorOf } from "./openai-embeddings.ts";
import { replyText, thoughtSignature } from "./reply-options.ts";

let upstream: FakeUpstream;
let strict: FakeUpstream;
beforeAll(async () => {
  [upstream, strict] = await Promise.all([startUpstream(), startUpstream()]);
  strict.strict = { credential: "vendor-key", secrets: ["client-key-canary"] };
});
afterAll(cleanUp);

const hello = [{ role: "user" as const, content: "hello" }];
const full = { thought: "let me see", tool: { name: "look", input: { at: "naïve" } } };

function openai(): OpenAI {
  return new OpenAI({ baseURL: `${upstream.url}/v1`, apiKey: "k", maxRetries: 0 });
}

function post(path: string, body: unknown, headers: Record<string, string> = {}, to = upstream) {
  return fetch(to.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    keepalive: false,
  });
}

describe("the official SDKs understand", () => {
  test("chat, whole and streamed, with a tool and all counts", async () => {
    upstream.on("full", normal(full));
    const whole = await openai().chat.completions.create({ model: "full", messages: hello });
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(whole.usage?.prompt_tokens_details).toEqual({ cached_tokens: 3, audio_tokens: 2 });
    const stream = openai().chat.completions.stream({ model: "full", messages: hello });
    const final = await stream.finalChatCompletion();
    const [call] = final.choices[0]?.message.tool_calls ?? [];
    expect(call).toMatchObject({ function: { name: "look", arguments: '{"at":"naïve"}' } });
    expect(final.choices[0]?.message.content).toBe(replyText());
  });

  test("older completions", async () => {
    const asked = { model: "m", prompt: "x" };
    expect((await openai().completions.create(asked)).choices[0]?.text).toBe(replyText());
    let text = "";
    for await (const chunk of await openai().completions.create({ ...asked, stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe(replyText());
  });

  test("responses: order, numbers, what it goes on from", async () => {
    upstream.on("full", normal(full));
    const asked = { model: "full", input: "x", previous_response_id: "resp_0" };
    const whole = await openai().responses.create(asked);
    expect(whole.output.map((item) => item.type)).toEqual([
      "reasoning",
      "message",
      "function_call",
    ]);
    expect(whole.output_text).toBe(replyText());
    expect(whole.previous_response_id).toBe("resp_0");
    const stream = openai().responses.stream(asked);
    const numbers: number[] = [];
    stream.on("event", (event) =>
      numbers.push((event as { sequence_number: number }).sequence_number),
    );
    const final = await stream.finalResponse();
    expect(final.output_text).toBe(replyText());
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(final.usage?.output_tokens_details).toEqual({ reasoning_tokens: 2 });
  });

  test("a response without room is incomplete, and says why", async () => {
    upstream.on("cut", normal({ isCut: true }));
    const stream = openai().responses.stream({ model: "cut", input: "x" });
    const final = await stream.finalResponse();
    expect(final.status).toBe("incomplete");
    expect(final.incomplete_details).toEqual({ reason: "max_output_tokens" });
  });

  test("embeddings as numbers and as base64", async () => {
    const expected = [0, 1].map((i) => [...vectorOf(i, 8)]);
    for (const encoding of ["float", undefined] as const) {
      const made = await openai().embeddings.create({
        model: "m",
        input: ["a", "b"],
        dimensions: 8,
        ...(encoding && { encoding_format: encoding }),
      });
      expect(made.data.map((d) => [...d.embedding])).toEqual(expected);
    }
    const formats = upstream.for("m").map((r) => r.json.encoding_format);
    expect(formats.filter((format) => format === "base64")).toHaveLength(1);
  });

  test("messages with a signed thought and a tool; counted tokens", async () => {
    upstream.on("full", normal({ ...full, cacheWriteTokens: 5 }));
    const client = new Anthropic({ baseURL: upstream.url, apiKey: "k", maxRetries: 0 });
    const asked = { model: "full", max_tokens: 9, messages: hello };
    const whole = await client.messages.create(asked);
    const final = await client.messages.stream(asked).finalMessage();
    expect(final.content as unknown[]).toEqual(whole.content);
    expect(final.content[0]).toMatchObject({ signature: thoughtSignature });
    expect(final.stop_reason).toBe("tool_use");
    expect(final.usage.cache_creation_input_tokens).toBe(5);
    const counted = await client.messages.countTokens({ model: "m", messages: hello });
    expect(counted.input_tokens).toBe(11);
  });

  test("an error after a good start", async () => {
    upstream.on("fails", errorAfterStart);
    const chat = openai().chat.completions.stream({ model: "fails", messages: hello });
    expect(chat.finalChatCompletion()).rejects.toThrow("overloaded");
    await chat.done().catch(() => {});
    const response = openai().responses.stream({ model: "fails", input: "x" });
    expect(response.finalResponse()).rejects.toThrow("overloaded");
    await response.done().catch(() => {});
  });
});

describe("Gemini", () => {
  const contents = [{ role: "user", parts: [{ text: "x" }] }];
  const path = (verb: string) => `/v1beta/models/g-1:${verb}`;

  test("signatures and call ids, whole; the model comes from the path", async () => {
    upstream.on("g-1", normal(full));
    const whole = await (await post(path("generateContent"), { contents })).json();
    const [candidate] = (whole as { candidates: { content: { parts: object[] } }[] }).candidates;
    expect(candidate?.content.parts.at(-1)).toEqual({
      functionCall: { id: "call-1", name: "look", args: { at: "naïve" } },
      thoughtSignature,
    });
    expect(upstream.for("g-1").at(-1)?.path).toBe(path("generateContent"));
  });

  test("streams a JSON array without alt=sse, events with it: the same answers", async () => {
    const plain = await post(path("streamGenerateContent"), { contents });
    expect(plain.headers.get("content-type")).toBe("application/json; charset=UTF-8");
    const chunks = (await plain.json()) as { usageMetadata: object }[];
    const events = await post(`${path("streamGenerateContent")}?alt=sse`, { contents });
    expect(events.headers.get("content-type")).toStartWith("text/event-stream");
    const lines = (await events.text()).split("\r\n\r\n").filter((line) => line !== "");
    expect(lines.map((line) => JSON.parse(line.slice("data: ".length)))).toEqual(chunks);
    expect(chunks.at(-1)?.usageMetadata).toMatchObject({
      thoughtsTokenCount: 2,
      cachedContentTokenCount: 3,
      totalTokenCount: 18,
    });
  });

  test("an error after a good start leaves the array whole", async () => {
    upstream.on("g-fails", errorAfterStart);
    const answer = await post("/v1beta/models/g-fails:streamGenerateContent", { contents });
    const elements = (await answer.json()) as object[];
    expect(elements.at(-1)).toMatchObject({ error: { status: "UNAVAILABLE" } });
  });

  test("counts and embeddings", async () => {
    const content = contents[0];
    const count = await (await post(path("countTokens"), { contents })).json();
    expect(count).toMatchObject({ totalTokens: 11 });
    const one = await (await post(path("embedContent"), { content })).json();
    expect(one).toEqual({ embedding: { values: [...vectorOf(0, 4)] } });
    const requests = [
      { model: "models/g-1", content },
      { model: "models/g-1", content },
    ];
    const two = await (await post(path("batchEmbedContents"), { requests })).json();
    expect((two as { embeddings: object[] }).embeddings).toHaveLength(2);
  });
});

test.each([...codings])("%s: whole, and flushed event by event", async (coding) => {
  upstream.on("coded", compressed(coding));
  for (const stream of [false, true]) {
    const answer = await post("/v1/chat/completions", { model: "coded", stream, messages: hello });
    expect(answer.headers.get("content-encoding")).toBe(coding);
    expect(await answer.text()).toContain(stream ? "data: [DONE]" : replyText());
  }
});

test("limits are told on success, in the vendor's own names", async () => {
  upstream.on("limits", withLimits());
  const chat = await post("/v1/chat/completions", { model: "limits", messages: hello });
  expect(chat.headers.get("x-ratelimit-remaining-tokens")).toBe("29980");
  const message = await post("/v1/messages", { model: "limits", messages: hello });
  expect(message.headers.get("anthropic-ratelimit-requests-remaining")).toBe("49");
});

describe("strict", () => {
  const oai = { authorization: "Bearer vendor-key" };
  const ant = { "x-api-key": "vendor-key", "anthropic-version": "2023-06-01" };
  const goog = { "x-goog-api-key": "vendor-key" };
  const chat = { model: "m", messages: hello };
  const parts = [{ text: "x" }];
  type Case = readonly [path: string, body: unknown, headers: Record<string, string>];

  const taken: readonly Case[] = [
    ["/v1/chat/completions", { ...chat, stream: true, max_tokens: 5 }, oai],
    ["/v1/completions", { model: "m", prompt: "x" }, oai],
    ["/v1/responses", { model: "m", input: [{ role: "user", content: "x" }] }, oai],
    ["/v1/embeddings", { model: "m", input: "x" }, oai],
    ["/v1/messages", { ...chat, max_tokens: 5 }, ant],
    ["/v1/messages/count_tokens", chat, ant],
    ["/v1beta/models/m:generateContent", { contents: [{ parts }] }, goog],
    ["/v1beta/models/m:streamGenerateContent", { contents: [{ parts }] }, goog],
    ["/v1beta/models/m:countTokens", { contents: [{ parts }] }, goog],
    ["/v1beta/models/m:embedContent", { content: { parts } }, goog],
    [
      "/v1beta/models/m:batchEmbedContents",
      { requests: [{ model: "models/m", content: { parts } }] },
      goog,
    ],
  ];
  test.each(taken)("takes %s", async (path, body, headers) => {
    const answer = await post(path, body, headers, strict);
    expect([answer.status, strict.received.at(-1)?.wrong]).toEqual([200, undefined]);
  });

  const [c, m, g] = ["/v1/chat/completions", "/v1/messages", "/v1beta/models/m:generateContent"];
  const refused: readonly (readonly [words: string, ...Case])[] = [
    ["messages", c, { model: "m" }, oai],
    ["messages", c, { model: "m", messages: [] }, oai],
    ["messages.0", c, { model: "m", messages: [{ role: "robot", content: "x" }] }, oai],
    ["messages.0", c, { model: "m", messages: [{ role: "user", content: [{ type: "x" }] }] }, oai],
    ["tools.0", c, { ...chat, tools: [{ type: "magic" }] }, oai],
    ["stream", c, { ...chat, stream: "yes" }, oai],
    ["prompt", "/v1/completions", { model: "m" }, oai],
    ["input", "/v1/responses", { model: "m" }, oai],
    ["input.0.type", "/v1/responses", { model: "m", input: [{ type: "x" }] }, oai],
    ["max_output_tokens", "/v1/responses", { model: "m", input: "x", max_output_tokens: 1 }, oai],
    ["input", "/v1/embeddings", { model: "m" }, oai],
    ["max_tokens", m, chat, ant],
    ["messages.0.role", m, { ...chat, max_tokens: 1, messages: [{ role: "system" }] }, ant],
    ["anthropic-version", m, { ...chat, max_tokens: 1 }, { "x-api-key": "vendor-key" }],
    ["contents", g, {}, goog],
    ["contents.0.parts.0", g, { contents: [{ parts: [{ blob: 1 }] }] }, goog],
    ["no JSON", c, "{", oai],
    ["no such endpoint", "/v1/nothing", chat, oai],
    ["cookie", c, chat, { ...oai, cookie: "a=b" }],
    ["x-forwarded-for", c, chat, { ...oai, "x-forwarded-for": "198.51.100.7" }],
    ["another vendor", c, chat, { ...oai, "x-api-key": "vendor-key" }],
    ["another credential", c, chat, { authorization: "Bearer other" }],
    ["is missing", c, chat, {}],
    ["headers: holds a secret", c, chat, { ...oai, "x-note": "a client-key-canary" }],
    ["target: holds a secret", `/x/client-key-canary${c}`, chat, oai],
    ["body: holds a secret", c, { ...chat, user: "client-key-canary" }, oai],
    ["content-type", c, chat, { ...oai, "content-type": "text/plain" }],
  ];
  test.each(refused)("refuses: %s", async (words, path, body, headers) => {
    const answer = await post(path, body, headers, strict);
    expect(answer.status).toBe(400);
    const { error, type } = (await answer.json()) as {
      error: Record<string, unknown>;
      type?: string;
    };
    expect(error.message).toContain(words);
    expect(strict.received.at(-1)?.wrong).toContain(words);
    if (path === m) expect(type).toBe("error");
    if (path === g) expect(error.status).toBe("INVALID_ARGUMENT");
    if (path === c) expect(error.type).toBe("invalid_request_error");
  });
});
