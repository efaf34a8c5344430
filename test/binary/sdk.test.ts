import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { LLMock } from "@copilotkit/aimock";
import OpenAI from "openai";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { replyText } from "../harness/replies.ts";
import {
  compressed,
  errorAfterStart,
  errorReply,
  hangMidStream,
  pingsAndComments,
  rateLimited,
  resetMidStream,
  split,
  truncated,
  truncatedInLine,
} from "../harness/scripts.ts";

const aimockText = "Hi from the mock that nobody here wrote";

/** The upstream that nobody here wrote. */
async function startAimock(): Promise<string> {
  const mock = new LLMock({ port: 0 });
  mock.onMessage("hello", { content: aimockText });
  await mock.start();
  onCleanup(() => mock.stop());
  return mock.url;
}

let upstream: FakeUpstream;
const proxies: Record<string, RunningProxy> = {};
let openai: (where: string, key?: string) => OpenAI;
let anthropic: (where: string, key?: string) => Anthropic;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  const aimock = await startAimock();
  const sandbox = { sandbox: { models: ["sandbox-echo"] } };
  const [a, b, c] = await Promise.all([
    startProxy({ config: { providers: sandbox } }),
    startProxy({
      config: { providers: { ...providersOf(upstream.url) } },
    }),
    startProxy({ config: { providers: providersOf(aimock) } }),
  ]);
  Object.assign(proxies, { sandbox: a, fake: b, aimock: c });
  openai = (where, key = clientKey) =>
    new OpenAI({ baseURL: `${proxies[where]?.url}/v1`, apiKey: key, maxRetries: 0 });
  anthropic = (where, key = clientKey) =>
    new Anthropic({ baseURL: proxies[where]?.url ?? "", apiKey: key, maxRetries: 0 });
});
afterAll(cleanUp);

const hello = [{ role: "user" as const, content: "hello" }];

async function readChat(client: OpenAI, model: string) {
  const stream = await client.chat.completions.create({
    model,
    messages: hello,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let tokens: number | undefined;
  let finish: string | null | undefined;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    tokens = chunk.usage?.completion_tokens ?? tokens;
  }
  return { text, tokens, finish };
}

async function readMessage(client: Anthropic, model: string) {
  const stream = client.messages.stream({ model, max_tokens: 100, messages: hello });
  const message = await stream.finalMessage();
  const text = message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
  return { text, tokens: message.usage.output_tokens, finish: message.stop_reason };
}

const upstreams: readonly (readonly [where: string, model: string, says: string])[] = [
  ["sandbox", "sandbox-echo", "hello"],
  ["fake", "m-sdk", replyText()],
  ["aimock", "gpt-4o", aimockText],
];

describe.each(upstreams)("against %s:", (where, model, says) => {
  test("openai, whole", async () => {
    const reply = await openai(where).chat.completions.create({ model, messages: hello });
    expect(reply.choices[0]?.message.content).toContain(says);
    expect(reply.choices[0]?.finish_reason).toBe("stop");
    expect(reply.usage?.completion_tokens).toBeNumber();
  });

  test("openai, streamed", async () => {
    const { text, finish } = await readChat(openai(where), model);
    expect(text).toContain(says);
    expect(finish).toBe("stop");
  });

  test("anthropic, whole", async () => {
    const reply = await anthropic(where).messages.create({
      model,
      max_tokens: 100,
      messages: hello,
    });
    expect(reply.content).toEqual([
      expect.objectContaining({ type: "text", text: expect.stringContaining(says) }),
    ]);
    expect(reply.stop_reason).toBe("end_turn");
  });

  test("anthropic, streamed", async () => {
    const { text, finish } = await readMessage(anthropic(where), model);
    expect(text).toContain(says);
    expect(finish).toBe("end_turn");
  });

  test("lists of models, each in its own shape", async () => {
    const chat = (await openai(where).models.list()).data;
    expect(chat.length).toBeGreaterThan(0);
    expect([chat[0]?.object, typeof chat[0]?.id]).toEqual(["model", "string"]);
    const messages = (await anthropic(where).models.list()).data;
    expect(messages.length).toBeGreaterThan(0);
    expect([messages[0]?.type, typeof messages[0]?.id]).toEqual(["model", "string"]);
    const [first] = chat;
    const one = await openai(where).models.retrieve(first?.id ?? "");
    expect(one.id).toBe(first?.id as string);
    const [second] = messages;
    expect((await anthropic(where).models.retrieve(second?.id ?? "")).id).toBe(
      second?.id as string,
    );
  });
});

describe("errors raise the SDK's own classes:", () => {
  type Case = readonly [
    name: string,
    where: string,
    model: string,
    key: string | undefined,
    openaiClass: new (...a: never[]) => Error,
    anthropicClass: new (...a: never[]) => Error,
  ];
  const cases: readonly Case[] = [
    [
      "wrong key",
      "fake",
      "m",
      "wrong-key",
      OpenAI.AuthenticationError,
      Anthropic.AuthenticationError,
    ],
    ["unknown model", "sandbox", "nope", undefined, OpenAI.NotFoundError, Anthropic.NotFoundError],
    ["upstream 400", "fake", "e-400", undefined, OpenAI.BadRequestError, Anthropic.BadRequestError],
    ["upstream 404", "fake", "e-404", undefined, OpenAI.NotFoundError, Anthropic.NotFoundError],
    ["upstream 429", "fake", "e-429", undefined, OpenAI.RateLimitError, Anthropic.RateLimitError],
    [
      "upstream 500",
      "fake",
      "e-500",
      undefined,
      OpenAI.InternalServerError,
      Anthropic.InternalServerError,
    ],
  ];
  beforeAll(() => {
    for (const status of [400, 404, 500]) {
      const body = JSON.stringify({ error: { message: "no", type: "t" }, type: "error" });
      upstream.on(`e-${status}`, errorReply(status, body));
    }
    upstream.on("e-429", rateLimited("7"));
  });
  test.concurrent.each(cases)("%s", async (_name, where, model, key, ofOpenai, ofAnthropic) => {
    const chat = openai(where, key).chat.completions.create({ model, messages: hello });
    const failed = await chat.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(ofOpenai);
    const message = anthropic(where, key).messages.create({
      model,
      max_tokens: 10,
      messages: hello,
    });
    const failedToo = await message.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failedToo).toBeInstanceOf(ofAnthropic);
  });
});

