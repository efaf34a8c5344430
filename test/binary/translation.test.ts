import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { LLMock } from "@copilotkit/aimock";
import OpenAI from "openai";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { chatChunk as chunk, sseEvent as event, streamed, whole } from "../harness/json-replies.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;
let mocked: RunningProxy;

const key = "upstream-secret-key-1";

function oneEach(url: string): Record<string, unknown> {
  return {
    oai: { protocol: "openai", base_url: url, api_key: key, models: ["gpt-a", "gpt-4o"] },
    ant: { protocol: "claude", base_url: url, api_key: key, models: ["claude-a", "claude-mock"] },
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

function anthropic(where: RunningProxy): Anthropic {
  return new Anthropic({ baseURL: where.url, apiKey: clientKey, maxRetries: 0, logLevel: "off" });
}
function openai(where: RunningProxy): OpenAI {
  return new OpenAI({ baseURL: `${where.url}/v1`, apiKey: clientKey, maxRetries: 0 });
}

const usage = {
  prompt_tokens: 20,
  completion_tokens: 9,
  prompt_tokens_details: { cached_tokens: 8 },
  completion_tokens_details: { reasoning_tokens: 4 },
};
const call = { name: "get_weather", arguments: '{"city":"Zürich \\"x\\""}' };
const completion = {
  id: "c1",
  choices: [
    {
      index: 0,
      message: {
        role: "assistant",
        content: "Let me look. 🌤",
        tool_calls: [{ id: "call_1", type: "function", function: call }],
      },
      finish_reason: "tool_calls",
    },
  ],
  usage,
};
const tools = [
  {
    name: "get_weather",
    description: "Weather",
    input_schema: { type: "object" as const, properties: { city: { type: "string" } } },
  },
];

const chatStream = [
  chunk({ role: "assistant", content: "Let me " }),
  chunk({ content: "look. 🌤" }),
  chunk({
    tool_calls: [{ index: 0, id: "call_1", function: { name: "get_weather", arguments: "" } }],
  }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":"Zürich' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: ' \\"x\\""}' } }] }),
  chunk({
    tool_calls: [{ index: 1, id: "call_2", function: { name: "get_weather", arguments: "{}" } }],
  }),
  chunk({}, "tool_calls"),
  `data: ${JSON.stringify({ choices: [], usage })}\n\n`,
  "data: [DONE]\n\n",
];

describe("a Messages client and a Chat Completions provider", () => {
  test("a whole reply with a tool, and its request", async () => {
    upstream.on("gpt-a", whole(completion));
    const reply = await anthropic(proxy).messages.create({
      model: "gpt-a",
      max_tokens: 100,
      system: "Be brief.",
      messages: [
        { role: "user", content: "hi" },
        {
          role: "assistant",
          content: [{ type: "tool_use", id: "t1", name: "get_weather", input: {} }],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "t1", content: "no such city", is_error: true },
            { type: "text", text: "again" },
          ],
        },
      ],
      tools,
      tool_choice: { type: "any", disable_parallel_tool_use: true },
    });
    expect(reply.content).toMatchObject([
      { type: "text", text: "Let me look. 🌤" },
      { type: "tool_use", id: "call_1", name: "get_weather", input: { city: 'Zürich "x"' } },
    ]);
    expect(reply.stop_reason).toBe("tool_use");
    expect(reply.model).toBe("gpt-a");
    expect(reply.usage).toMatchObject({
      input_tokens: 12,
      cache_read_input_tokens: 8,
      output_tokens: 9,
    });
    const sent = upstream.for("gpt-a").at(-1);
    expect(sent?.path).toBe("/v1/chat/completions");
    expect(sent?.header("authorization")).toBe(`Bearer ${key}`);
    expect(sent?.header("anthropic-version")).toBeUndefined();
    expect(JSON.stringify(sent?.headers)).not.toContain(clientKey);
    expect(JSON.parse(String(sent?.body))).toEqual({
      model: "gpt-a",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hi" },
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "t1", type: "function", function: { name: "get_weather", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "t1", content: "Error: no such city" },
        { role: "user", content: "again" },
      ],
      max_tokens: 100,
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "Weather",
            parameters: tools[0]?.input_schema,
          },
        },
      ],
      tool_choice: "required",
      parallel_tool_calls: false,
    });
  });

  test("a stream with parallel tools", async () => {
    upstream.on("gpt-a", streamed(...chatStream));
    const stream = anthropic(proxy).messages.stream({
      model: "gpt-a",
      max_tokens: 100,
      messages: [{ role: "user", content: "hi" }],
      tools,
    });
    const names: string[] = [];
    stream.on("streamEvent", ({ type }) => names.push(type));
    const reply = await stream.finalMessage();
    expect(reply.content).toMatchObject([
      { type: "text", text: "Let me look. 🌤" },
      { type: "tool_use", id: "call_1", input: { city: 'Zürich "x"' } },
      { type: "tool_use", id: "call_2", input: {} },
    ]);
    expect(reply.stop_reason).toBe("tool_use");
    expect(reply.usage).toMatchObject({ input_tokens: 12, output_tokens: 9 });
    expect(names[0]).toBe("message_start");
    expect(names.slice(-2)).toEqual(["message_delta", "message_stop"]);
  });

  test.each([
    ["without its end", chatStream.slice(0, 5)],
    ["with what is no JSON", [chatStream[0] ?? "", "data: {nonsense\n\n"]],
    [
      "with a call that has no name",
      [chunk({ tool_calls: [{ index: 0, function: { arguments: "{" } }] })],
    ],
    ["with an error", [chatStream[0] ?? "", 'data: {"error":{"message":"boom"}}\n\n']],
  ])("a stream %s is an error to the client", async (_case, texts) => {
    upstream.on("gpt-a", streamed(...texts));
    const stream = anthropic(proxy).messages.stream({
      model: "gpt-a",
      max_tokens: 100,
      messages: [{ role: "user", content: "hi" }],
    });
    const failed = await stream.finalMessage().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(Anthropic.APIError);
  });

  test("an error of the provider's has its status, words and wait", async () => {
    const error = { error: { message: "slow down, please", type: "tokens", code: "rate" } };
    upstream.on("gpt-a", whole(error, 429, { "retry-after": "7" }));
    const body = { model: "gpt-a", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
    const reply = await proxy.post("/v1/messages", body);
    expect(reply.status).toBe(429);
    expect(reply.headers.get("retry-after")).toBe("7");
    expect(await reply.json()).toMatchObject({
      type: "error",
      error: { type: "rate_limit_error", message: "slow down, please" },
    });
  });

  test("what is dropped is told, and what can't be carried is refused by its name", async () => {
    upstream.on("gpt-a", whole(completion));
    const base = { model: "gpt-a", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
    const dropped = await proxy.post("/v1/messages", { ...base, top_k: 5, service_tier: "auto" });
    expect(dropped.status).toBe(200);
    expect(dropped.headers.get("x-cliproxy-dropped")).toBe("service_tier, top_k");
    const before = upstream.for("gpt-a").length;
    for (const [field, value] of [
      ["container", "c_1"],
      ["brand_new", 1],
    ] as const) {
      const refused = await proxy.post("/v1/messages", { ...base, [field]: value });
      expect(refused.status).toBe(400);
      expect(((await refused.json()) as { error: { message: string } }).error.message).toContain(
        `\`${field}\``,
      );
    }
    expect(upstream.for("gpt-a").length).toBe(before);
  });

  test.each([false, true])("against aimock, stream %p", async (isStream) => {
    const params = {
      model: "gpt-4o",
      max_tokens: 100,
      messages: [{ role: "user" as const, content: "weather" }],
    };
    const client = anthropic(mocked);
    const reply = isStream
      ? await client.messages.stream(params).finalMessage()
      : await client.messages.create(params);
    expect(reply.content).toMatchObject([{ type: "text", text: "It is sunny." }]);
  });
});

