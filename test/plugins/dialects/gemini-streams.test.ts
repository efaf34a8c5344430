import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { dialect } from "../../../plugins/dialects/gemini/index.ts";
import type { StreamReader } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";
import { expectStream, type StreamEnd } from "./streams.ts";

const counts = {
  promptTokenCount: 20,
  candidatesTokenCount: 9,
  thoughtsTokenCount: 4,
  cachedContentTokenCount: 5,
  toolUsePromptTokenCount: 3,
  totalTokenCount: 36,
  promptTokensDetails: [{ modality: "TEXT", tokenCount: 20 }],
};
const usage: Usage = { inputTokens: 23, outputTokens: 13, cachedTokens: 5, reasoningTokens: 4 };
const early = { promptTokenCount: 20, totalTokenCount: 20 };
const earlyUsage: Usage = { inputTokens: 20, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 };

/** One reply of a stream. */
function chunk(text: string, more: object = {}, top: object = {}): object {
  return { candidates: [{ content: { parts: [{ text }], role: "model" }, ...more }], ...top };
}
const first = chunk("zażółć 🦊 \u2028", { index: 0 }, { usageMetadata: early });
const last = chunk("", { finishReason: "STOP", index: 0 }, { usageMetadata: counts });
const error = { error: { code: 503, message: "no", status: "UNAVAILABLE" } };
const blocked = { promptFeedback: { blockReason: "SAFETY" }, usageMetadata: early };

/** Replies in order, how they end and what they report; the same as events and as an array. */
type Case = readonly [name: string, replies: readonly object[], end: StreamEnd, usage?: Usage];

const cases: readonly Case[] = [
  ["nothing", [], "truncated"],
  ["plain", [first, last], "complete", usage],
  ["one reply", [last], "complete", usage],
  ["no reason", [first, first], "truncated", earlyUsage],
  ["a reason of null", [chunk("x", { finishReason: null })], "truncated"],
  ["an empty reason", [chunk("x", { finishReason: "" })], "truncated"],
  ["an unspecified one", [chunk("x", { finishReason: "FINISH_REASON_UNSPECIFIED" })], "truncated"],
  ["a reason of a wrong type", [chunk("x", { finishReason: 1 })], "truncated"],
  ["any other reason", [chunk("x", { finishReason: "MAX_TOKENS" })], "complete"],
  ["a reason in text", [chunk('"finishReason":"STOP"')], "truncated"],
  ["a reason in the wrong place", [{ finishReason: "STOP" }, { x: [last] }], "truncated"],
  ["a blocked prompt", [blocked], "complete", earlyUsage],
  ["no reason to block", [{ promptFeedback: { blockReason: null } }], "truncated"],
  [
    "an unspecified one to block",
    [{ promptFeedback: { blockReason: "BLOCKED_REASON_UNSPECIFIED" } }],
    "truncated",
  ],
  [
    "usage behind the reason",
    [chunk("", { finishReason: "STOP" }), { usageMetadata: counts }],
    "complete",
    usage,
  ],
  ["the last usage wins", [{ usageMetadata: counts }, first], "truncated", earlyUsage],
  ["no usage wipes none", [first, chunk("", { finishReason: "STOP" })], "complete", earlyUsage],
  ["odd usage", [{ usageMetadata: 5 }, { usageMetadata: [] }, { usageMetadata: {} }], "truncated"],
  ["odd usage wipes none", [last, { usageMetadata: null }], "complete", usage],
  ["odd candidates", [{ candidates: 5 }, { candidates: [null, 5, []] }], "truncated"],
  ["an error", [first, error], "error", earlyUsage],
  ["an error at once", [error], "error"],
  ["an error of text", [{ error: "no" }], "error"],
  ["an error after the end", [last, error], "error", usage],
  ["error: null", [{ error: null }, last], "complete", usage],
  ["an error in text", [chunk('"error":{"code":500}'), last], "complete", usage],
  [
    "two candidates",
    [first, chunk("b", { index: 1 }), last, chunk("", { index: 1, finishReason: "STOP" })],
    "complete",
    usage,
  ],
  ["two candidates, one unfinished", [first, chunk("b", { index: 1 }), last], "truncated", usage],
  [
    "two candidates, the first unfinished",
    [first, chunk("b", { index: 1, finishReason: "STOP" })],
    "truncated",
    earlyUsage,
  ],
  ["far too many candidates", [chunk("b", { index: 1e9 }), last], "truncated", usage],
];

