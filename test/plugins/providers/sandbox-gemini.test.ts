import { describe, expect, test } from "bun:test";
import { dialect } from "../../../plugins/dialects/gemini/index.ts";
import { provider } from "../../../plugins/providers/sandbox/index.ts";
import { maxValues, sampleOf } from "../../../plugins/providers/sandbox/schema-sample.ts";
import type { Surface } from "../../../src/contract/types.ts";

const contents = [{ role: "user", parts: [{ text: "hello" }] }];

async function ask(surface: Surface, verb: string, body: unknown, query = ""): Promise<Response> {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const stream = verb === "streamGenerateContent";
  const { signal } = new AbortController();
  const call = { dialect: "gemini", surface, model: "m", verb, stream, query, body: bytes, signal };
  const reply = await provider.answer?.(call);
  if (reply === undefined) throw new Error("no answer");
  return reply;
}

interface Spoken {
  readonly candidates?: readonly { readonly content: { readonly parts: { text: string }[] } }[];
  readonly embedding?: { readonly values: number[] };
  readonly embeddings?: readonly { readonly values: number[] }[];
  readonly totalTokens?: number;
}

async function readJson(reply: Response): Promise<Spoken> {
  return JSON.parse(await reply.text()) as Spoken;
}

describe("gemini", () => {
  test("a whole reply echoes, and reports what it would have cost", async () => {
    const systemInstruction = { parts: [{ text: "x".repeat(395) }] };
    const reply = await ask("gemini", "generateContent", { contents, systemInstruction });
    const bytes = await reply.bytes();
    expect(reply.headers.get("content-length")).toBe(String(bytes.length));
    expect(dialect.readUsage(bytes)).toMatchObject({ inputTokens: 100, outputTokens: 17 });
    const { candidates, modelVersion } = JSON.parse(new TextDecoder().decode(bytes));
    expect(modelVersion).toBe("m");
    expect(candidates[0]).toMatchObject({ finishReason: "STOP", index: 0 });
    expect(candidates[0].content.parts[0].text).toEndWith("You said: hello");
  });

  test("both spellings are heard", async () => {
    const body = {
      contents,
      system_instruction: { parts: [{ text: "x".repeat(395) }] },
      generation_config: { max_output_tokens: 2 },
    };
    const json = await readJson(await ask("gemini", "generateContent", body));
    expect(json).toMatchObject({
      candidates: [{ content: { parts: [{ text: "This is " }] }, finishReason: "MAX_TOKENS" }],
      usageMetadata: { promptTokenCount: 100, candidatesTokenCount: 2, totalTokenCount: 102 },
    });
  });

  test("streams events with alt=sse, and an array without", async () => {
    const body = { contents };
    const events = await ask("gemini", "streamGenerateContent", body, "?x=y&alt=sse");
    expect(events.headers.get("content-type")).toStartWith("text/event-stream");
    const list = await ask("gemini", "streamGenerateContent", body);
    expect(list.headers.get("content-type")).toStartWith("application/json");
    const [eventBytes, listBytes] = [await events.bytes(), await list.bytes()];
    for (const [reader, bytes] of [
      [dialect.readStream(), eventBytes],
      [dialect.readJsonStream?.(), listBytes],
    ] as const) {
      reader?.push(bytes);
      expect(reader?.end()).toBe("complete");
      expect(reader?.usage).toMatchObject({ inputTokens: 2, outputTokens: 17 });
    }
    type Chunk = { candidates: { content: { parts: { text: string }[] } }[] };
    const chunks = JSON.parse(new TextDecoder().decode(listBytes)) as Chunk[];
    const text = chunks.map((chunk) => chunk.candidates[0]?.content.parts[0]?.text).join("");
    expect(text).toEndWith("You said: hello");
  });

  const refused: readonly (readonly [surface: Surface, verb: string, body: unknown])[] = [
    ["gemini", "generateContent", {}],
    ["gemini", "generateContent", { contents: [] }],
    ["gemini", "generateContent", { contents: "hi" }],
    ["gemini", "streamGenerateContent", { contents: {} }],
    ["count_tokens", "countTokens", {}],
    ["count_tokens", "countTokens", { generateContentRequest: {} }],
    ["embeddings", "embedContent", {}],
    ["embeddings", "embedContent", { content: { parts: [] } }],
    ["embeddings", "embedContent", { content: { parts: [{ text: "" }] } }],
    ["embeddings", "batchEmbedContents", { requests: [] }],
    ["embeddings", "batchEmbedContents", { requests: [null] }],
    ["embeddings", "batchEmbedContents", { content: { parts: [{ text: "a" }] } }],
  ];
  test.each(refused)("%s %s refuses %j", async (surface, verb, body) => {
    const reply = await ask(surface, verb, body);
    expect(reply.status).toBe(400);
    expect(await readJson(reply)).toMatchObject({ error: { status: "INVALID_ARGUMENT" } });
  });

  test("counts what a reply would report, by itself or inside of a request", async () => {
    for (const body of [{ contents }, { generateContentRequest: { contents } }]) {
      expect(await readJson(await ask("count_tokens", "countTokens", body))).toEqual({
        totalTokens: 2,
      });
    }
  });

  test("embeds one text or many, as long as asked", async () => {
    const content = { parts: [{ text: "a" }, { text: "b" }] };
    const whole = await readJson(await ask("embeddings", "embedContent", { content }));
    const values = whole.embedding?.values ?? [];
    expect(values).toHaveLength(3072);
    expect(Math.hypot(...values)).toBeCloseTo(1, 4);
    const requests = [
      { content, outputDimensionality: 4 },
      { content, output_dimensionality: 2 },
    ];
    const batch = await readJson(await ask("embeddings", "batchEmbedContents", { requests }));
    expect(batch.embeddings?.map((one) => one.values.length)).toEqual([4, 2]);
  });

  test.each([0, -1, 1.5, 4097, "x", null])("refuses %j dimensions", async (dimensions) => {
    const content = { parts: [{ text: "a" }] };
    const body = { content, outputDimensionality: dimensions };
    const reply = await ask("embeddings", "embedContent", body);
    // Null says nothing.
    expect(reply.status).toBe(dimensions === null ? 200 : 400);
  });

  test("makes so many numbers at a time, and no more", async () => {
    const one = { content: { parts: [{ text: "a" }] }, outputDimensionality: 4096 };
    for (const [count, status] of [
      [256, 200],
      [257, 400],
    ] as const) {
      const body = { requests: Array(count).fill(one) };
      expect((await ask("embeddings", "batchEmbedContents", body)).status).toBe(status);
    }
  });

  test("asked for JSON, it answers what fits the schema", async () => {
    const responseSchema = { type: "OBJECT", properties: { why: { type: "STRING" } } };
    const generationConfig = { responseMimeType: "application/json", responseSchema };
    const body = { contents, generationConfig };
    const json = await readJson(await ask("gemini", "generateContent", body));
    const said = JSON.parse(json.candidates?.[0]?.content.parts[0]?.text ?? "");
    expect(said).toEqual({ why: expect.stringContaining("hello") });
  });
});

