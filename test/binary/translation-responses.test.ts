import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { LLMock } from "@copilotkit/aimock";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { chatChunk as chunk, sseEvent as event, streamed, whole } from "../harness/json-replies.ts";
import {
  clientKey,
  makeDir,
  needBinary,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;
let mocked: RunningProxy;

const key = "upstream-secret-key-1";
const models = {
  chat: ["chat-a", "gpt-4o"],
  responses: ["gpt-5-r"],
  messages: ["claude-a", "claude-mock"],
  gemini: ["gemini-a"],
};

/** One provider for each API, and no provider that speaks two. */
function oneEach(url: string): Record<string, unknown> {
  const compatible = { protocol: "openai-compatible", base_url: url, api_key: key };
  return {
    chat: { ...compatible, dialects: ["openai-chat"], models: models.chat },
    responses: { ...compatible, dialects: ["openai-responses"], models: models.responses },
    messages: { protocol: "claude", base_url: url, api_key: key, models: models.messages },
    gemini: { protocol: "gemini", base_url: url, api_key: key, models: models.gemini },
  };
}

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: oneEach(upstream.url) } });
  const mock = new LLMock({ port: 0 });
  mock.onMessage("weather", { content: "It is sunny." });
  await mock.start();
  onCleanup(() => mock.stop());
  mocked = await startProxy({ config: { providers: oneEach(mock.url) } });
});
afterAll(cleanUp);

function openai(where: RunningProxy): OpenAI {
  return new OpenAI({ baseURL: `${where.url}/v1`, apiKey: clientKey, maxRetries: 0 });
}
function anthropic(where: RunningProxy): Anthropic {
  return new Anthropic({ baseURL: where.url, apiKey: clientKey, maxRetries: 0, logLevel: "off" });
}
function google(where: RunningProxy): GoogleGenAI {
  return new GoogleGenAI({ apiKey: clientKey, httpOptions: { baseUrl: where.url } });
}
function sent(model: string): Record<string, unknown> {
  return JSON.parse(String(upstream.for(model).at(-1)?.body)) as Record<string, unknown>;
}

const weather = {
  type: "function" as const,
  name: "get_weather",
  description: "Weather",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  strict: false,
};
const said = '{"city":"Zürich \\"x\\""}';

const called = (text: string): object => ({
  tool_calls: [{ index: 0, function: { arguments: text } }],
});
const chatUsage = {
  prompt_tokens: 20,
  completion_tokens: 9,
  prompt_tokens_details: { cached_tokens: 8 },
  completion_tokens_details: { reasoning_tokens: 4 },
};
const chatStream = [
  chunk({ role: "assistant", reasoning_content: "hm" }),
  chunk({ content: "Let me " }),
  chunk({ content: "look. 🌤" }),
  chunk({
    tool_calls: [{ index: 0, id: "call_1", function: { name: "get_weather", arguments: "" } }],
  }),
  chunk(called('{"city":"Zürich')),
  chunk(called(' \\"x\\""}')),
  chunk({}, "tool_calls"),
  `data: ${JSON.stringify({ choices: [], usage: chatUsage })}\n\n`,
  "data: [DONE]\n\n",
];

const messageStream = [
  event("message_start", {
    message: { id: "msg_1", content: [], usage: { input_tokens: 3, cache_read_input_tokens: 5 } },
  }),
  event("content_block_start", {
    index: 0,
    content_block: { type: "thinking", thinking: "", signature: "" },
  }),
  event("content_block_delta", { index: 0, delta: { type: "thinking_delta", thinking: "hmm" } }),
  event("content_block_delta", {
    index: 0,
    delta: { type: "signature_delta", signature: "c2lnbmVk" },
  }),
  event("content_block_stop", { index: 0 }),
  event("content_block_start", {
    index: 1,
    content_block: { type: "tool_use", id: "toolu_1", name: "get_weather", input: {} },
  }),
  event("content_block_delta", {
    index: 1,
    delta: { type: "input_json_delta", partial_json: '{"city":"Bern"}' },
  }),
  event("content_block_stop", { index: 1 }),
  event("message_delta", { delta: { stop_reason: "tool_use" }, usage: { output_tokens: 7 } }),
  event("message_stop", {}),
];

