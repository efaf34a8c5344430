import type { RunningExchange } from "./exchange.ts";
import { firstByte, opensJson } from "./kit/json-form.ts";

/** Replies up to this length are read whole: cheaper than a stream, and a bad one is a 502. */
export const wholeBytes = 64 * 1024;

/** What of a reply has come before its head goes out. */
export interface Opening {
  readonly chunks: readonly Uint8Array[];
  /** False: the source has more. */
  readonly isWhole: boolean;
  /** By its first byte, whatever its content type says. */
  readonly form: "json" | "events" | "other";
}

/** First letters of what stands on a line of an event stream: data, event, id, retry, a comment. */
const eventStarts = new Set(["d", "e", "i", "r", ":"].map((letter) => letter.charCodeAt(0)));

/**
 * Reads a reply that is no event stream by its content type: JSON to its end, if it comes before
 * `wholeBytes`, anything else only until it shows what it is.
 * @param idleMs longest silence of the provider, in milliseconds
 * @throws when the source breaks or the exchange is stopped
 */
export async function readOpening(
  x: RunningExchange,
  source: ReadableStream<Uint8Array>,
  idleMs: number,
  totalAtMs: number,
): Promise<Opening> {
  const reader = source.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let first: number | undefined;
  for (;;) {
    x.extend("upstream_timeout", idleMs, totalAtMs);
    const { done, value } = await reader.read();
    if (done) return { chunks, isWhole: true, form: formOf(first) };
    chunks.push(value);
    bytes += value.byteLength;
    first ??= firstByte(value);
    const isOther = first !== undefined && !opensJson(first);
    if (!isOther && bytes <= wholeBytes) continue;
    reader.releaseLock();
    return { chunks, isWhole: false, form: formOf(first) };
  }
}

function formOf(first: number | undefined): Opening["form"] {
  if (first === undefined) return "other";
  if (opensJson(first)) return "json";
  return eventStarts.has(first) ? "events" : "other";
}

/** The chunks of a whole opening in one piece. */
export function joined({ chunks }: Opening): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
