import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { dialect } from "../../../plugins/dialects/gemini/index.ts";
import { maxRequests } from "../../../plugins/dialects/gemini/named-models.ts";
import { parseCall, withModel } from "../../../src/call.ts";
import type { Surface } from "../../../src/contract/types.ts";
import { defineFactKeys } from "../../../src/kit/fact-keys.ts";

const keys = defineFactKeys(dialect.factKeys);
const surfaces: Readonly<Record<string, Surface>> = {
  countTokens: "count_tokens",
  embedContent: "embeddings",
  batchEmbedContents: "embeddings",
};

function read(target: string, body: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const surface = surfaces[target.slice(target.lastIndexOf(":") + 1)] ?? "gemini";
  return parseCall(Buffer.from(text), dialect, keys, { surface, target });
}

/** Model, verb and bound of a call, or the sentence of its refusal. */
function callOf(target: string, body: unknown): unknown {
  const parsed = read(target, body);
  if ("code" in parsed) return parsed.message;
  const { model, verb, stream, maxTokens } = parsed.call;
  return [model, verb, ...(stream ? ["stream"] : []), maxTokens];
}

const contents = [{ role: "user", parts: [{ text: "hi" }] }];
const content = { parts: [{ text: "hi" }] };

describe("model and verb of the path", () => {
  const cases: readonly (readonly [target: string, expected: unknown])[] = [
    ["m:generateContent", ["m", "generateContent", undefined]],
    ["m:streamGenerateContent", ["m", "streamGenerateContent", "stream", undefined]],
    ["m:countTokens", ["m", "countTokens", 0]],
    ["m:embedContent", ["m", "embedContent", 0]],
    ["m:batchEmbedContents", ["m", "batchEmbedContents", 0]],
    ["models/m:generateContent", ["m", "generateContent", undefined]],
    ["gem/m:generateContent", ["gem/m", "generateContent", undefined]],
    ["llama3:8b:generateContent", ["llama3:8b", "generateContent", undefined]],
    ["tunedModels/x:generateContent", ["tunedModels/x", "generateContent", undefined]],
    ["żółć 🦊:generateContent", ["żółć 🦊", "generateContent", undefined]],
    [`${"m".repeat(256)}:generateContent`, ["m".repeat(256), "generateContent", undefined]],
    [`${"m".repeat(257)}:generateContent`, expect.stringContaining("longer than 256")],
    [":generateContent", expect.stringContaining("must name a model")],
    ["models/:generateContent", expect.stringContaining("must name a model")],
    ["..:generateContent", expect.stringContaining("path")],
    [".:generateContent", expect.stringContaining("path")],
    ["../../v1/x:generateContent", expect.stringContaining("path")],
    ["a/../b:generateContent", expect.stringContaining("path")],
    ["a/..:generateContent", expect.stringContaining("path")],
    ["a//b:generateContent", expect.stringContaining("path")],
    ["/a:generateContent", expect.stringContaining("path")],
    ["a/:generateContent", expect.stringContaining("path")],
    ["a\\b:generateContent", expect.stringContaining("path")],
    ["a?key=x:generateContent", expect.stringContaining("path")],
    ["a#x:generateContent", expect.stringContaining("path")],
    ["a%2Fb:generateContent", expect.stringContaining("path")],
    ["a%2e%2e:generateContent", expect.stringContaining("path")],
    ["a\u0000:generateContent", expect.stringContaining("not printable")],
    ["a\nb:generateContent", expect.stringContaining("not printable")],
    ["a\ud800:generateContent", expect.stringContaining("not printable")],
  ];
  test.each(cases)("%j", (target, expected) => {
    expect(callOf(target, { contents })).toEqual(expected);
  });
});

