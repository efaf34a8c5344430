import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { ApiError, GoogleGenAI } from "@google/genai";
import { ApiError as ApiError2, GoogleGenAI as GoogleGenAI2 } from "genai-2";
import { dialect } from "../../../plugins/dialects/gemini/index.ts";
import type { ErrorCode } from "../../../src/contract/errors.ts";
import type { Problem } from "../../../src/contract/plugin.ts";
import { rejection, withServer } from "./streams.ts";

const sdks = [
  ["3", GoogleGenAI, ApiError],
  ["2", GoogleGenAI2 as unknown as typeof GoogleGenAI, ApiError2 as unknown as typeof ApiError],
] as const;

const problem: Problem = {
  code: "overloaded",
  status: 503,
  message: "Too much \u2028 \n at once.",
  requestId: "req_1",
};

function json(body: string, status = 200): () => Response {
  return () => new Response(body, { status, headers: { "content-type": "application/json" } });
}

describe("routes", () => {
  test("are the same on both versions", () => {
    const { routes } = dialect;
    const on = (version: string) =>
      routes
        .filter(({ path }) => path.startsWith(`/${version}/`))
        .map((r) => r.path.slice(version.length + 1));
    expect(on("v1")).toEqual(on("v1beta"));
    expect(on("v1")).toHaveLength(7);
    expect(routes).toHaveLength(14);
  });
});

describe("recognises", () => {
  const cases: readonly (readonly [headers: Record<string, string>, expected: boolean])[] = [
    [{}, false],
    [{ authorization: "Bearer x" }, false],
    [{ "x-api-key": "x" }, false],
    [{ "x-goog-api-key": "x" }, true],
    [{ "x-goog-api-key": "" }, true],
    [{ authorization: "Bearer x", "x-goog-api-client": "google-genai-sdk/3.3.0" }, true],
  ];
  test.each(cases)("%j", (headers, expected) => {
    expect(dialect.recognises((name) => headers[name] ?? null)).toBe(expected);
  });
});

describe("unserved", () => {
  const cases: readonly (readonly [path: string, told: boolean])[] = [
    ["/v1beta/files", true],
    ["/upload/v1beta/files", true],
    ["/v1/cachedContents/x", true],
    ["/v1beta/models/m:predict", true],
    ["/v1/models/a/b:asyncBatchEmbedContent", true],
    ["/v1beta/models", false],
    ["/v1beta/models/m", false],
    ["/elsewhere", false],
  ];
  test.each(cases)("%s", (path, told) => {
    expect(dialect.unserved?.(path) !== undefined).toBe(told);
  });
});

describe("error", () => {
  const cases: readonly (readonly [code: ErrorCode, status: number, name: string])[] = [
    ["bad_request", 400, "INVALID_ARGUMENT"],
    ["unauthenticated", 401, "UNAUTHENTICATED"],
    ["not_allowed", 403, "PERMISSION_DENIED"],
    ["model_not_found", 404, "NOT_FOUND"],
    ["method_not_allowed", 405, "UNIMPLEMENTED"],
    ["body_timeout", 408, "DEADLINE_EXCEEDED"],
    ["body_too_large", 413, "INVALID_ARGUMENT"],
    ["unsupported_media_type", 415, "INVALID_ARGUMENT"],
    ["upgrade_required", 426, "FAILED_PRECONDITION"],
    ["too_many_failures", 429, "RESOURCE_EXHAUSTED"],
    ["internal", 500, "INTERNAL"],
    ["upstream_unreachable", 502, "UNAVAILABLE"],
    ["overloaded", 503, "UNAVAILABLE"],
    ["upstream_timeout", 504, "DEADLINE_EXCEEDED"],
  ];
  describe.each(sdks)("genai %s raises its own class", (_major, Client, Raised) => {
    test.each(cases)("for %s", async (code, status, name) => {
      const body = dialect.error({ ...problem, code, status });
      expect(JSON.parse(body).error).toMatchObject({ code: status, status: name });
      await withServer(json(body, status), async (origin) => {
        const ai = new Client({ apiKey: "k", httpOptions: { baseUrl: origin } });
        const raised = await rejection(ai.models.generateContent({ model: "m", contents: "hi" }));
        expect(raised).toBeInstanceOf(Raised);
        expect(raised).toMatchObject({ status, message: expect.stringContaining(name) });
      });
    });
  });

  const type = "type.googleapis.com/google.rpc.";
  test("tells our code, the request and when to try again", () => {
    expect(JSON.parse(dialect.error({ ...problem, retryAfterSeconds: 7 }))).toEqual({
      error: {
        code: 503,
        message: problem.message,
        status: "UNAVAILABLE",
        details: [
          { "@type": `${type}ErrorInfo`, reason: "OVERLOADED", domain: "cliproxy" },
          { "@type": `${type}RequestInfo`, requestId: "req_1" },
          { "@type": `${type}RetryInfo`, retryDelay: "7s" },
        ],
      },
    });
  });

  test("tells no more than it knows", () => {
    const { details } = JSON.parse(dialect.error({ ...problem, requestId: "" })).error;
    expect(details).toHaveLength(1);
  });
});

