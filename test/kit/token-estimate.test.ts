import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { estimateInput, estimateOutput, tokenFigures } from "../../src/kit/token-estimate.ts";

const { attachmentTokens, documentTokens } = tokenFigures;
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const said = (content: unknown): object => ({ model: "m", messages: [{ role: "user", content }] });
const base64 = (length: number): string =>
  "iVBORw0KGgo+AAA/ANSUhEUg".repeat(length).slice(0, length);
const pdf = { type: "base64", media_type: "application/pdf" };

/** What an estimate may be off, for the JSON around a text. */
const frame = 60;

describe("an attachment in base64 counts a flat figure:", () => {
  type Case = readonly [name: string, content: unknown, tokens: number];
  const cases: readonly Case[] = [
    [
      "an image of OpenAI's chat",
      [{ type: "image_url", image_url: { url: `data:image/png;base64,${base64(90_000)}` } }],
      attachmentTokens,
    ],
    [
      "an image of OpenAI's Responses",
      [{ type: "input_image", image_url: `data:image/jpeg;base64,${base64(5000)}` }],
      attachmentTokens,
    ],
    [
      "audio of OpenAI's chat",
      [{ type: "input_audio", input_audio: { data: base64(9000), format: "wav" } }],
      attachmentTokens,
    ],
    [
      "a file of OpenAI's chat",
      [{ type: "file", file: { file_data: `data:application/pdf;base64,${base64(9000)}` } }],
      documentTokens,
    ],
    [
      "an image of Anthropic",
      [{ type: "image", source: { type: "base64", media_type: "image/png", data: base64(9000) } }],
      attachmentTokens,
    ],
    [
      "a document of Anthropic",
      [{ type: "document", source: { ...pdf, data: base64(90_000) } }],
      documentTokens,
    ],
    [
      "a document whose type follows",
      [{ type: "document", source: { data: base64(9000), ...pdf } }],
      documentTokens,
    ],
    [
      "an image of Gemini",
      [{ inlineData: { mimeType: "image/png", data: base64(9000) } }],
      attachmentTokens,
    ],
    ["base64 for URLs", [{ data: `${base64(9000)}-_==` }], attachmentTokens],
    [
      "three of them",
      [1, 2, 3].map(() => ({ inlineData: { mimeType: "image/png", data: base64(9000) } })),
      3 * attachmentTokens,
    ],
    ["the shortest", [{ data: base64(1024) }], attachmentTokens],
  ];
  test.each(cases)("%s", (_name, content, tokens) => {
    const estimate = estimateInput(bytes(said(content)));
    expect(estimate).toBeGreaterThanOrEqual(tokens);
    expect(estimate).toBeLessThan(tokens + 3 * frame);
  });

  test("not its characters: ten times the size costs the same", () => {
    const small = estimateInput(bytes(said([{ data: base64(10_000) }])));
    expect(estimateInput(bytes(said([{ data: base64(1_000_000) }])))).toBe(small);
  });
});

describe("all else is text:", () => {
  const cases: readonly (readonly [name: string, text: unknown])[] = [
    ["words", "the quick brown fox ".repeat(500)],
    ["one long word", "a".repeat(20_000)],
    ["base64 that nothing calls an attachment", base64(20_000)],
    ["base64 in JSON in a string", JSON.stringify({ data: base64(20_000) })],
    ["a key `data` with words", { data: "the quick brown fox ".repeat(500) }],
    ["an attachment shorter than the figure is worth", { data: base64(1023) }],
    ["a data URL that is not base64", `data:text/plain,${"a".repeat(20_000)}`],
    ["code", "function a(){return b+c/d*e(f,g)};".repeat(500)],
  ];
  test.each(cases)("%s", (_name, text) => {
    const body = bytes(said(text));
    expect(estimateInput(body)).toBe(Math.ceil(body.byteLength / 4));
  });

  test("text beyond ASCII is denser", () => {
    const body = bytes(said("日本語のテキスト".repeat(1000)));
    const estimate = estimateInput(body);
    expect(estimate).toBeGreaterThan(body.byteLength / 2.6);
    expect(estimate).toBeLessThan(body.byteLength / 2.4);
  });
});

describe("hostile bodies", () => {
  test("any bytes get a whole number, at least 0, never above one token a byte", () => {
    const blob = fc.oneof(
      fc.uint8Array({ maxLength: 4000 }),
      fc.string({ maxLength: 4000, unit: "binary" }).map((s) => bytes({ data: s })),
      fc.nat(4000).map((n) => bytes({ data: base64(n), x: { data: base64(4000 - n) } })),
    );
    fc.assert(
      fc.property(blob, (body) => {
        const estimate = estimateInput(body);
        expect(Number.isSafeInteger(estimate) && estimate >= 0).toBe(true);
        expect(estimate).toBeLessThanOrEqual(body.byteLength + 2 * documentTokens);
      }),
    );
  });

  test.each<[string, unknown]>([
    ["a long word", "a".repeat(4_000_000)],
    ["base64 of no attachment", base64(4_000_000)],
    ["many strings that could be one", Array.from({ length: 1500 }, () => base64(2000))],
  ])("%s takes no time that grows by its square", (_name, content) => {
    const body = bytes(said(content));
    const started = performance.now();
    estimateInput(body);
    // 4 MB take 1 ms; a square would take minutes.
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test("100 KB cost some microseconds", () => {
  const body = bytes(said("the quick brown fox ".repeat(5000)));
  for (let i = 0; i < 500; i++) estimateInput(body);
  const started = performance.now();
  for (let i = 0; i < 500; i++) estimateInput(body);
  // 5 us measured; a machine under load gets twenty times that.
  expect((performance.now() - started) / 500).toBeLessThan(0.1);
});

test.each<[string, boolean, number, number]>([
  ["openai-chat", true, 1600, 10],
  ["openai-chat", false, 1600, 400],
  ["anthropic-messages", true, 240, 10],
  ["of-tomorrow", true, 80, 10],
  ["openai-chat", true, 1, 1],
  ["openai-chat", true, 0, 0],
])("output of %s, stream %p, %d bytes: %d tokens", (dialect, isStream, size, tokens) => {
  expect(estimateOutput(dialect, isStream, size)).toBe(tokens);
});