describe("bound of output tokens", () => {
  const at = "m:generateContent";
  const cases: readonly (readonly [body: unknown, expected: unknown])[] = [
    [{}, undefined],
    [{ generationConfig: {} }, undefined],
    [{ generationConfig: null }, undefined],
    [{ generationConfig: { maxOutputTokens: null } }, undefined],
    [{ generationConfig: { maxOutputTokens: 7 } }, 7],
    [{ generationConfig: { maxOutputTokens: "7" } }, 7],
    [{ generationConfig: { max_output_tokens: 7 } }, 7],
    [{ generation_config: { maxOutputTokens: 7 } }, 7],
    [{ generation_config: { max_output_tokens: 7 } }, 7],
    [{ generationConfig: { maxOutputTokens: 7, candidateCount: 3 } }, 21],
    [{ generationConfig: { maxOutputTokens: 7, candidate_count: "3" } }, 21],
    [{ generationConfig: { candidateCount: 3 } }, undefined],
    [
      { generationConfig: { maxOutputTokens: Number.MAX_SAFE_INTEGER, candidateCount: 8 } },
      Number.MAX_SAFE_INTEGER,
    ],
    ['{"generationConfig":{"maxOutputT\\u006fkens":7}}', 7],
    ['{"generationConfig" : \n {"a":{"maxOutputTokens":1},"maxOutputTokens":7e0}}', 7],
    [{ a: { generationConfig: { maxOutputTokens: 7 } } }, undefined],
  ];
  test.each(cases)("%j", (body, expected) => {
    expect(callOf(at, body)).toEqual(["m", "generateContent", expected]);
  });

  const refused: readonly (readonly [body: unknown, words: string])[] = [
    [{ generationConfig: 5 }, "must be an object"],
    [{ generationConfig: "x" }, "must be an object"],
    [{ generationConfig: [{ maxOutputTokens: 7 }] }, "must be an object"],
    [{ generationConfig: { maxOutputTokens: 0 } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: -1 } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: 1.5 } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: "1e3" } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: "" } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: {} } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: [7] } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: true } }, "whole number"],
    [{ generationConfig: { candidateCount: -1 } }, "whole number"],
    [{ generationConfig: { maxOutputTokens: 7, max_output_tokens: 7 } }, "one key"],
    [{ generationConfig: { candidateCount: 1, candidate_count: 1 } }, "one key"],
    [{ generationConfig: {}, generation_config: {} }, "one key"],
    [{ systemInstruction: content, system_instruction: content }, "one key"],
    [{ toolConfig: {}, tool_config: {} }, "one key"],
    [{ safetySettings: [], safety_settings: [] }, "one key"],
    [{ cachedContent: "a", cached_content: "a" }, "one key"],
    [{ generateContentRequest: {}, generate_content_request: {} }, "one key"],
    ['{"generationConfig":{"maxOutputTokens":7,"maxOutputTokens":9}}', "given twice"],
    ['{"generationConfig":{"MaxOutputTokens":9}}', "differs from a known one"],
    ['{"generationConfig":{"maxOutputTokens":9007199254740993}}', "parsers read differently"],
    ['{"generationConfig":{},"GenerationConfig":{}}', "differs from a known one"],
    ['{"contents":[],"contents":[]}', "given twice"],
  ];
  test.each(refused)("refuses %j", (body, words) => {
    expect(callOf(at, body)).toContain(words);
  });
});