const events = (replies: readonly object[]): string =>
  replies.map((reply) => `data: ${JSON.stringify(reply)}\n\n`).join("");
const list = (replies: readonly object[], indent?: number): string =>
  `[${replies.map((reply) => JSON.stringify(reply, null, indent)).join("\n,\r\n")}]\n`;

function readAll(reader: StreamReader, bytes: Buffer, cuts: readonly number[]) {
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    reader.push(bytes.subarray(from, to));
    from = to;
  }
  return { end: reader.end(), usage: reader.usage };
}

function jsonReader(): StreamReader {
  const reader = dialect.readJsonStream?.();
  if (reader === undefined) throw new Error("no reader for JSON");
  return reader;
}

/** As `expectStream`, for an array. */
function expectList(text: string, end: StreamEnd, expected: Usage | undefined): void {
  const bytes = Buffer.from(text);
  const check = (cuts: readonly number[]): void => {
    expect(readAll(jsonReader(), bytes, cuts)).toEqual({ end, usage: expected });
  };
  check([]);
  for (let at = 0; at <= bytes.length; at++) check([at]);
  check([...bytes.keys()]);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
      check(cuts.sort((a, b) => a - b));
    }),
    { numRuns: 50 },
  );
}

describe("readStream", () => {
  for (const [name, replies, end, ...expected] of cases) {
    test(name, () => expectStream(dialect, [name, events(replies), end, ...expected]));
  }

  const more: readonly (readonly [name: string, text: string, end: StreamEnd, usage?: Usage])[] = [
    ["comments", `: a\n\n${events([first])}: b\n${events([last])}`, "complete", usage],
    [
      "no space after data:",
      events([first, last]).replaceAll("data: ", "data:"),
      "complete",
      usage,
    ],
    ["several data lines", events([last]).replace(',"usage', '\ndata: ,"usage'), "complete", usage],
    [
      "spaces",
      `data: ${JSON.stringify(last, null, 1).replaceAll("\n", " ")}\n\n`,
      "complete",
      usage,
    ],
    ["no blank line at the end", events([first, last]).trimEnd(), "truncated", earlyUsage],
    ["half an event", events([first, last]).slice(0, -30), "truncated", earlyUsage],
    ["a named error", `${events([first])}event: error\ndata: {}\n\n`, "error", earlyUsage],
    [
      "no JSON",
      `data: {"usageMetadata":oops "finishReason"\n\n${events([last])}`,
      "complete",
      usage,
    ],
    ["an array", `data: [${JSON.stringify(last)}]\n\n`, "truncated"],
  ];
  for (const stream of more) test(stream[0], () => expectStream(dialect, stream));
});

describe("readJsonStream", () => {
  for (const [name, replies, end, expected] of cases) {
    test(name, () => {
      expectList(list(replies), end, expected);
      expectList(list(replies, 2), end, expected);
    });
  }

  const plain = list([first, last]);
  const more: readonly (readonly [name: string, text: string, end: StreamEnd, usage?: Usage])[] = [
    ["one object", JSON.stringify(last), "complete", usage],
    ["one error", JSON.stringify(error), "error"],
    ["an error in an array", `[${JSON.stringify(error)}\n]`, "error"],
    ["an error, not closed", `[${JSON.stringify(error)}`, "error"],
    ["not closed", plain.trimEnd().slice(0, -1), "truncated", usage],
    ["half an element", plain.slice(0, -30), "truncated", earlyUsage],
    ["the wrong bracket", `${plain.trimEnd().slice(0, -1)}}`, "truncated", usage],
    ["something behind", `${plain}x`, "truncated", usage],
    ["an empty object", "{}", "truncated"],
    ["no JSON", "<html>", "truncated"],
  ];
  for (const [name, text, end, expected] of more) {
    test(name, () => expectList(text, end, expected));
  }
});