describe("sampleOf", () => {
  const cases: readonly (readonly [schema: unknown, expected: unknown])[] = [
    [{ type: "STRING" }, "t"],
    [{ type: "string", enum: ["a", "b"] }, "a"],
    [{ type: ["string", "null"] }, "t"],
    [{ type: "INTEGER" }, 1],
    [{ type: "number", minimum: 7 }, 7],
    [{ type: "BOOLEAN" }, false],
    [{ type: "ARRAY", items: { type: "STRING" } }, []],
    [{ type: "array", items: { type: "string" }, minItems: "3" }, ["t"]],
    [{ anyOf: [{ type: "string" }, { type: "null" }] }, "t"],
    [{ properties: { a: { type: "string" }, b: { type: "object" } } }, { a: "t", b: {} }],
    [
      { properties: JSON.parse('{"__proto__":{"type":"string"}}') },
      JSON.parse('{"__proto__":"t"}'),
    ],
    [{ type: "null" }, null],
    [{ type: {} }, null],
    [{ type: "object", properties: [] }, {}],
    [null, null],
    ["x", null],
  ];
  test.each(cases)("%j", (schema, expected) => {
    expect(sampleOf(schema, "t")).toEqual(expected);
  });

  test("is bounded in depth and size", () => {
    let deep: unknown = { type: "string" };
    for (let i = 0; i < 100; i++) deep = { properties: { a: deep } };
    expect(JSON.stringify(sampleOf(deep, "t"))).toContain("null");
    const wide = (count: number) => ({
      properties: Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`k${i}`, { type: "string" }]),
      ),
    });
    // The object itself is one of them.
    for (const [count, made] of [
      [maxValues - 1, maxValues - 1],
      [maxValues, maxValues - 1],
    ] as const) {
      expect(Object.keys(sampleOf(wide(count), "t") as object)).toHaveLength(made);
    }
  });
});