const message = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  content: [
    { type: "thinking", thinking: "hmm", signature: "c2ln" },
    { type: "text", text: "Looking" },
    { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Bern" } },
  ],
  stop_reason: "tool_use",
  usage: { input_tokens: 3, cache_read_input_tokens: 5, output_tokens: 7 },
};
const messageStream = [
  event("message_start", { message: { ...message, content: [], stop_reason: null } }),
  event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
  event("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Looking" } }),
  event("content_block_stop", { index: 0 }),
  event("content_block_start", {
    index: 1,
    content_block: { type: "tool_use", id: "toolu_1", name: "get_weather", input: {} },
  }),
  event("content_block_delta", {
    index: 1,
    delta: { type: "input_json_delta", partial_json: '{"city":' },
  }),
  event("content_block_delta", {
    index: 1,
    delta: { type: "input_json_delta", partial_json: '"Bern"}' },
  }),
  event("content_block_stop", { index: 1 }),
  event("message_delta", { delta: { stop_reason: "tool_use" }, usage: { output_tokens: 7 } }),
  event("message_stop", {}),
];

describe("a Chat Completions client and a Messages provider", () => {
  const params = {
    model: "claude-a",
    messages: [
      { role: "system" as const, content: "Be brief." },
      { role: "user" as const, content: "hi" },
    ],
  };

  test("a whole reply, with thoughts that come back signed", async () => {
    upstream.on("claude-a", whole(message));
    const reply = await openai(proxy).chat.completions.create(params);
    const [choice] = reply.choices;
    expect(choice?.finish_reason).toBe("tool_calls");
    expect(choice?.message.tool_calls).toEqual([
      {
        id: "toolu_1",
        type: "function",
        function: { name: "get_weather", arguments: '{"city":"Bern"}' },
      },
    ]);
    expect(reply.usage).toMatchObject({ prompt_tokens: 8, completion_tokens: 7, total_tokens: 15 });
    await openai(proxy).chat.completions.create({
      ...params,
      messages: [
        ...params.messages,
        ...(choice === undefined ? [] : [choice.message]),
        { role: "tool", tool_call_id: "toolu_1", content: "sunny" },
      ],
    });
    const sent = JSON.parse(String(upstream.for("claude-a").at(-1)?.body));
    expect(sent).toMatchObject({
      max_tokens: 8192,
      system: [{ type: "text", text: "Be brief." }],
      messages: [
        { role: "user" },
        { role: "assistant", content: message.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1" }] },
      ],
    });
  });

  test("a stream with a tool and its usage", async () => {
    upstream.on("claude-a", streamed(...messageStream));
    const stream = openai(proxy).chat.completions.stream({
      ...params,
      stream_options: { include_usage: true },
    });
    const reply = await stream.finalChatCompletion();
    expect(reply.choices[0]?.message).toMatchObject({
      content: "Looking",
      tool_calls: [
        { id: "toolu_1", function: { name: "get_weather", arguments: '{"city":"Bern"}' } },
      ],
    });
    expect(reply.choices[0]?.finish_reason).toBe("tool_calls");
    expect(reply.usage).toMatchObject({ prompt_tokens: 8, completion_tokens: 7 });
  });

  test("a stream without its end is an error to the client", async () => {
    upstream.on("claude-a", streamed(...messageStream.slice(0, 5)));
    const reply = await proxy.post("/v1/chat/completions", { ...params, stream: true });
    const text = await reply.text();
    expect(text).toContain('"code":"upstream_truncated"');
    expect(text).not.toContain("[DONE]");
  });

  test.each([false, true])("against aimock, stream %p", async (isStream) => {
    const asked = {
      model: "claude-mock",
      messages: [{ role: "user" as const, content: "weather" }],
    };
    const client = openai(mocked);
    const reply = isStream
      ? await client.chat.completions.stream(asked).finalChatCompletion()
      : await client.chat.completions.create(asked);
    expect(reply.choices[0]?.message.content).toBe("It is sunny.");
  });
});
