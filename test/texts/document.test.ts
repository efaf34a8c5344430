import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mostParts, TextDocument, TextFault } from "../../src/texts/document.ts";

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const open = (value: unknown): TextDocument => new TextDocument(encode(value));
const kindsOf = (value: unknown): string[] =>
  open(value)
    .texts()
    .map(({ kind, path, text }) => `${kind} ${path} ${text}`);
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";

describe("the texts of a request", () => {
  test("openai-chat: system, messages, calls, results, images, tools, the rest", () => {
    const body = {
      model: "m",
      stream: true,
      temperature: 0.5,
      messages: [
        { role: "developer", content: "be good" },
        {
          role: "user",
          name: "ann",
          content: [
            { type: "text", text: "look" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
          ],
        },
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "c1", type: "function", function: { name: "f", arguments: '{"a":"\\u0062"}' } },
          ],
        },
        { role: "tool", tool_call_id: "c1", content: "done" },
      ],
      tools: [{ type: "function", function: { name: "f" } }],
    };
    expect(kindsOf(body)).toEqual([
      "system messages.0.content be good",
      "user messages.1.content.0.text look",
      `image messages.1.content.1.image_url {"url":"image/png, ${png.length} characters"}`,
      'other messages.1 {"name":"ann"}',
      'tool_call messages.2.tool_calls.0.function.arguments {"a":"b"}',
      'other messages.2.tool_calls.0.function {"name":"f"}',
      'other messages.2.tool_calls.0 {"id":"c1","type":"function"}',
      'other messages.2 {"content":null}',
      "tool_result messages.3.content done",
      'other messages.3 {"tool_call_id":"c1"}',
      'tool tools [{"type":"function","function":{"name":"f"}}]',
      'other  {"temperature":0.5}',
    ]);
  });

  test("anthropic-messages", () => {
    const source = { type: "base64", media_type: "image/png", data: png };
    const body = {
      model: "m",
      system: [{ type: "text", text: "be good" }],
      messages: [
        { role: "user", content: [{ type: "image", source }] },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm" },
            { type: "tool_use", id: "t1", name: "f", input: { a: 1 } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "done" }] },
          ],
        },
      ],
    };
    const seen = kindsOf(body);
    expect(seen).toContain("system system.0.text be good");
    expect(seen).toContain("assistant messages.1.content.0.thinking hm");
    expect(seen).toContain('tool_call messages.1.content.1.input {"a":1}');
    expect(seen).toContain("tool_result messages.2.content.0.content.0.text done");
    const image = open(body)
      .texts()
      .find(({ kind }) => kind === "image");
    expect(image?.mediaType).toBe("image/png");
    expect(image?.text).not.toContain(png);
  });

  test("gemini", () => {
    const seen = kindsOf({
      systemInstruction: { parts: [{ text: "be good" }] },
      contents: [
        {
          role: "user",
          parts: [{ text: "hi" }, { inlineData: { mimeType: "image/png", data: png } }],
        },
        { role: "model", parts: [{ functionCall: { name: "f", args: { a: 1 } } }] },
        { role: "user", parts: [{ functionResponse: { name: "f", response: { b: 2 } } }] },
      ],
    });
    expect(seen).toContain("system systemInstruction.parts.0.text be good");
    expect(seen).toContain("user contents.0.parts.0.text hi");
    expect(seen).toContain('tool_call contents.1.parts.0.functionCall {"name":"f","args":{"a":1}}');
    expect(seen).toContain(
      'tool_result contents.2.parts.0.functionResponse {"name":"f","response":{"b":2}}',
    );
    expect(seen.some((one) => one.startsWith("image contents.0.parts.1.inlineData"))).toBe(true);
  });

  test("openai-responses", () => {
    const seen = kindsOf({
      model: "m",
      instructions: "be good",
      input: [
        { role: "user", content: [{ type: "input_text", text: "hi" }] },
        { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }] },
        { type: "function_call", call_id: "c", name: "f", arguments: '{"a":1}' },
        { type: "function_call_output", call_id: "c", output: "done" },
      ],
    });
    expect(seen).toContain("system instructions be good");
    expect(seen).toContain("user input.0.content.0.text hi");
    expect(seen).toContain("assistant input.1.summary.0.text hm");
    expect(seen).toContain('tool_call input.2.arguments {"a":1}');
    expect(seen).toContain("tool_result input.3.output done");
  });

  test("nothing is hidden: any text and any name, wherever it stands", () => {
    const names = fc.constantFrom(
      ...["messages", "content", "parts", "text", "type", "role", "input", "source", "data", "url"],
      ...["image_url", "inlineData", "tool_calls", "function", "arguments", "output", "summary"],
      ...["system", "tools", "thinking", "functionCall", "unknown", "model", "stream"],
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: "medium" },
        fc.constantFrom("CANARY-TEXT", "user", "text", "image"),
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(names, tie("tree"), { maxKeys: 4 }),
      ),
    }));
    const count = (text: string): number => text.split("CANARY-TEXT").length - 1;
    fc.assert(
      fc.property(fc.dictionary(names, tree, { maxKeys: 5 }), (body) => {
        const { model: _, ...shown } = body;
        const seen = open(body).texts();
        const found = seen.reduce((sum, { text }) => sum + count(text), 0);
        const model = typeof body.model === "string" ? "" : JSON.stringify(body.model ?? "");
        expect(found).toBeGreaterThanOrEqual(count(JSON.stringify(shown)) + count(model));
      }),
      { numRuns: 2000, seed: 17 },
    );
  });

  test("what only says that it is an image is shown", () => {
    const secret = "QUtJQUlPU0ZPRE5ON0VYQU1QTEU=";
    for (const part of [
      { type: "image", source: { type: "base64", media_type: "image/png", data: secret } },
      { type: "image_url", image_url: { url: `data:image/png;base64,${secret}` } },
      { inlineData: { mimeType: "image/png", data: secret } },
    ]) {
      const seen = kindsOf({ messages: [{ role: "user", content: [part] }] });
      expect(seen.join()).toContain(secret);
    }
  });

  test.each([
    ['{"messages":[{"role":"user","content":"bad","content":"good"}]}', "twice"],
    ['{"a":{"\\u0062":1,"b":2}}', "twice"],
    ["[1]", "object"],
  ])("%s is refused", (json, why) => {
    expect(() => new TextDocument(new TextEncoder().encode(json))).toThrow(why);
  });

  test("a key given twice in arguments is shown in both", () => {
    const args = '{"a":"bad","a":"good"}';
    const seen = kindsOf({ input: [{ type: "function_call", arguments: args }] });
    expect(seen.join()).toContain('"bad"');
  });

  test("too many are refused", () => {
    const messages = Array.from({ length: mostParts + 1 }, () => ({ role: "user", content: "a" }));
    expect(() => open({ messages })).toThrow(TextFault);
  });
});