describe("models named in a body", () => {
  const good: readonly (readonly [target: string, body: unknown])[] = [
    ["m:embedContent", { model: "models/m", content }],
    ["m:embedContent", { model: "m", content }],
    ["m:embedContent", { model: null, content }],
    ["models/m:embedContent", { model: "models/m", content }],
    ["gem/m:embedContent", { model: "models/gem/m", content }],
    ["m:generateContent", { model: "models/m", contents }],
    ["m:batchEmbedContents", { requests: [] }],
    ["m:batchEmbedContents", { requests: [{ content }, { model: "models/m", content }] }],
    ["m:countTokens", { generateContentRequest: { model: "models/m", contents } }],
    ["m:countTokens", { generate_content_request: { model: "m", contents } }],
    // Deeper, or in a text, it means nothing.
    ["m:generateContent", { contents: [{ model: "x", parts: [{ text: '"model":"x"' }] }] }],
    ["m:batchEmbedContents", { requests: Array(maxRequests).fill({ model: "m" }) }],
  ];
  test.each(good)("%s takes %j", (target, body) => {
    expect(callOf(target, body)).toBeArray();
  });

  const bad: readonly (readonly [target: string, body: unknown, words: string])[] = [
    ["m:embedContent", { model: "models/x", content }, "`model` names another model"],
    ["m:embedContent", { model: "models/models/m", content }, "`model` names another"],
    ["m:embedContent", { model: "M", content }, "`model` names another"],
    ["m:embedContent", { model: "tunedModels/m", content }, "`model` names another"],
    ["m:embedContent", { model: "", content }, "`model` names another"],
    ["m:embedContent", { model: 5, content }, "`model` must be a string"],
    ["m:embedContent", { model: { a: 1 }, content }, "`model` must be a string"],
    ["m:generateContent", { model: "models/x", contents }, "`model` names another"],
    [
      "m:batchEmbedContents",
      { requests: [{ model: "m" }, { content, model: "models/x" }] },
      "`requests[1].model` names another",
    ],
    ["m:batchEmbedContents", { requests: [{ model: ["m"] }] }, "must be a string"],
    ["m:batchEmbedContents", { requests: [5] }, "`requests[0]` must be an object"],
    ["m:batchEmbedContents", { requests: { model: "x" } }, "must be a list"],
    ["m:batchEmbedContents", { requests: "x" }, "must be a list"],
    ["m:batchEmbedContents", { requests: Array(maxRequests + 1).fill({}) }, `${maxRequests}`],
    [
      "m:batchEmbedContents",
      '{"requests":[{"model":"m","model":"x"}]}',
      "`requests[0]` can't be read: A key is given twice.",
    ],
    ["m:batchEmbedContents", '{"requests":[{"Model":"x"}]}', "differs from a known one"],
    ["m:batchEmbedContents", '{"requests":[{"m\\u006fdel":"x"}]}', "names another"],
    ["m:batchEmbedContents", '{"requests":[{"model":"m\\u0000"}]}', "parsers read differently"],
    [
      "m:countTokens",
      { generateContentRequest: { model: "models/x", contents } },
      "`generateContentRequest.model` names another",
    ],
    ["m:countTokens", { generate_content_request: { model: "x" } }, "names another"],
    ["m:countTokens", { generateContentRequest: [] }, "must be an object"],
    // Also where the endpoint has no use for it.
    ["m:generateContent", { requests: [{ model: "x" }] }, "names another"],
  ];
  test.each(bad)("%s refuses %j", (target, body, words) => {
    expect(callOf(target, body)).toContain(words);
  });
});

