/**
 * What translation costs: bun bench/micro-translate.ts
 * Prints, for each pair of dialects, milliseconds of CPU for a request of 100 KB with tools (bytes
 * in, bytes out) and microseconds for a chunk of a stream; medians of rounds.
 */
import { Buffer } from "node:buffer";
import type { Dialect } from "../src/contract/plugin.ts";
import { SseDecoder } from "../src/kit/sse-decoder.ts";
import { translateRequest } from "../src/translate/request.ts";
import { EventTidier } from "../src/translate/tidy-events.ts";
import { agentRequest, pairs, translationOf } from "./conversation.ts";

const rounds = 15;
const requests = 40;
const chunks = 5000;
/** What is promised: milliseconds for a request, microseconds for a chunk. */
const promised = { request: 1.5, chunk: 15 };

const encoder = new TextEncoder();
const long = agentRequest(28);
const frame = { request: long, id: "abc123", created: 1_800_000_000 };

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function median(run: () => number): number {
  const figures = Array.from({ length: rounds }, run).sort((a, b) => a - b);
  return figures[Math.floor(rounds / 2)] ?? 0;
}

function requestMs(client: Dialect, provider: Dialect): number {
  const told = { dropped: new Set<string>(), changed: new Set<string>() };
  const written = translationOf(client).writeRequest(long, "m", told);
  const body = Buffer.from(JSON.stringify(written));
  const asked = { model: "m", stream: true };
  return median(() => {
    const ms = cpuMs(() => {
      for (let i = 0; i < requests; i++) {
        const made = translateRequest(body, asked, client, provider, "m");
        if ("code" in made) throw new Error(made.message);
      }
    });
    return ms / requests;
  });
}

function chunkUs(client: Dialect, provider: Dialect): number {
  const theirs = translationOf(provider).writeEvents(frame, "events");
  theirs.write({ type: "text", text: "begin" });
  const chunk = encoder.encode(theirs.write({ type: "text", text: " some words as they come" }));
  return median(() => {
    const ours = translationOf(client).writeEvents(frame, "events");
    let bytes = 0;
    let out = "";
    const tidier = new EventTidier(long, "abc123", false, (event) => {
      out += ours.write(event);
    });
    const reader = translationOf(provider).readEvents((event) => tidier.take(event));
    const decoder = new SseDecoder((_name, data) => reader.read(data));
    const watcher = provider.readStream();
    const ms = cpuMs(() => {
      for (let i = 0; i < chunks; i++) {
        out = "";
        watcher.push(chunk);
        decoder.push(chunk);
        bytes += encoder.encode(out).byteLength;
      }
    });
    if (bytes === 0) throw new Error("nothing was written");
    return (ms / chunks) * 1000;
  });
}

const told = (figure: number, most: number): string =>
  `${figure.toFixed(2)}${figure > most ? " !" : ""}`;
console.log(
  `| client | provider | request, ms (≤ ${promised.request}) | chunk, µs (≤ ${promised.chunk}) |`,
);
console.log("| --- | --- | --- | --- |");
for (const [from, to, client, provider] of pairs) {
  const request = told(requestMs(client, provider), promised.request);
  const chunk = told(chunkUs(client, provider), promised.chunk);
  console.log(`| ${from} | ${to} | ${request} | ${chunk} |`);
}
