import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LLMock } from "@copilotkit/aimock";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import OpenAI7 from "openai-7";
import { z } from "zod";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import {
  always,
  cutStream,
  responseReply,
  surfaces,
  surfaceText,
  vector,
} from "./surface-replies.ts";

const mockText = "Hi from the mock that nobody here wrote";
const mockVector = [0.5, -0.25, 0.75];

async function startAimock(): Promise<string> {
  const mock = new LLMock({ port: 0 });
  mock.onMessage("hello", { content: mockText });
  mock.onEmbedding("hello", { embedding: mockVector });
  await mock.start();
  onCleanup(() => mock.stop());
  return mock.url;
}

let upstream: FakeUpstream;
const proxies: Record<string, RunningProxy> = {};

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  const aimock = await startAimock();
  const configs: Record<string, object> = {
    sandbox: { sandbox: { models: ["sandbox-echo"] } },
    fake: providersOf(upstream.url),
    aimock: providersOf(aimock),
  };
  for (const [name, providers] of Object.entries(configs)) {
    proxies[name] = await startProxy({ config: { providers } });
  }
  upstream.on("m", surfaces);
});
afterAll(cleanUp);

const sdks = { "openai 6": OpenAI, "openai 7": OpenAI7 as unknown as typeof OpenAI };
type Sdk = keyof typeof sdks;

function client(sdk: Sdk, where: string, key = clientKey): OpenAI {
  const baseURL = `${proxies[where]?.url}/v1`;
  return new sdks[sdk]({ baseURL, apiKey: key, maxRetries: 0, logLevel: "off" });
}

async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

type Where = readonly [sdk: Sdk, where: string, model: string, says: string];
const bySdk = (...rows: readonly (readonly [string, string, string])[]): Where[] =>
  (Object.keys(sdks) as Sdk[]).flatMap((sdk) => rows.map((row) => [sdk, ...row] as const));

const ours = bySdk(["sandbox", "sandbox-echo", "hello"], ["fake", "m", surfaceText]);
const all = [...ours, ...bySdk(["aimock", "gpt-4o", mockText])];

describe.each(ours)("%s against %s: completions", (sdk, where, model, says) => {
  const request = { model, prompt: "hello", max_tokens: 100 };

  test("whole", async () => {
    const reply = await client(sdk, where).completions.create(request);
    expect(reply.choices[0]?.text).toContain(says);
    expect(reply.choices[0]?.finish_reason).toBe("stop");
    expect(reply.usage?.completion_tokens).toBeGreaterThan(0);
  });

  test("streamed", async () => {
    const stream = await client(sdk, where).completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    expect(chunks.map(({ choices }) => choices[0]?.text ?? "").join("")).toContain(says);
    expect(chunks.at(-1)?.usage?.completion_tokens).toBeGreaterThan(0);
  });
});

describe.each(all)("%s against %s: responses", (sdk, where, model, says) => {
  const request = { model, input: "hello" };

  test("whole", async () => {
    const reply = await client(sdk, where).responses.create(request);
    expect(reply.output_text).toContain(says);
    expect(reply.status).toBe("completed");
    if (where !== "aimock") expect(reply.usage?.output_tokens).toBeGreaterThan(0);
  });

  test("streamed", async () => {
    const stream = await client(sdk, where).responses.create({ ...request, stream: true });
    let text = "";
    const types: string[] = [];
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    expect(text).toContain(says);
    expect(types[0]).toBe("response.created");
    expect(types.at(-1)).toBe("response.completed");
  });

  test("by the helper that streams", async () => {
    const stream = client(sdk, where).responses.stream(request);
    let text = "";
    stream.on("response.output_text.delta", ({ delta }) => {
      text += delta;
    });
    const reply = await stream.finalResponse();
    expect(text).toContain(says);
    expect(reply.output_text).toBe(text);
    if (where !== "aimock") expect(reply.usage?.total_tokens).toBeGreaterThan(0);
  });

  test("by the helper that parses", async () => {
    const reply = await client(sdk, where).responses.parse(request);
    expect(reply.output_text).toContain(says);
    expect(reply.output_parsed).toBeNull();
  });
});