describe("a reply longer than what is kept, such as one with an image", () => {
  const image = { inlineData: { mimeType: "image/png", data: "A".repeat(1_500_000) } };
  const withImage = (more: object, top: object): object => ({
    candidates: [{ content: { parts: [image], role: "model" }, ...more }],
    ...top,
  });
  const long: readonly Case[] = [
    [
      "with the reason",
      [withImage({ finishReason: "STOP", index: 0 }, { usageMetadata: counts })],
      "complete",
      usage,
    ],
    ["before the reason", [withImage({ index: 0 }, {}), last], "complete", usage],
    ["without a reason", [withImage({ index: 0 }, { usageMetadata: counts })], "truncated", usage],
    [
      "of a second candidate",
      [first, withImage({ finishReason: "STOP", index: 1 }, {})],
      "truncated",
      earlyUsage,
    ],
  ];
  test.each(long)("%s", (_name, replies, end, expected) => {
    for (const step of [5_000_000, 60_000]) {
      for (const [reader, text] of [
        [dialect.readStream(), events(replies)],
        [jsonReader(), list(replies)],
      ] as const) {
        const bytes = Buffer.from(text);
        const cuts = Array.from(
          { length: Math.floor(bytes.length / step) },
          (_, i) => (i + 1) * step,
        );
        expect(readAll(reader, bytes, cuts)).toEqual({ end, usage: expected });
      }
    }
  });

  test("a long reply that is kept is read at once", () => {
    const text = { inlineData: { data: "A".repeat(100_000) } };
    const replies = [{ candidates: [{ content: { parts: [text] } }], usageMetadata: counts }];
    const reader = dialect.readStream();
    expect(readAll(reader, Buffer.from(events(replies)), [])).toEqual({ end: "truncated", usage });
  });
});

describe("readUsage", () => {
  const reported = JSON.stringify(counts);
  const spent = (input: number, output = 0): Usage => ({
    ...{ inputTokens: input, outputTokens: output, cachedTokens: 0, reasoningTokens: 0 },
  });
  const replies: readonly (readonly [name: string, reply: string, usage: Usage | undefined])[] = [
    ["at the end", `{"candidates":[],"usageMetadata":${reported}}`, usage],
    ["followed by more", `{"usageMetadata":${reported},"modelVersion":"m","x":{"y":[]}}\n`, usage],
    ["the end of a long reply", `ngs"}}],"usageMetadata":${reported},"responseId":"r"}`, usage],
    ["deeper only", `{"x":{"usageMetadata":${reported}}}`, undefined],
    ["in a text", JSON.stringify({ text: `"usageMetadata":${reported}` }), undefined],
    ["no output", '{"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}}', spent(7)],
    [
      "odd counts",
      '{"usageMetadata":{"promptTokenCount":-7,"candidatesTokenCount":1.5}}',
      spent(0),
    ],
    [
      "of an embedding",
      '{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":7}}',
      spent(7),
    ],
    ["of an embedding that tells none", '{"embedding":{"values":[1]}}', undefined],
    ["a count of tokens costs nothing", '{"totalTokens":7,"cachedContentTokenCount":3}', spent(0)],
    ["a count of a wrong type", '{"totalTokens":"7"}', undefined],
    ["an error", JSON.stringify(error), undefined],
    ["no JSON", "<html>", undefined],
    ["nothing", "", undefined],
  ];
  test.each(replies)("%s", (_name, reply, expected) => {
    expect(dialect.readUsage(Buffer.from(reply))).toEqual(expected as Usage);
  });
});