/** What a server of Responses says: it thinks, speaks and calls a tool. */
const output = [
  {
    type: "reasoning",
    id: "rs_1",
    summary: [{ type: "summary_text", text: "I look" }],
    encrypted_content: "c2VhbGVk",
  },
  {
    type: "message",
    id: "msg_1",
    status: "completed",
    role: "assistant",
    content: [{ type: "output_text", text: "Looking 🌤", annotations: [], logprobs: [] }],
  },
  {
    type: "function_call",
    id: "fc_1",
    call_id: "call_9",
    name: "get_weather",
    arguments: said,
    status: "completed",
  },
];
const usage = {
  input_tokens: 30,
  input_tokens_details: { cached_tokens: 10 },
  output_tokens: 12,
  output_tokens_details: { reasoning_tokens: 6 },
  total_tokens: 42,
};
const response = { id: "resp_up", object: "response", status: "completed", output, usage };

function responseStream(): string[] {
  const [thought, message, made] = output;
  const events: [string, object][] = [
    ["response.created", { response: { ...response, status: "in_progress", output: [] } }],
    ["response.output_item.added", { output_index: 0, item: { ...thought, summary: [] } }],
    [
      "response.reasoning_summary_text.delta",
      { item_id: "rs_1", output_index: 0, summary_index: 0, delta: "I look" },
    ],
    ["response.output_item.done", { output_index: 0, item: thought }],
    ["response.output_item.added", { output_index: 1, item: { ...message, content: [] } }],
    [
      "response.output_text.delta",
      { item_id: "msg_1", output_index: 1, content_index: 0, delta: "Looking 🌤" },
    ],
    ["response.output_item.done", { output_index: 1, item: message }],
    ["response.output_item.added", { output_index: 2, item: { ...made, arguments: "" } }],
    [
      "response.function_call_arguments.delta",
      { item_id: "fc_1", output_index: 2, delta: said.slice(0, 9) },
    ],
    [
      "response.function_call_arguments.delta",
      { item_id: "fc_1", output_index: 2, delta: said.slice(9) },
    ],
    ["response.output_item.done", { output_index: 2, item: made }],
    ["response.completed", { response }],
  ];
  return events.map(([type, content], i) => event(type, { sequence_number: i, ...content }));
}