const event = (text: string, more: object = {}): string =>
  `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, ...more }] })}\r\n\r\n`;
const hi = event("hi");
const end = event("", { finishReason: "STOP" });

describe("fail", () => {
  const cases: readonly (readonly [name: string, before: string, own: boolean])[] = [
    ["at the start", "", true],
    ["after an event", hi, true],
    ["after a line", hi.slice(0, -2), true],
    ["after half a line end", hi.slice(0, -3), true],
    ["after a whole event without its end", hi.slice(0, -4), true],
    ["after half an event", hi.slice(0, -30), false],
    ["after half of the last event", hi + end.slice(0, -30), false],
    ["after half a field", `${hi}dat`, true],
    ["after a comment", `${hi}: x`, true],
  ];
  describe.each(sdks)("genai %s raises", (_major, Client, Raised) => {
    test.each(cases)("%s", async (_name, before, own) => {
      const reader = dialect.readStream();
      reader.push(Buffer.from(before));
      expect(reader.end()).toBe("truncated");
      const body = before + reader.fail(problem);
      const stream = () => new Response(body, { headers: { "content-type": "text/event-stream" } });
      await withServer(stream, async (origin) => {
        const ai = new Client({ apiKey: "k", httpOptions: { baseUrl: origin } });
        const replies = await ai.models.generateContentStream({ model: "m", contents: "hi" });
        const raised = await rejection(Array.fromAsync(replies));
        expect(raised).toBeInstanceOf(own ? Raised : Error);
        if (own) expect(raised).toMatchObject({ status: 503 });
      });
      const second = dialect.readStream();
      second.push(Buffer.from(body));
      expect(second.end()).toBe("error");
    });
  });

  test("adds nothing to what is whole", () => {
    const reader = dialect.readStream();
    reader.push(Buffer.from(hi + end));
    expect(reader.fail(problem)).toBe("");
  });

  test("a JSON array is cut, unless it is whole", () => {
    const whole = `[${JSON.stringify({ candidates: [{ finishReason: "STOP" }] })}]`;
    for (const [text, words] of [
      ["", undefined],
      [whole.slice(0, -1), undefined],
      ["[]", undefined],
      [whole, ""],
    ] as const) {
      const reader = dialect.readJsonStream?.();
      reader?.push(Buffer.from(text));
      expect(reader?.fail(problem)).toBe(words as string);
    }
  });
});

describe("listModels", () => {
  const models = [
    { id: "gemini-2.5-pro", provider: "gemini", created: 5 },
    { id: "gemini-embedding-001", provider: "gemini", created: 0 },
    { id: "tunedModels/mine", provider: "gemini", created: 0 },
  ];
  const expected = [
    ["models/gemini-2.5-pro", "gemini-2.5-pro", ["generateContent", "countTokens"]],
    ["models/gemini-embedding-001", "gemini-embedding-001", ["embedContent", "batchEmbedContents"]],
    ["tunedModels/mine", "tunedModels/mine", ["generateContent", "countTokens"]],
  ];
  test.each(sdks)("genai %s reads the list and one model", async (_major, Client) => {
    await withServer(json(dialect.listModels(models)), async (origin) => {
      const ai = new Client({ apiKey: "k", httpOptions: { baseUrl: origin } });
      const read = await Array.fromAsync(await ai.models.list());
      expect(read.map((m) => [m.name, m.displayName, m.supportedActions])).toEqual(
        expected as [string, string, string[]][],
      );
      expect(read.every((m) => typeof m.version === "string")).toBe(true);
    });
    const one = dialect.oneModel(models[0] as (typeof models)[0]);
    await withServer(json(one), async (origin) => {
      const ai = new Client({ apiKey: "k", httpOptions: { baseUrl: origin } });
      const { name } = await ai.models.get({ model: "gemini-2.5-pro" });
      expect(name).toBe("models/gemini-2.5-pro");
    });
  });
});
