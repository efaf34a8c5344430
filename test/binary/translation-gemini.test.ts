import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { chatChunk as chunk, streamed, whole } from "../harness/json-replies.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  const one = { base_url: upstream.url, api_key: "upstream-secret-key-1" };
  proxy = await startProxy({
    config: {
      providers: {
        goo: { protocol: "gemini", ...one, models: ["gemini-3-a"] },
        oai: { protocol: "openai", ...one, models: ["gpt-a"] },
        ant: { protocol: "claude", ...one, models: ["claude-a"] },
      },
    },
  });
});
afterAll(cleanUp);

const usageMetadata = {
  promptTokenCount: 10,
  candidatesTokenCount: 4,
  thoughtsTokenCount: 3,
  cachedContentTokenCount: 2,
  totalTokenCount: 17,
};
const callPart = {
  functionCall: { name: "get_weather", args: { city: "Bern" } },
  thoughtSignature: "c2lnbmF0dXJl",
};
const reply = {
  candidates: [
    { content: { role: "model", parts: [{ text: "Looking" }, callPart] }, finishReason: "STOP" },
  ],
  usageMetadata,
};
const events = [
  { candidates: [{ content: { role: "model", parts: [{ text: "Look" }] }, index: 0 }] },
  { candidates: [{ content: { role: "model", parts: [{ text: "ing" }, callPart] }, index: 0 }] },
  { candidates: [{ content: { parts: [] }, finishReason: "STOP", index: 0 }], usageMetadata },
].map((event) => `data: ${JSON.stringify(event)}\n\n`);

const schema = { type: "object" as const, properties: { city: { type: "string" } } };
const tools = [{ name: "get_weather", description: "Weather", input_schema: schema }];

function sent(model: string): Record<string, unknown> {
  return JSON.parse(String(upstream.for(model).at(-1)?.body));
}

describe("a Messages client and a Gemini provider", () => {
  test.each([false, true])("a tool round keeps the signature, stream %p", async (isStream) => {
    upstream.on("gemini-3-a", isStream ? streamed(...events) : whole(reply));
    const client = new Anthropic({ baseURL: proxy.url, apiKey: clientKey, maxRetries: 0 });
    const params = {
      model: "gemini-3-a",
      max_tokens: 100,
      messages: [{ role: "user" as const, content: "hi" }],
      tools,
    };
    const first = isStream
      ? await client.messages.stream(params).finalMessage()
      : await client.messages.create(params);
    expect(first.stop_reason).toBe("tool_use");
    expect(first.content.map(({ type }) => type)).toEqual(["text", "thinking", "tool_use"]);
    expect(first.usage).toMatchObject({ input_tokens: 8, output_tokens: 7 });
    const call = first.content.find((block) => block.type === "tool_use");
    upstream.on("gemini-3-a", whole(reply));
    await client.messages.create({
      ...params,
      messages: [
        ...params.messages,
        { role: "assistant", content: first.content },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content: "sunny" }],
        },
      ],
    });
    expect(sent("gemini-3-a")).toEqual({
      contents: [
        { role: "user", parts: [{ text: "hi" }] },
        { role: "model", parts: [{ text: "Looking" }, callPart] },
        {
          role: "user",
          parts: [{ functionResponse: { name: "get_weather", response: { output: "sunny" } } }],
        },
      ],
      tools: [
        {
          functionDeclarations: [
            { name: "get_weather", description: "Weather", parametersJsonSchema: schema },
          ],
        },
      ],
      generationConfig: { maxOutputTokens: 100 },
    });
  });
});

