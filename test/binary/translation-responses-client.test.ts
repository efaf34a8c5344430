import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LLMock } from "@copilotkit/aimock";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { chatChunk as chunk, sseEvent as event, streamed, whole } from "../harness/json-replies.ts";
import { oneEach, openai, said, weather } from "../harness/one-each.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;
let mocked: RunningProxy;

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

function sent(model: string): Record<string, unknown> {
  return JSON.parse(String(upstream.for(model).at(-1)?.body)) as Record<string, unknown>;
}

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