describe("a Responses client", () => {
  const asked = {
    instructions: "Be brief.",
    input: [
      { role: "developer" as const, content: "Be kind." },
      {
        role: "user" as const,
        content: [
          { type: "input_text" as const, text: "hi" },
          {
            type: "input_image" as const,
            image_url: "data:image/png;base64,AAAA",
            detail: "low" as const,
          },
        ],
      },
    ],
    tools: [weather],
    store: false,
    max_output_tokens: 500,
    reasoning: { effort: "high" as const, summary: "auto" as const },
    include: ["reasoning.encrypted_content" as const],
  };

  test("of a Chat Completions provider, streamed", async () => {
    upstream.on("chat-a", streamed(...chatStream));
    const stream = openai(proxy).responses.stream({ ...asked, model: "chat-a" });
    const types: string[] = [];
    const numbers: number[] = [];
    for await (const one of stream) {
      types.push(one.type);
      numbers.push(one.sequence_number);
    }
    const reply = await stream.finalResponse();
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(types.at(0)).toBe("response.created");
    expect(types.at(-1)).toBe("response.completed");
    expect(reply.output_text).toBe("Let me look. 🌤");
    expect(reply.output).toMatchObject([
      { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }] },
      { type: "message", status: "completed" },
      { type: "function_call", call_id: "call_1", name: "get_weather", arguments: said },
    ]);
    expect(reply.usage).toEqual({
      input_tokens: 20,
      input_tokens_details: { cached_tokens: 8 },
      output_tokens: 9,
      output_tokens_details: { reasoning_tokens: 4 },
      total_tokens: 29,
    } as never);
    expect(sent("chat-a")).toEqual({
      model: "chat-a",
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: "system", content: "Be brief.\n\nBe kind." },
        {
          role: "user",
          content: [
            { type: "text", text: "hi" },
            { type: "image_url", image_url: { url: "data:image/png;base64,AAAA", detail: "low" } },
          ],
        },
      ],
      max_tokens: 500,
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "Weather",
            parameters: weather.parameters,
          },
        },
      ],
      reasoning_effort: "high",
    });
    expect(upstream.for("chat-a").at(-1)?.path).toBe("/v1/chat/completions");
  });

  test("of a Messages provider keeps signed thoughts through a tool round", async () => {
    upstream.on("claude-a", streamed(...messageStream));
    const client = openai(proxy);
    const first = await client.responses.stream({ ...asked, model: "claude-a" }).finalResponse();
    const [thought, made] = first.output;
    expect(made).toMatchObject({ type: "function_call", call_id: "toolu_1" });
    upstream.on(
      "claude-a",
      whole({
        content: [{ type: "text", text: "Sunny." }],
        stop_reason: "max_tokens",
        usage: { input_tokens: 9, output_tokens: 2 },
      }),
    );
    const second = await client.responses.create({
      ...asked,
      model: "claude-a",
      input: [
        { role: "user", content: "hi" },
        ...(thought === undefined || made === undefined ? [] : [thought, made]),
        { type: "function_call_output", call_id: "toolu_1", output: "sunny" },
      ] as never,
    });
    expect(second.output_text).toBe("Sunny.");
    expect(second.status).toBe("incomplete");
    expect(second.incomplete_details).toEqual({ reason: "max_output_tokens" });
    expect(sent("claude-a")).toMatchObject({
      messages: [
        { role: "user" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hmm", signature: "c2lnbmVk" },
            { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Bern" } },
          ],
        },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1" }] },
      ],
    });
  });

  test("of a Gemini provider", async () => {
    upstream.on(
      "gemini-a",
      whole({
        candidates: [
          {
            content: { role: "model", parts: [{ text: "Salut" }] },
            finishReason: "STOP",
          },
        ],
        usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 2, totalTokenCount: 6 },
      }),
    );
    const reply = await openai(proxy).responses.create({ model: "gemini-a", input: "hi" });
    expect(reply.output_text).toBe("Salut");
    expect(reply.usage?.total_tokens).toBe(6);
  });

  test("has tools of a namespace and custom ones under their own names", async () => {
    upstream.on(
      "chat-a",
      whole({
        choices: [
          {
            index: 0,
            message: {
              role: "assistant",
              content: null,
              tool_calls: [
                { id: "c1", type: "function", function: { name: "mcp__a__run", arguments: "{}" } },
                { id: "c2", type: "custom", custom: { name: "patch", input: "*** Begin" } },
              ],
            },
            finish_reason: "tool_calls",
          },
        ],
      }),
    );
    const reply = await proxy.post("/v1/responses", {
      model: "chat-a",
      input: "hi",
      store: false,
      tools: [
        {
          type: "namespace",
          name: "mcp__a__",
          description: "of a server",
          tools: [{ type: "function", name: "run", parameters: { type: "object" } }],
        },
        { type: "custom", name: "patch", format: { type: "grammar", syntax: "lark" } },
        { type: "web_search" },
      ],
    });
    expect(reply.status).toBe(200);
    expect(reply.headers.get("x-cliproxy-dropped")).toBe("tools[1].format, tools.web_search");
    const { output: items } = (await reply.json()) as { output: object[] };
    expect(items).toMatchObject([
      { type: "function_call", call_id: "c1", name: "run", namespace: "mcp__a__" },
      { type: "custom_tool_call", call_id: "c2", name: "patch", input: "*** Begin" },
    ]);
  });

  test.each([
    ["previous_response_id", { previous_response_id: "resp_1" }],
    ["conversation", { conversation: "conv_1" }],
    ["input[0]", { input: [{ type: "item_reference", id: "msg_1" }] }],
    [
      "input[0].content[0].file_id",
      {
        input: [{ role: "user", content: [{ type: "input_image", file_id: "file_1" }] }],
      },
    ],
    ["input[0].type", { input: [{ type: "computer_call", call_id: "c" }] }],
    ["brand_new", { brand_new: 1 }],
    ["text.brand_new", { text: { brand_new: 1 } }],
    ["tool_choice", { tool_choice: { type: "web_search" } }],
  ])("hears of %s that it can't be carried", async (field, extra) => {
    const before = upstream.for("chat-a").length;
    const reply = await proxy.post("/v1/responses", { model: "chat-a", input: "hi", ...extra });
    expect(reply.status).toBe(400);
    const { error } = (await reply.json()) as { error: { message: string; code: string } };
    expect(error.code).toBe("bad_request");
    expect(error.message).toContain(`\`${field}\``);
    expect(upstream.for("chat-a").length).toBe(before);
  });

  test.each([
    ["without its end", chatStream.slice(0, 5)],
    ["with an error", [chatStream[1] ?? "", 'data: {"error":{"message":"boom"}}\n\n']],
  ])("hears of a stream %s that it failed", async (_case, texts) => {
    upstream.on("chat-a", streamed(...texts));
    const reply = await proxy.post("/v1/responses", {
      model: "chat-a",
      input: "hi",
      stream: true,
    });
    const text = await reply.text();
    expect(text).toContain("event: response.failed\n");
    expect(text).not.toContain("response.completed");
  });

  test.each([false, true])("against aimock, stream %p", async (isStream) => {
    for (const model of ["gpt-4o", "claude-mock"]) {
      const params = { model, input: "weather", store: false };
      const client = openai(mocked);
      const reply = isStream
        ? await client.responses.stream(params).finalResponse()
        : await client.responses.create(params);
      expect(reply.output_text).toBe("It is sunny.");
    }
  });
});