describe("streams through the SDKs:", () => {
  const good = [
    ["split at every byte", split(1)],
    ["split at 7 bytes", split(7)],
    ["pings, comments and CRLF", pingsAndComments],
    ["gzip, unasked", compressed("gzip")],
    ["br, unasked", compressed("br")],
    ["deflate, unasked", compressed("deflate")],
  ] as const;
  test.concurrent.each(good)("%s", async (name, script) => {
    const model = `good ${name}`;
    upstream.on(model, script);
    const [chat, message] = await Promise.all([
      readChat(openai("fake"), model),
      readMessage(anthropic("fake"), model),
    ]);
    expect(chat).toEqual({ text: replyText(), tokens: 7, finish: "stop" });
    expect(message).toEqual({ text: replyText(), tokens: 7, finish: "end_turn" });
  });

  const bad = [
    ["ends without its terminal event", truncated],
    ["ends in the middle of a line", truncatedInLine],
    ["is reset", resetMidStream],
    ["carries the provider's own error", errorAfterStart],
    ["falls silent", hangMidStream],
  ] as const;
  test.concurrent.each(bad)("a stream that %s raises in both", async (name, script) => {
    const model = `bad ${name}`;
    const isSilent = script === hangMidStream;
    const proxy = isSilent
      ? await startProxy({
          config: {
            providers: Object.fromEntries(
              Object.entries(providersOf(upstream.url)).map(([n, p]) => [
                n,
                { ...p, timeout: { idle: "300ms" } },
              ]),
            ),
          },
        })
      : (proxies.fake as RunningProxy);
    proxies[name] = proxy;
    upstream.on(model, script);
    const [chat, message] = await Promise.allSettled([
      readChat(openai(name), model),
      readMessage(anthropic(name), model),
    ]);
    expect(chat).toMatchObject({ status: "rejected" });
    expect(message).toMatchObject({ status: "rejected" });
    // On half a line the openai SDK fails with its parser's error, before it sees ours.
    const ofOpenai = script === truncatedInLine ? Error : OpenAI.OpenAIError;
    if (chat.status === "rejected") expect(chat.reason).toBeInstanceOf(ofOpenai);
    if (message.status === "rejected")
      expect(message.reason).toBeInstanceOf(Anthropic.AnthropicError);
  });
});

test("beta headers and calls of the Anthropic SDK arrive as it sends them", async () => {
  await anthropic("fake").beta.messages.create({
    model: "m-beta",
    max_tokens: 10,
    messages: hello,
    betas: ["context-management-2025-06-27"],
  });
  const [seen] = upstream.for("m-beta");
  expect(seen?.header("anthropic-beta")).toContain("context-management-2025-06-27");
  expect(seen?.header("anthropic-version")).toMatch(/^20\d\d-/);
  expect(seen?.header("x-api-key")).toBe("upstream-secret-key-1");
  expect(JSON.stringify(seen?.headers)).not.toContain(clientKey);
});

test("all end with exit code 0", async () => {
  for (const name of ["sandbox", "fake", "aimock"]) expect(await proxies[name]?.stop()).toBe(0);
});
