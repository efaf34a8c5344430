import { afterAll, beforeAll, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { chatChunk, sseEvent as event } from "../harness/json-replies.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { sleep } from "../harness/wait.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  const providers = providersOf(upstream.url);
  proxy = await startProxy({ config: { providers, streaming: { keepalive: "1s" } } });
});
afterAll(cleanUp);

/** Says something, is silent for a while, and says the rest. */
const quiet =
  (first: string, rest: string): Script =>
  async (wire) => {
    await wire.stream({ "content-type": "text/event-stream" });
    await wire.chunk(first);
    await sleep(1500);
    await wire.chunk(rest);
    return wire.endChunks();
  };
const chunk = (content: string, finish: string | null = null): string =>
  chatChunk({ role: "assistant", content }, finish);
const delta = (text: string): string =>
  event("content_block_delta", { index: 0, delta: { type: "text_delta", text } });

test("a silent stream gets a comment, which the official SDKs pass over", async () => {
  upstream.on("m", quiet(chunk("one "), `${chunk("two", "stop")}data: [DONE]\n\n`));
  const usage = { input_tokens: 1, output_tokens: 1 };
  const begin = event("message_start", { message: { id: "m", content: [], usage } });
  const block = { index: 0, content_block: { type: "text", text: "" } };
  upstream.on(
    "claude-m",
    quiet(
      begin + event("content_block_start", block) + delta("one "),
      delta("two") +
        event("content_block_stop", { index: 0 }) +
        event("message_delta", { delta: { stop_reason: "end_turn" }, usage }) +
        event("message_stop", {}),
    ),
  );
  const messages = [{ role: "user" as const, content: "hi" }];
  const openai = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: clientKey, maxRetries: 0 });
  const anthropic = new Anthropic({ baseURL: proxy.url, apiKey: clientKey, maxRetries: 0 });
  const raw = proxy
    .post("/v1/chat/completions", { model: "oai/m", messages, stream: true })
    .then((reply) => reply.text());
  const [text, chat, message] = await Promise.all([
    raw,
    openai.chat.completions.stream({ model: "oai/m", messages }).finalChatCompletion(),
    anthropic.messages.stream({ model: "ant/claude-m", max_tokens: 9, messages }).finalMessage(),
  ]);
  expect(text.match(/: keep-alive\n\n/g)).toHaveLength(1);
  expect(text.replace(": keep-alive\n\n", "")).toBe(
    `${chunk("one ")}${chunk("two", "stop")}data: [DONE]\n\n`,
  );
  expect(chat.choices[0]?.message.content).toBe("one two");
  expect(message.content).toMatchObject([{ type: "text", text: "one two" }]);
});

test("a stream that is silent within an event is left as it is", async () => {
  const whole = `${chunk("one", "stop")}data: [DONE]\n\n`;
  upstream.on("half", quiet(whole.slice(0, 30), whole.slice(30)));
  const body = { model: "oai/half", stream: true, messages: [{ role: "user", content: "hi" }] };
  expect(await (await proxy.post("/v1/chat/completions", body)).text()).toBe(whole);
});