describe("edits", () => {
  const body = {
    model: "m",
    max_tokens: 5,
    temperature: 1,
    messages: [
      { role: "user", content: "one" },
      { role: "assistant", tool_calls: [{ function: { arguments: '{"a":1}' } }] },
    ],
  };
  const result = (document: TextDocument): unknown =>
    JSON.parse(new TextDecoder().decode(document.toBytes()));

  test("texts, arguments, parameters", () => {
    const document = open(body);
    const texts = [
      { index: 0, text: 'tw"o' },
      { index: 1, text: '{"a":2}' },
    ];
    expect(document.edit({ texts, parameters: { max_tokens: 3, temperature: null } })).toBe(
      undefined,
    );
    expect(document.texts()[0]?.text).toBe('tw"o');
    expect(result(document)).toEqual({
      model: "m",
      max_tokens: 3,
      messages: [
        { role: "user", content: 'tw"o' },
        { role: "assistant", tool_calls: [{ function: { arguments: '{"a":2}' } }] },
      ],
    });
  });

  test.each([
    [{ texts: [{ index: 9, text: "x" }] }, "no text 9"],
    [{ texts: [{ index: 0, text: 1 }] }, "must be text"],
    [
      {
        texts: [
          { index: 0, text: "x" },
          { index: 1, text: "no json" },
        ],
      },
      "can't be put",
    ],
    [{ texts: [{ index: 1, text: "[1]" }] }, "can't be put"],
    [{ texts: "x" }, "list"],
    [{ parameters: { messages: [] } }, "no parameter"],
    [{ parameters: { model: "x" } }, "no parameter"],
    [{ parameters: { stream: true } }, "no parameter"],
    [{ parameters: { a: undefined } }, "no JSON"],
  ])("%j changes nothing", (edit, why) => {
    const document = open(body);
    expect(document.edit(edit as never)).toContain(why);
    expect(result(document)).toEqual(body);
    expect(document.isEdited).toBe(false);
  });
});
