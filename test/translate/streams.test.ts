import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { agentRequest, dialects, pairs, translationOf } from "../../bench/conversation.ts";
import type { NeutralEvent } from "../../src/contract/neutral.ts";
import { SseDecoder } from "../../src/kit/sse-decoder.ts";
import { eventsOfReply, gathered, readStream, streamOf } from "./conversation.ts";

const request = agentRequest(1);
const encoder = new TextEncoder();
const whole = gathered(eventsOfReply);
const args = (text: string): unknown => JSON.parse(text);

/** Ids may be another's, and JSON may be spaced otherwise; nothing else may differ. */
function comparable({ calls, ...rest }: ReturnType<typeof gathered>) {
  return { ...rest, calls: calls.map((call) => ({ name: call.name, args: args(call.arguments) })) };
}

describe("a stream that a dialect writes, it reads:", () => {
  test.each(dialects.map((dialect) => [dialect.name, dialect] as const))("%s", (_name, dialect) => {
    const bytes = encoder.encode(streamOf(dialect, request));
    const read = readStream(dialect, bytes, []);
    const { usage, ...said } = comparable(read);
    const { usage: _, ...expected } = comparable(whole);
    expect(said).toEqual(expected);
    expect(usage).toMatchObject({ inputTokens: 30, outputTokens: 12, cachedTokens: 10 });
  });

  test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
    "%s, split at every byte",
    (_name, dialect) => {
      const bytes = encoder.encode(streamOf(dialect, request));
      const expected = readStream(dialect, bytes, []);
      for (let cut = 1; cut < bytes.length; cut++) {
        expect(readStream(dialect, bytes, [cut])).toEqual(expected);
      }
      const all = Array.from({ length: bytes.length - 1 }, (_, i) => i + 1);
      expect(readStream(dialect, bytes, all)).toEqual(expected);
    },
  );
});

describe("any reply survives the way from one dialect to another:", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  const name = fc.constantFrom("tool_0", "tool_1", "tool_2");
  const part = fc.oneof(
    text.map((t): NeutralEvent[] => [{ type: "text", text: t }]),
    fc.tuple(name, fc.dictionary(text, text, { maxKeys: 3 })).map(([tool, object]) => {
      const json = JSON.stringify(object);
      const half = Math.floor(json.length / 2);
      return [
        { type: "tool", key: 0, id: "call", name: tool },
        { type: "arguments", key: 0, text: json.slice(0, half) },
        { type: "arguments", key: 0, text: json.slice(half) },
      ] as NeutralEvent[];
    }),
  );
  const reply = fc
    .array(part, { minLength: 1, maxLength: 6 })
    .map((parts) =>
      parts.flatMap((events, i) =>
        events.map((event) =>
          "key" in event ? { ...event, key: i, ...("id" in event && { id: `call_${i}` }) } : event,
        ),
      ),
    );

  test.each(pairs)("%s to %s", (_from, _to, client, provider) => {
    fc.assert(
      fc.property(reply, (events) => {
        const hasCalls = events.some(({ type }) => type === "tool");
        const stop: NeutralEvent = { type: "stop", stop: hasCalls ? "tools" : "end" };
        const frame = { request, id: "abc123", created: 1_800_000_000 };
        const theirs = translationOf(provider).writeEvents(frame, "events");
        const sent = [...events, stop].map((event) => theirs.write(event)).join("") + theirs.end();
        const ours = translationOf(client).writeEvents(frame, "events");
        let told = "";
        const reader = translationOf(provider).readEvents((event) => {
          told += ours.write(event);
        });
        const decoder = new SseDecoder((_name, data) => reader.read(data));
        decoder.push(encoder.encode(sent));
        decoder.end();
        told += ours.end();
        const { usage: _u, ...read } = comparable(readStream(client, encoder.encode(told), []));
        const { usage: _v, ...expected } = comparable(gathered([...events, stop]));
        expect(read).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });
});