describe("a Chat Completions client and a Gemini provider", () => {
  test.each([false, true])("stream %p", async (isStream) => {
    upstream.on("gemini-3-a", isStream ? streamed(...events) : whole(reply));
    const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: clientKey, maxRetries: 0 });
    const params = {
      model: "gemini-3-a",
      seed: 7,
      messages: [{ role: "user" as const, content: "hi" }],
      response_format: {
        type: "json_schema" as const,
        json_schema: { name: "city", schema },
      },
    };
    const made = isStream
      ? await client.chat.completions.stream(params).finalChatCompletion()
      : await client.chat.completions.create(params);
    expect(made.choices[0]?.message.content).toBe("Looking");
    expect(made.choices[0]?.message.tool_calls).toMatchObject([
      { function: { name: "get_weather", arguments: '{"city":"Bern"}' } },
    ]);
    expect(made.choices[0]?.finish_reason).toBe("tool_calls");
    expect(sent("gemini-3-a").generationConfig).toEqual({
      seed: 7,
      responseMimeType: "application/json",
      responseJsonSchema: schema,
    });
  });

  test("a blocked prompt ends by the filter, and a cut stream as an error", async () => {
    upstream.on("gemini-3-a", whole({ promptFeedback: { blockReason: "SAFETY" } }));
    const body = { model: "gemini-3-a", messages: [{ role: "user", content: "hi" }] };
    const blocked = await proxy.post("/v1/chat/completions", body);
    expect(await blocked.json()).toMatchObject({ choices: [{ finish_reason: "content_filter" }] });
    upstream.on("gemini-3-a", streamed(events[0] ?? ""));
    const cut = await proxy.post("/v1/chat/completions", { ...body, stream: true });
    expect(await cut.text()).toContain('"code":"upstream_truncated"');
  });
});

describe("a Gemini client", () => {
  const client = (): GoogleGenAI =>
    new GoogleGenAI({ apiKey: clientKey, httpOptions: { baseUrl: proxy.url } });
  const config = {
    tools: [{ functionDeclarations: [{ name: "get_weather", parametersJsonSchema: schema }] }],
  };

  test("streams from a Chat Completions provider", async () => {
    const call = { index: 0, id: "c1", function: { name: "get_weather", arguments: '{"city":' } };
    upstream.on(
      "gpt-a",
      streamed(
        chunk({ content: "Look" }),
        chunk({ content: "ing" }),
        chunk({ tool_calls: [call] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '"Bern"}' } }] }),
        chunk({}, "tool_calls"),
        "data: [DONE]\n\n",
      ),
    );
    const stream = await client().models.generateContentStream({
      model: "gpt-a",
      contents: "hi",
      config,
    });
    let text = "";
    const calls: unknown[] = [];
    for await (const piece of stream) {
      text += piece.candidates?.[0]?.content?.parts?.map((part) => part.text ?? "").join("") ?? "";
      calls.push(...(piece.functionCalls ?? []));
    }
    expect(text).toBe("Looking");
    expect(calls).toEqual([{ id: "c1", name: "get_weather", args: { city: "Bern" } }]);
  });

  test("as one array, where events are not asked for", async () => {
    upstream.on("gpt-a", streamed(chunk({ content: "hi" }), chunk({}, "stop"), "data: [DONE]\n\n"));
    const answer = await proxy.post("/v1beta/models/gpt-a:streamGenerateContent", {
      contents: [{ role: "user", parts: [{ text: "hi" }] }],
    });
    expect(answer.headers.get("content-type")).toBe("application/json");
    const list = (await answer.json()) as { candidates: { finishReason?: string }[] }[];
    expect(list.at(-1)?.candidates[0]?.finishReason).toBe("STOP");
  });

  test("has a tool round with a Messages provider, thoughts kept", async () => {
    const content = [
      { type: "thinking", thinking: "hmm", signature: "c2ln" },
      { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Bern" } },
    ];
    upstream.on("claude-a", whole({ type: "message", content, stop_reason: "tool_use" }));
    const first = await client().models.generateContent({
      model: "claude-a",
      contents: "hi",
      config,
    });
    expect(first.functionCalls).toMatchObject([{ name: "get_weather", args: { city: "Bern" } }]);
    await client().models.generateContent({
      model: "claude-a",
      config,
      contents: [
        { role: "user", parts: [{ text: "hi" }] },
        first.candidates?.[0]?.content ?? {},
        {
          role: "user",
          parts: [
            { functionResponse: { id: "toolu_1", name: "get_weather", response: { error: "no" } } },
          ],
        },
      ],
    });
    expect(sent("claude-a").messages).toEqual([
      { role: "user", content: [{ type: "text", text: "hi" }] },
      { role: "assistant", content },
      {
        role: "user",
        content: [
          {
            type: "tool_result",
            tool_use_id: "toolu_1",
            content: [{ type: "text", text: "no" }],
            is_error: true,
          },
        ],
      },
    ]);
  });
});
