import { city, translationOf } from "../../bench/conversation.ts";
import type { NeutralEvent, NeutralRequest } from "../../src/contract/neutral.ts";
import type { Dialect } from "../../src/contract/plugin.ts";
import { SseDecoder } from "../../src/kit/sse-decoder.ts";

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
