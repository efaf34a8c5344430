import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LLMock } from "@copilotkit/aimock";
import { ApiError, GoogleGenAI } from "@google/genai";
import { ApiError as ApiError2, GoogleGenAI as GoogleGenAI2 } from "genai-2";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import type { Script } from "../harness/fake-upstream.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { sleep } from "../harness/wait.ts";
import {
  type GeminiUpstream,
  geminiKey,
  geminiText,
  openPieces,
  piecesOf,
  refusing,
  startGemini,
  usual,
} from "./gemini-upstream.ts";

const sdks = {
  "genai 3": { Client: GoogleGenAI, Raised: ApiError },
  "genai 2": {
    Client: GoogleGenAI2 as unknown as typeof GoogleGenAI,
    Raised: ApiError2 as unknown as typeof ApiError,
  },
};
type Sdk = keyof typeof sdks;
const names = Object.keys(sdks) as Sdk[];

const aimockText = "Hi from the mock that nobody here wrote";

async function startAimock(): Promise<string> {
  const mock = new LLMock({ port: 0 });
  mock.onMessage("hello", { content: aimockText });
  await mock.start();
  onCleanup(() => mock.stop());
  return mock.url;
}

let upstream: GeminiUpstream;
const proxies: Record<string, RunningProxy> = {};

beforeAll(async () => {
  needBinary();
  upstream = await startGemini(["m-sdk", "m-count", "m-embed"]);
  const aimock = await startAimock();
  const provider = { protocol: "gemini", api_key: geminiKey };
  const start = (gem: object) => startProxy({ config: { providers: { gem } } });
  const [sandbox, fake, mock] = await Promise.all([
    start({ protocol: "sandbox", models: ["sandbox-echo"] }),
    start({ ...provider, base_url: upstream.url, timeout: { idle: "1s" } }),
    start({ ...provider, base_url: aimock }),
  ]);
  Object.assign(proxies, { sandbox, fake, aimock: mock });
});
afterAll(cleanUp);

function client(sdk: Sdk, where: string, apiKey = clientKey): GoogleGenAI {
  return new sdks[sdk].Client({ apiKey, httpOptions: { baseUrl: proxies[where]?.url ?? "" } });
}

async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const upstreams: readonly (readonly [where: string, model: string, says: string])[] = [
  ["sandbox", "sandbox-echo", "hello"],
  ["sandbox", "gem/sandbox-echo", "hello"],
  ["fake", "m-sdk", geminiText],
  ["aimock", "gemini-2.5-flash", aimockText],
];

