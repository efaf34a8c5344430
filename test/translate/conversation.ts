import { dialect as messages } from "../../plugins/dialects/anthropic-messages/index.ts";
import { dialect as gemini } from "../../plugins/dialects/gemini/index.ts";
import { dialect as chat } from "../../plugins/dialects/openai-chat/index.ts";
import { dialect as responses } from "../../plugins/dialects/openai-responses/index.ts";
import type { NeutralEvent, NeutralRequest } from "../../src/contract/neutral.ts";
import type { Dialect } from "../../src/contract/plugin.ts";
import type { Translation } from "../../src/contract/translation.ts";
import { SseDecoder } from "../../src/kit/sse-decoder.ts";

/** The dialects that are translated among each other. */
export const dialects: readonly Dialect[] = [chat, responses, messages, gemini];

export const pairs: readonly (readonly [string, string, Dialect, Dialect])[] = dialects.flatMap(
  (from) =>
    dialects.flatMap((to) => (from === to ? [] : [[from.name, to.name, from, to] as const])),
);

export function translationOf(dialect: Dialect): Translation {
  if (dialect.translation === undefined) throw new Error(`${dialect.name} is not translated`);
  return dialect.translation;
}

const city = "Zürich — 東京 🌤";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

/** A conversation with tools as a coding agent has it, in the neutral form; as long as is asked. */
export function agentRequest(rounds: number): NeutralRequest {
  const tools = Array.from({ length: 12 }, (_, i) => ({
    name: `tool_${i}`,
    description: `Does ${i}. ${"It takes its time and says what it did. ".repeat(8)}`,
    schema,
  }));
  const messagesOf = Array.from({ length: rounds }, (_, i) => [
    { role: "user" as const, parts: [{ type: "text" as const, text: `Round ${i}: ${city}` }] },
    {
      role: "assistant" as const,
      parts: [
        { type: "text" as const, text: "I look at it. ".repeat(20) },
        {
          ...{ type: "tool_call" as const, id: `call_${i}`, name: `tool_${i % 12}` },
          arguments: JSON.stringify({ city, path: `/src/file-${i}.ts` }),
        },
      ],
    },
    {
      role: "user" as const,
      parts: [
        {
          ...{ type: "tool_result" as const, id: `call_${i}`, name: `tool_${i % 12}` },
          parts: [{ type: "text" as const, text: `line of a file "quoted" \\ \n`.repeat(90) }],
          isError: false,
        },
      ],
    },
  ]).flat();
  return {
    model: "m",
    stream: true,
    system: [{ type: "text", text: "You are an agent. ".repeat(50) }],
    messages: [...messagesOf, { role: "user", parts: [{ type: "text", text: "Go on." }] }],
    tools,
    maxOutputTokens: 1000,
    temperature: 0.5,
    streamUsage: true,
    uses: new Map(),
  };
}

/** What a model says in a stream: thoughts, text and two calls of tools, in small pieces. */
export const eventsOfReply: readonly NeutralEvent[] = [
  { type: "thinking", text: "Let me " },
  { type: "thinking", text: `see ${city}` },
  { type: "text", text: "Look" },
  { type: "text", text: `ing at ${city}` },
  { type: "tool", key: 0, id: "call_a", name: "tool_0" },
  { type: "arguments", key: 0, text: '{"city":"Z' },
  { type: "arguments", key: 0, text: 'ürich \\"x\\" 🦊"}' },
  { type: "tool", key: 1, id: "call_b", name: "tool_1" },
  { type: "arguments", key: 1, text: '{"city":"Bern"}' },
  {
    type: "usage",
    usage: {
      ...{ inputTokens: 30, outputTokens: 12, cachedTokens: 10 },
      ...{ cacheWriteTokens: 0, reasoningTokens: 6 },
    },
  },
  { type: "stop", stop: "tools" },
];

/** A reply as the stream that a provider of a dialect sends. */
export function streamOf(dialect: Dialect, request: NeutralRequest): string {
  const writer = translationOf(dialect).writeEvents(
    { request, id: "abc123", created: 1_800_000_000 },
    "events",
  );
  return eventsOfReply.map((event) => writer.write(event)).join("") + writer.end();
}

/** What a stream says, told in pieces at the given places. */
export function readStream(dialect: Dialect, bytes: Uint8Array, cuts: readonly number[]) {
  const events: NeutralEvent[] = [];
  const reader = translationOf(dialect).readEvents((event) => events.push(event));
  const decoder = new SseDecoder((_name, data) => reader.read(data));
  const places = [0, ...cuts, bytes.length];
  for (let i = 1; i < places.length; i++) decoder.push(bytes.subarray(places[i - 1], places[i]));
  decoder.end();
  return gathered(events);
}

/** The same as one: what matters is what was said, not in how many pieces. */
export function gathered(events: readonly NeutralEvent[]) {
  const said: Record<string, string> = { text: "", thinking: "", refusal: "" };
  const calls: { key: number; id: string; name: string; arguments: string }[] = [];
  let usage: unknown;
  let stop: unknown;
  for (const event of events) {
    if (event.type === "text" || event.type === "thinking" || event.type === "refusal") {
      said[event.type] += event.text;
    } else if (event.type === "tool") {
      calls.push({ key: event.key, id: event.id, name: event.name, arguments: "" });
    } else if (event.type === "arguments") {
      const call = calls.findLast(({ key }) => key === event.key);
      if (call !== undefined) call.arguments += event.text;
    } else if (event.type === "usage") usage = event.usage;
    else if (event.type === "stop") stop = event.stop;
  }
  return { ...said, calls: calls.map(({ key: _, ...call }) => call), usage, stop };
}
