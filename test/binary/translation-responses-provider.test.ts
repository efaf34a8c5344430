import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { sseEvent as event, streamed, whole } from "../harness/json-replies.ts";
import { anthropic, google, oneEach, openai, said, weather } from "../harness/one-each.ts";
import { makeDir, needBinary, type RunningProxy, runBinary, startProxy } from "../harness/proxy.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: oneEach(upstream.url) } });
});
afterAll(cleanUp);

function sent(model: string): Record<string, unknown> {
  return JSON.parse(String(upstream.for(model).at(-1)?.body)) as Record<string, unknown>;
}

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