describe("facts", () => {
  const other = fc.jsonValue({ stringUnit: "binary" });
  const same = fc.constantFrom("m", "models/m", null);
  const name = fc.oneof(
    { weight: 9, arbitrary: same },
    { weight: 1, arbitrary: fc.constantFrom("x", "models/x", "gem/m", 5) },
  );
  const limit = fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 1, max: 99 }) },
    { weight: 1, arbitrary: fc.constantFrom("7", "x", null, 1.5, 0, -1) },
  );
  const config = fc.record(
    {
      maxOutputTokens: limit,
      candidateCount: fc.integer({ min: 1, max: 3 }),
      responseSchema: other,
    },
    { requiredKeys: [] },
  );
  const named = fc.record({ model: name, content: other }, { requiredKeys: [] });
  const anyBody = fc.record(
    {
      contents: other,
      model: name,
      requests: fc.array(named, { maxLength: 4 }),
      generateContentRequest: named,
      generationConfig: config,
      tools: other,
      systemInstruction: other,
      x: other,
    },
    { requiredKeys: [] },
  );

  type Body = Partial<{
    model: unknown;
    requests: { model?: unknown }[];
    generateContentRequest: { model?: unknown };
    generationConfig: Record<string, unknown>;
  }>;

  /** All places of a parsed body that name a model. */
  function holders(body: Body): { model?: unknown }[] {
    const { requests = [], generateContentRequest: inner } = body;
    return [body, ...requests, ...(inner === undefined ? [] : [inner])];
  }

  test("what is accepted is what JSON.parse reads", () => {
    let accepted = 0;
    fc.assert(
      fc.property(anyBody, fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const parsed = read("m:generateContent", text);
        const body = JSON.parse(text) as Body;
        const models = holders(body).map(({ model }) => model ?? "m");
        const isOther = models.some((m) => m !== "m" && m !== "models/m");
        if ("code" in parsed) return;
        accepted += 1;
        expect(isOther).toBe(false);
        const { generationConfig: given = {} } = body;
        const each = given.maxOutputTokens ?? undefined;
        const count = Number(given.candidateCount ?? 1);
        expect(parsed.call.maxTokens).toBe(each === undefined ? undefined : Number(each) * count);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(300);
  });

  test("another name goes into every place that has one, and no other byte changes", () => {
    const upstream = fc.constantFrom("gemini-9", "models/gemini-9", "tunedModels/t", 'q"\\ż🦊');
    const own = fc.record(
      { model: fc.constantFrom("m", "models/m"), content: other },
      { requiredKeys: [] },
    );
    const body = fc.record(
      {
        model: fc.constantFrom("m", "models/m"),
        requests: fc.array(own, { maxLength: 4 }),
        generateContentRequest: own,
        x: other,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(body, upstream, fc.constantFrom(undefined, 2), (value, to, indent) => {
        const text = JSON.stringify(value, null, indent);
        const parsed = read("m:embedContent", text);
        if ("code" in parsed) throw new Error(parsed.message);
        const expected = JSON.parse(text) as Body;
        const resource = to.includes("/") ? to : `models/${to}`;
        for (const holder of holders(expected)) {
          if (holder.model !== undefined) holder.model = resource;
        }
        const sent = Buffer.from(withModel(parsed, to)).toString();
        expect(sent).toBe(JSON.stringify(expected, null, indent));
      }),
      { numRuns: 2000 },
    );
  });

  test("a body that names no model, or needs no other, is sent as the same bytes", () => {
    for (const body of ['{"contents":[ ]}', '{"model":"models/m","x":1}']) {
      const parsed = read("m:generateContent", body);
      if ("code" in parsed) throw new Error(parsed.message);
      expect(withModel(parsed, "m")).toBe(parsed.body);
    }
    const parsed = read("m:generateContent", '{"contents":[ ]}');
    if ("code" in parsed) throw new Error(parsed.message);
    expect(withModel(parsed, "other")).toBe(parsed.body);
  });
});

test.each(['{"model":"a","model":"b"}', '{"requests":{"model":"a"}}', "{"])(
  "a body that no call was read from is not renamed: %s",
  (body) => {
    expect(() => dialect.rename?.(Buffer.from(body), "other")).toThrow("can't be read again");
  },
);

test("a body of 100 KB is read without a parse of it", () => {
  const parts = Array.from({ length: 100 }, () => ({ text: "x".repeat(1000) }));
  const body = { contents: [{ role: "user", parts }], generationConfig: { maxOutputTokens: 5 } };
  const { parse } = JSON;
  let parsed = 0;
  JSON.parse = (...args) => {
    parsed += args[0].length;
    return parse(...args) as unknown;
  };
  try {
    expect(callOf("m:generateContent", body)).toEqual(["m", "generateContent", 5]);
  } finally {
    JSON.parse = parse;
  }
  expect(parsed).toBeLessThan(100);
});