describe.each(all)("%s against %s: embeddings", (sdk, where, model) => {
  const request = { model, input: "hello" };
  const expected: Record<string, readonly number[]> = { fake: vector, aimock: mockVector };

  test("in floats", async () => {
    const { embeddings } = client(sdk, where);
    const { data, usage } = await embeddings.create({ ...request, encoding_format: "float" });
    const numbers = data[0]?.embedding ?? [];
    expect(numbers).toEqual((expected[where] ?? numbers) as number[]);
    expect(numbers.length).toBeGreaterThan(2);
    expect(usage.prompt_tokens).toBeGreaterThanOrEqual(where === "aimock" ? 0 : 1);
  });
});

// The mock answers with a list whatever is asked, of which version 6 makes nothing.
test.each(ours)(
  "%s against %s: embeddings in base64, as the SDK asks",
  async (sdk, where, model) => {
    const { embeddings } = client(sdk, where);
    const request = { model, input: "hello" };
    const packed = await embeddings.create(request);
    const plain = await embeddings.create({ ...request, encoding_format: "float" });
    expect(packed.data[0]?.embedding).toEqual(plain.data[0]?.embedding as number[]);
  },
);

describe.each(Object.keys(sdks) as Sdk[])("%s:", (sdk) => {
  test("a schema's answer is parsed", async () => {
    upstream.on("typed", always(200, responseReply("typed", '{"town":"Gdańsk"}')));
    const reply = await client(sdk, "fake").responses.parse({
      model: "typed",
      input: "where?",
      text: { format: zodTextFormat(z.object({ town: z.string() }), "place") },
    });
    expect(reply.output_parsed).toEqual({ town: "Gdańsk" });
    expect(upstream.for("typed").at(-1)?.text).toContain('"json_schema"');
  });

  test("a tool is called, and its output goes up", async () => {
    const call = {
      id: "fc_1",
      type: "function_call",
      call_id: "call_1",
      name: "now",
      arguments: "{}",
    };
    upstream.on("tools", always(200, responseReply("tools", "", { output: [call] })));
    const { responses } = client(sdk, "fake");
    const tool = { type: "function" as const, name: "now", parameters: {}, strict: false };
    const asked = await responses.create({ model: "tools", input: "time?", tools: [tool] });
    const [found] = asked.output;
    expect(found).toMatchObject({ type: "function_call", call_id: "call_1" });
    upstream.on("tools", surfaces);
    const told = await responses.create({
      model: "tools",
      input: [
        { role: "user", content: "time?" },
        { type: "function_call", call_id: "call_1", name: "now", arguments: "{}" },
        { type: "function_call_output", call_id: "call_1", output: "noon" },
      ],
    });
    expect(told.output_text).toBe(surfaceText);
    expect(upstream.for("tools").at(-1)?.text).toContain('"output":"noon"');
  });

  test.each([
    ["incomplete", { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }],
    ["failed", { status: "failed", error: { code: "server_error", message: "no" }, usage: null }],
  ])("a whole response that is %s arrives as it is", async (status, more) => {
    upstream.on(status, always(200, responseReply(status, "half", more)));
    const reply = await client(sdk, "fake").responses.create({ model: status, input: "hello" });
    expect(reply).toMatchObject(more);
  });
});

const calls: Readonly<Record<string, (client: OpenAI, model: string) => PromiseLike<unknown>>> = {
  completions: (c, model) => c.completions.create({ model, prompt: "hello" }),
  responses: (c, model) => c.responses.create({ model, input: "hello" }),
  embeddings: (c, model) => c.embeddings.create({ model, input: "hello" }),
};