describe.each(names)("%s", (sdk) => {
  test.each(upstreams)("against %s: %s, whole and streamed", async (where, model, says) => {
    const { models } = client(sdk, where);
    const asked = { model, contents: "hello" };
    const whole = await models.generateContent(asked);
    expect(whole.text).toContain(says);
    expect(whole.candidates?.[0]?.finishReason as string).toBe("STOP");
    expect(whole.usageMetadata?.promptTokenCount).toBeNumber();
    let text = "";
    let finish: string | undefined;
    for await (const reply of await models.generateContentStream(asked)) {
      text += reply.text ?? "";
      finish = reply.candidates?.[0]?.finishReason ?? finish;
    }
    expect(text).toContain(says);
    expect(finish).toBe("STOP");
  });

  test.each([
    ["sandbox", "sandbox-echo", 2],
    ["fake", "m-count", 31],
  ])("against %s: counts tokens", async (where, model, expected) => {
    const { models } = client(sdk, where);
    expect((await models.countTokens({ model, contents: "hello" })).totalTokens).toBe(expected);
  });

  test.each([
    ["sandbox", "sandbox-echo"],
    ["sandbox", "gem/sandbox-echo"],
    ["fake", "m-embed"],
  ])("against %s: embeds with %s", async (where, model) => {
    const config = { outputDimensionality: 2 };
    for (const contents of ["a", ["a", "b"]]) {
      const { models } = client(sdk, where);
      const { embeddings } = await models.embedContent({ model, contents, config });
      expect(embeddings?.map((one) => one.values?.length)).toEqual([contents].flat().map(() => 2));
    }
  });

  test.each([
    ["sandbox", ["models/sandbox-echo"]],
    ["fake", ["models/fake-1", "models/fake-2"]],
  ])("against %s: lists models, and gets one", async (where, expected) => {
    const { models } = client(sdk, where);
    const listed = await Array.fromAsync(await models.list());
    expect(listed.map((model) => model.name)).toEqual(expected);
    const [name = ""] = expected;
    expect((await models.get({ model: name })).name).toBe(name);
    expect((await models.get({ model: name.replace("models/", "") })).name).toBe(name);
  });

  const failing: readonly (readonly [
    name: string,
    where: string,
    model: string,
    status: number,
    words: string,
    script?: Script,
  ])[] = [
    ["a wrong key", "fake", "m", 401, "UNAUTHENTICATED"],
    ["an unknown model", "sandbox", "nope", 404, "NOT_FOUND"],
    ["400 upstream", "fake", "e-400", 400, "no: INVALID", refusing(400, "INVALID_ARGUMENT")],
    ["404 upstream", "fake", "e-404", 404, "no: NOT_FOUND", refusing(404, "NOT_FOUND")],
    ["429 upstream", "fake", "e-429", 429, "no: RESOURCE", refusing(429, "RESOURCE_EXHAUSTED")],
    ["500 upstream", "fake", "e-500", 500, "no: INTERNAL", refusing(500, "INTERNAL")],
    ["403 upstream", "fake", "e-403", 502, "UNAVAILABLE", refusing(403, "PERMISSION_DENIED")],
    ["hang-up", "fake", "e-reset", 502, "UNAVAILABLE", (wire) => wire.reset()],
  ];
  for (const [name, where, model, status, words, script] of failing) {
    test(`${name} raises the SDK's own error`, async () => {
      if (script !== undefined) upstream.on(model, script);
      const { models } = client(sdk, where, name === "a wrong key" ? "wrong-key" : clientKey);
      for (const call of ["generateContent", "generateContentStream", "countTokens"] as const) {
        const raised = await rejection(models[call]({ model, contents: "hello" }));
        expect(raised).toBeInstanceOf(sdks[sdk].Raised);
        expect(raised).toMatchObject({ status, message: expect.stringContaining(words) });
      }
    });
  }

  test("a model that another API serves is told apart where nothing can be translated", async () => {
    const config = {
      providers: { claude: { base_url: upstream.url, api_key: "k", models: ["claude-x"] } },
    };
    proxies.claude = await startProxy({ config });
    const asked = { model: "claude-x", contents: "hello" };
    const raised = await rejection(client(sdk, "claude").models.embedContent(asked));
    expect(raised).toMatchObject({ status: 400, message: expect.stringContaining("/v1/messages") });
  });

  const early: Script = async (wire, request) => {
    await openPieces(wire, request);
    for (const piece of piecesOf(request).slice(0, -1)) await wire.chunk(piece);
  };
  const broken: readonly (readonly [name: string, script: Script, own: boolean])[] = [
    [
      "ends before its reason",
      async (wire, request) => {
        await early(wire, request);
        await wire.endChunks();
      },
      true,
    ],
    [
      "ends in an event",
      async (wire, request) => {
        await openPieces(wire, request);
        await wire.chunk(piecesOf(request).join("").slice(0, -40));
        await wire.endChunks();
      },
      false,
    ],
    [
      "is reset",
      async (wire, request) => {
        await early(wire, request);
        await sleep(30);
        wire.reset();
      },
      true,
    ],
    ["falls silent", early, true],
    [
      "carries the provider's own error",
      async (wire, request) => {
        await early(wire, request);
        const error = { code: 503, message: "no", status: "UNAVAILABLE" };
        await wire.chunk(`data: ${JSON.stringify({ error })}\r\n\r\n`);
        await wire.endChunks();
      },
      true,
    ],
  ];
  test.concurrent.each(broken)("a stream that %s raises", async (name, script, own) => {
    const model = `${sdk} ${name}`;
    upstream.on(model, script);
    const { models } = client(sdk, "fake");
    let text = "";
    const raised = await rejection(
      (async () => {
        const replies = await models.generateContentStream({ model, contents: "hello" });
        for await (const reply of replies) text += reply.text ?? "";
      })(),
    );
    // In half an event the SDK fails with its parser's error, before it sees ours.
    expect(raised).toBeInstanceOf(own ? sdks[sdk].Raised : Error);
    expect(text).toBe(geminiText);
  });

  test("a stream split at every byte is whole", async () => {
    const model = `${sdk} split`;
    upstream.on(model, async (wire, request) => {
      await openPieces(wire, request);
      for (const byte of Buffer.from(piecesOf(request).join(""))) {
        await wire.chunk(Uint8Array.of(byte));
      }
      await wire.endChunks();
    });
    let text = "";
    const { models } = client(sdk, "fake");
    for await (const reply of await models.generateContentStream({ model, contents: "hello" })) {
      text += reply.text ?? "";
    }
    expect(text).toBe(geminiText);
  });

  test("arrives upstream on the provider's version, with its own headers and no key of ours", async () => {
    const model = `wire-${sdk.at(-1)}`;
    upstream.on(model, usual);
    const { models } = client(sdk, "fake");
    await Array.fromAsync(await models.generateContentStream({ model, contents: "hello" }));
    const [seen] = upstream.for(model);
    expect(seen?.target).toBe(`/v1beta/models/${model}:streamGenerateContent?alt=sse`);
    expect(seen?.header("x-goog-api-key")).toBe(geminiKey);
    expect(seen?.header("x-goog-api-client")).toContain("google-genai-sdk/");
    expect(JSON.stringify(seen?.headers)).not.toContain(clientKey);
  });
});

test("all end with exit code 0", async () => {
  for (const name of ["sandbox", "fake", "aimock"]) expect(await proxies[name]?.stop()).toBe(0);
});
