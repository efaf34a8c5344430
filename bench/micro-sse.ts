/**
 * What a stream reader costs: bun bench/micro-sse.ts
 * Prints microseconds per chunk (median of rounds of 100 streams, 200 chunks each), then bytes per
 * open reader.
 */
import { heapStats } from "bun:jsc";
import { dialect as anthropicMessages } from "../plugins/dialects/anthropic-messages/index.ts";
import { dialect as openaiChat } from "../plugins/dialects/openai-chat/index.ts";
import type { Dialect } from "../src/contract/plugin.ts";

const rounds = 15;
const streams = 100;
const chunksPerStream = 200;
const openReaders = 20_000;
const encoder = new TextEncoder();

type Make = (i: number) => string;

const openaiEnd =
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],' +
  '"usage":{"prompt_tokens":9,"completion_tokens":198,"total_tokens":207}}\n\ndata: [DONE]\n\n';
const anthropicStart =
  'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",' +
  '"role":"assistant","model":"m","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}\n\n';
const anthropicEnd =
  'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},' +
  '"usage":{"output_tokens":198}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n';

function openai(extra: string): Make {
  return (i) =>
    i === chunksPerStream - 1
      ? openaiEnd
      : `data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"m",` +
        `"choices":[{"index":0,"delta":{"content":" word${i}"},"finish_reason":null}]${extra}}\n\n`;
}

const anthropic: Make = (i) => {
  if (i === 0) return anthropicStart;
  if (i === chunksPerStream - 1) return anthropicEnd;
  return (
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,' +
    `"delta":{"type":"text_delta","text":" some more words, number ${i}, as they come"}}\n\n`
  );
};

function chunksOf(make: Make): Uint8Array[] {
  return Array.from({ length: chunksPerStream }, (_, i) => encoder.encode(make(i)));
}

/** The same bytes, cut so that each chunk ends inside an event. */
function shifted(chunks: readonly Uint8Array[], by: number): Uint8Array[] {
  const whole = new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
  const size = Math.ceil(whole.length / chunks.length);
  const out = [whole.slice(0, by)];
  for (let at = by; at < whole.length; at += size) out.push(whole.slice(at, at + size));
  return out;
}

function measure(dialect: Dialect, chunks: readonly Uint8Array[]): number {
  const figures: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    for (let stream = 0; stream < streams; stream++) {
      const reader = dialect.readStream();
      for (const chunk of chunks) reader.push(chunk);
      if (reader.end() !== "complete" || reader.usage?.outputTokens !== 198) {
        throw new Error(`${dialect.name} read the stream wrong`);
      }
    }
    figures.push(((performance.now() - from) / streams / chunks.length) * 1000);
  }
  return figures.sort((a, b) => a - b)[rounds >> 1] as number;
}

const cases: readonly (readonly [name: string, dialect: Dialect, chunks: Uint8Array[]])[] = [
  ["openai, one event a chunk", openaiChat, chunksOf(openai(""))],
  ['openai, "usage":null in each', openaiChat, chunksOf(openai(',"usage":null'))],
  ["openai, cut inside events", openaiChat, shifted(chunksOf(openai("")), 40)],
  ["anthropic, one event a chunk", anthropicMessages, chunksOf(anthropic)],
  ["anthropic, cut inside events", anthropicMessages, shifted(chunksOf(anthropic), 40)],
];
for (const [name, dialect, chunks] of cases) {
  const bytes = chunks[1]?.length ?? 0;
  console.log(`${measure(dialect, chunks).toFixed(3)} us/chunk  ${name} (${bytes} B)`);
}

for (const [name, dialect, chunks] of cases.filter((_, i) => i === 0 || i === 2)) {
  const before = heapBytes();
  const readers = Array.from({ length: openReaders }, () => dialect.readStream());
  for (const reader of readers) for (const chunk of chunks.slice(0, 3)) reader.push(chunk);
  const each = (heapBytes() - before) / readers.length;
  console.log(`${each.toFixed(0)} B/open reader  ${name}`);
}

function heapBytes(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}