test("a count that the provider can't make is an estimate, and says so", async () => {
  const text = "Some words that are counted. ".repeat(100);
  const messages = [{ role: "user" as const, content: text }];
  const before = upstream.received.length;
  const { data, response } = await anthropic(proxy)
    .messages.countTokens({ model: "chat-a", messages })
    .withResponse();
  expect(data.input_tokens).toBeWithin(500, 1000);
  expect(response.headers.get("x-cliproxy-estimated")).toBe("tokens");
  const counted = await google(proxy).models.countTokens({ model: "chat-a", contents: text });
  expect(counted.totalTokens).toBeWithin(500, 1000);
  expect(upstream.received.length).toBe(before);
  upstream.on("claude-a", whole({ input_tokens: 7 }));
  const native = await anthropic(proxy)
    .messages.countTokens({ model: "claude-a", messages })
    .withResponse();
  expect(native.data.input_tokens).toBe(7);
  expect(native.response.headers.get("x-cliproxy-estimated")).toBeNull();
});

test("`dialects` takes what the protocol has, and refuses the rest with its place", async () => {
  const file = join(makeDir(), "config.yaml");
  const one = { protocol: "openai-compatible", base_url: upstream.url, dialects: ["chat"] };
  writeFileSync(file, JSON.stringify({ providers: { one } }));
  const { code, out, err } = await runBinary(["check", "--config", file]);
  expect(code).toBe(78);
  expect(out + err).toContain("providers.one.dialects");
  expect(out + err).toContain("choose among openai-chat, openai-responses");
});

