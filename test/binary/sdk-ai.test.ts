import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, streamText } from "ai";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { always, cutStream, surfaces, surfaceText } from "./surface-replies.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;
let sandbox: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
  sandbox = await startProxy({ config: { providers: { sandbox: {} } } });
  upstream.on("m", surfaces);
});
afterAll(cleanUp);

describe("the ai package, over its openai provider:", () => {
  const openai = (): ReturnType<typeof createOpenAI> =>
    createOpenAI({ baseURL: `${proxy.url}/v1`, apiKey: clientKey });

  test("generates by Responses", async () => {
    const { text, usage } = await generateText({ model: openai()("m"), prompt: "hello" });
    expect(text).toBe(surfaceText);
    expect(usage).toMatchObject({ inputTokens: 11, outputTokens: 7 });
    expect(upstream.for("m").at(-1)?.path).toBe("/v1/responses");
  });

  test("streams by Responses", async () => {
    const { textStream, usage } = streamText({ model: openai()("m"), prompt: "hello" });
    expect((await Array.fromAsync(textStream)).join("")).toBe(surfaceText);
    expect(await usage).toMatchObject({ inputTokens: 11, outputTokens: 7 });
  });

  test("generates by Completions", async () => {
    const { text } = await generateText({ model: openai().completion("m"), prompt: "hello" });
    expect(text).toBe(surfaceText);
  });

  test("embeds", async () => {
    const model = openai().embedding("m");
    const { embeddings } = await embedMany({ model, values: ["hello"] });
    expect(embeddings).toEqual([[0.5, -0.25, 0.125, -1]]);
  });

  test("hears of a stream that broke", async () => {
    upstream.on(
      "broken",
      cutStream(1, (wire) => wire.endChunks()),
    );
    const errors: unknown[] = [];
    const { fullStream } = streamText({
      model: openai()("broken"),
      prompt: "hello",
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    for await (const part of fullStream) expect(part.type).not.toBe("abort");
    expect(String((errors[0] as Error).message)).toContain("before it was complete");
  });

  test("hears of the provider's limit", async () => {
    const error = { message: "slow down", type: "rate_limit_error", param: null, code: "c" };
    upstream.on("limited", always(429, { error }, { "retry-after": "7" }));
    const asked = generateText({ model: openai()("limited"), prompt: "hi", maxRetries: 0 });
    const raised = await asked.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(raised).toMatchObject({ statusCode: 429, isRetryable: true });
  });

  test("talks to the sandbox", async () => {
    const local = createOpenAI({ baseURL: `${sandbox.url}/v1`, apiKey: clientKey });
    const { textStream } = streamText({ model: local("sandbox-echo"), prompt: "hello" });
    expect((await Array.fromAsync(textStream)).join("")).toContain("You said: hello");
  });
});

test("all end with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
  expect(await sandbox.stop()).toBe(0);
});