describe("errors raise the SDK's own classes:", () => {
  type Case = readonly [name: string, where: string, model: string, key?: string];
  const cases: readonly (readonly [Case, class_: keyof typeof OpenAI, message: string])[] = [
    [["a wrong key", "fake", "m", "wrong-key-0123456789"], "AuthenticationError", "client key"],
    [["an unknown model", "sandbox", "nope"], "NotFoundError", "No provider here serves"],
    [["another API's model", "fake", "ant/m"], "BadRequestError", "(POST /v1/messages)"],
    [["no model", "fake", ""], "BadRequestError", "`model` must name a model"],
    [["400 of the provider", "fake", "e-400"], "BadRequestError", "no 400"],
    [["404 of the provider", "fake", "e-404"], "NotFoundError", "no 404"],
    [["422 of the provider", "fake", "e-422"], "UnprocessableEntityError", "no 422"],
    [["429 of the provider", "fake", "e-429"], "RateLimitError", "no 429"],
    [["500 of the provider", "fake", "e-500"], "InternalServerError", "no 500"],
    [["503 of the provider", "fake", "e-503"], "InternalServerError", "no 503"],
    [["401 of the provider", "fake", "e-401"], "InternalServerError", "refused the credential"],
  ];
  beforeAll(() => {
    for (const status of [400, 401, 404, 422, 429, 500, 503]) {
      const error = { message: `no ${status}`, type: "t", param: null, code: "c" };
      const headers = { "retry-after": "7", "x-ratelimit-remaining-requests": "0" };
      upstream.on(`e-${status}`, always(status, { error }, headers));
    }
  });
  const rows = Object.keys(calls).flatMap((surface) =>
    (Object.keys(sdks) as Sdk[]).flatMap((sdk) =>
      cases
        // A conversation would be translated.
        .filter(([[name]]) => surface !== "responses" || name !== "another API's model")
        .map(([[name, ...rest], ...expected]) => [surface, sdk, name, rest, expected] as const),
    ),
  );
  test.each(rows)("%s, %s, %s", async (surface, sdk, _name, [where, model, key], expected) => {
    const [class_, message] = expected;
    const raised = await rejection(
      calls[surface]?.(client(sdk, where, key), model) ?? Promise.resolve(),
    );
    expect(raised).toBeInstanceOf(sdks[sdk][class_] as typeof OpenAI.APIError);
    expect(raised).toMatchObject({ message: expect.stringContaining(message) });
    if (model === "e-429" || model === "e-503") {
      expect((raised as InstanceType<typeof OpenAI.APIError>).headers?.get("retry-after")).toBe(
        "7",
      );
    }
  });
});

describe("streams that break raise in the SDKs:", () => {
  const scripts = {
    "ends too early": cutStream(1, (wire) => wire.endChunks()),
    "is reset": cutStream(2, (wire) => wire.reset()),
    "ends inside a line": cutStream(2, async (wire) => {
      await wire.chunk('event: x\ndata: {"type":"x","sequ');
      await wire.endChunks();
    }),
  } as const;
  const rows = (Object.keys(sdks) as Sdk[]).flatMap((sdk) =>
    Object.keys(scripts).map((name) => [sdk, name as keyof typeof scripts] as const),
  );
  test.each(rows)("%s, %s", async (sdk, name) => {
    upstream.on(name, scripts[name]);
    const c = client(sdk, "fake");
    const request = { model: name, input: "hello" };
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      const stream = await c.responses.create({ ...request, stream: true });
      for await (const event of stream) seen.push(event.sequence_number);
    };
    const raised = await rejection(read());
    expect(raised).toBeInstanceOf(name === "ends inside a line" ? Error : sdks[sdk].APIError);
    expect(seen).toEqual([...seen.keys()]);
    // A reset takes along what is still on its way.
    if (name !== "is reset") expect(seen.length).toBeGreaterThan(5);
    expect(await rejection(c.responses.stream(request).finalResponse())).toBeInstanceOf(Error);
    const older = async (): Promise<void> => {
      const stream = await c.completions.create({ model: name, prompt: "hello", stream: true });
      for await (const chunk of stream) expect(chunk.object).toBe("text_completion");
    };
    expect(await rejection(older())).toBeInstanceOf(Error);
  });
});

test("a large reply of embeddings arrives byte for byte", async () => {
  const big = Buffer.alloc(3 * 1024 * 1024, "9Az+").toString("latin1");
  const reply = { object: "list", data: [{ object: "embedding", index: 0, embedding: big }] };
  upstream.on("big", always(200, { ...reply, usage: { prompt_tokens: 1, total_tokens: 1 } }));
  const proxy = proxies.fake as RunningProxy;
  const answer = await proxy.post("/v1/embeddings", { model: "big", input: "x" });
  const { data } = (await answer.json()) as typeof reply;
  expect(data[0]?.embedding === big).toBe(true);
});

test("all end with exit code 0", async () => {
  for (const proxy of Object.values(proxies)) expect(await proxy.stop()).toBe(0);
});