describe("a Responses provider", () => {
  test("of a Chat Completions client, streamed, and its request", async () => {
    upstream.on("gpt-5-r", streamed(...responseStream()));
    const stream = openai(proxy).chat.completions.stream({
      model: "gpt-5-r",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hi" },
      ],
      tools: [
        {
          type: "function",
          function: { name: "get_weather", description: "Weather", parameters: weather.parameters },
        },
      ],
      reasoning_effort: "low",
      max_completion_tokens: 300,
      response_format: { type: "json_object" },
      verbosity: "low",
      seed: 5,
      stream_options: { include_usage: true },
    });
    const reply = await stream.finalChatCompletion();
    expect(reply.choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: {
        content: "Looking 🌤",
        tool_calls: [{ id: "call_9", function: { name: "get_weather", arguments: said } }],
      },
    });
    expect(reply.usage).toMatchObject({
      prompt_tokens: 30,
      completion_tokens: 12,
      prompt_tokens_details: { cached_tokens: 10 },
      completion_tokens_details: { reasoning_tokens: 6 },
    });
    expect(upstream.for("gpt-5-r").at(-1)?.path).toBe("/v1/responses");
    expect(sent("gpt-5-r")).toEqual({
      model: "gpt-5-r",
      stream: true,
      store: false,
      instructions: "Be brief.",
      input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] }],
      max_output_tokens: 300,
      tools: [weather],
      text: { format: { type: "json_object" }, verbosity: "low" },
      reasoning: { effort: "low", summary: "auto" },
      include: ["reasoning.encrypted_content"],
    });
  });

  test("of a Messages client keeps its sealed thoughts through a tool round", async () => {
    upstream.on("gpt-5-r", whole(response));
    const client = anthropic(proxy);
    const asked = {
      model: "gpt-5-r",
      max_tokens: 4000,
      thinking: { type: "enabled" as const, budget_tokens: 2000 },
      tools: [
        {
          name: "get_weather",
          input_schema: { type: "object" as const },
        },
      ],
      stop_sequences: ["END"],
    };
    const first = await client.messages.create({
      ...asked,
      messages: [{ role: "user", content: "hi" }],
    });
    expect(first.content).toMatchObject([
      { type: "thinking", thinking: "I look" },
      { type: "text", text: "Looking 🌤" },
      { type: "tool_use", id: "call_9", input: { city: 'Zürich "x"' } },
    ]);
    expect(first.stop_reason).toBe("tool_use");
    expect(first.usage).toMatchObject({
      input_tokens: 20,
      cache_read_input_tokens: 10,
      output_tokens: 12,
    });
    const second = await client.messages
      .create({
        ...asked,
        messages: [
          { role: "user", content: "hi" },
          { role: "assistant", content: first.content as never },
          {
            role: "user",
            content: [
              {
                type: "tool_result",
                tool_use_id: "call_9",
                is_error: true,
                content: [
                  { type: "text", text: "no" },
                  {
                    type: "image",
                    source: { type: "base64", media_type: "image/png", data: "AAAA" },
                  },
                ],
              },
              { type: "text", text: "again" },
            ],
          },
        ],
      })
      .asResponse();
    expect(second.headers.get("x-cliproxy-dropped")).toBe("stop_sequences");
    expect(sent("gpt-5-r")).toMatchObject({
      input: [
        { type: "message", role: "user" },
        {
          type: "reasoning",
          id: "rs_1",
          summary: [{ type: "summary_text", text: "I look" }],
          encrypted_content: "c2VhbGVk",
        },
        {
          type: "message",
          role: "assistant",
          content: [{ type: "output_text", text: "Looking 🌤" }],
        },
        { type: "function_call", call_id: "call_9", name: "get_weather" },
        {
          type: "function_call_output",
          call_id: "call_9",
          output: [
            { type: "input_text", text: "Error:" },
            { type: "input_text", text: "no" },
            { type: "input_image", image_url: "data:image/png;base64,AAAA" },
          ],
        },
        { type: "message", role: "user", content: [{ type: "input_text", text: "again" }] },
      ],
      reasoning: { effort: "low", summary: "auto" },
    });
  });

  test("of a Messages client, streamed", async () => {
    upstream.on("gpt-5-r", streamed(...responseStream()));
    const reply = await anthropic(proxy)
      .messages.stream({
        model: "gpt-5-r",
        max_tokens: 100,
        messages: [{ role: "user", content: "hi" }],
      })
      .finalMessage();
    expect(reply.content.map(({ type }) => type)).toEqual(["thinking", "text", "tool_use"]);
    expect(reply.usage).toMatchObject({ input_tokens: 20, output_tokens: 12 });
  });

  test("of a Gemini client", async () => {
    upstream.on("gpt-5-r", whole(response));
    const reply = await google(proxy).models.generateContent({
      model: "gpt-5-r",
      contents: "hi",
    });
    expect(reply.functionCalls).toMatchObject([
      { name: "get_weather", args: { city: 'Zürich "x"' } },
    ]);
    expect(reply.usageMetadata).toMatchObject({ promptTokenCount: 30 });
  });

  test.each([
    ["that failed", { ...response, status: "failed", error: { code: "x", message: "boom" } }],
    ["without output", { id: "resp_1", object: "response", status: "completed" }],
  ])("gives a response %s: 502", async (_case, body) => {
    upstream.on("gpt-5-r", whole(body));
    const reply = await proxy.post("/v1/chat/completions", {
      model: "gpt-5-r",
      messages: [{ role: "user", content: "hi" }],
    });
    expect(reply.status).toBe(502);
  });

  test.each([
    ["breaks off", responseStream().slice(0, 6), "upstream_truncated"],
    [
      "fails",
      [
        ...responseStream().slice(0, 6),
        event("response.failed", { response: { error: { code: "x", message: "boom" } } }),
      ],
      "boom",
    ],
  ])("whose stream %s is an error to the client", async (_case, texts, word) => {
    upstream.on("gpt-5-r", streamed(...texts));
    const reply = await proxy.post("/v1/chat/completions", {
      model: "gpt-5-r",
      messages: [{ role: "user", content: "hi" }],
      stream: true,
    });
    const text = await reply.text();
    expect(text).toContain(word);
    expect(text).not.toContain("[DONE]");
  });
});
