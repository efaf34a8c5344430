import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import { BadAnswer } from "./kit/untranslatable.ts";
import type { ByteSink, ByteSource } from "./runtime/runtime.ts";

/**
 * What is left to say at the end of a body: nothing, since it is complete; the rest of what is
 * complete; bytes to append that tell the client of the failure; or what only a cut connection can
 * say.
 */
export type LastWords = "complete" | { readonly rest: Uint8Array } | Uint8Array | "cut";

/** What watches a body go by; one of `end` and `broken` is called, once. */
export interface RelayTap {
  push(chunk: Uint8Array): void;
  /** What goes out instead of a chunk, where it does not go out as it is. */
  turn?(chunk: Uint8Array): Uint8Array | undefined;
  /** The provider has closed. */
  end(): LastWords;
  /** It broke off or was stopped, which need not mean that something is missing. */
  broken(refusal: Refusal): LastWords;
}

export interface RelayLimits {
  /** Longest silence of the provider, in milliseconds. */
  readonly idleMs: number;
  /** Monotonic milliseconds by which the whole must be there. */
  readonly totalAtMs: number;
  /** Longest that the client may leave bytes unread, in milliseconds. */
  readonly writeStallMs: number;
  /** After how much silence the client gets a comment, in milliseconds; undefined: never. */
  readonly keepaliveMs?: number | undefined;
}

const keepalive = new TextEncoder().encode(": keep-alive\n\n");
const [lineFeed, carriageReturn] = [10, 13];

/** A blank line that ends as HTTP's lines do. */
function isAfterCrLf(bytes: Uint8Array): boolean {
  return bytes.at(-2) === carriageReturn && bytes.at(-3) === lineFeed;
}

/** How a relay ended; `refusal` is absent when the body went through whole. */
export interface RelayEnd {
  readonly bytes: number;
  readonly refusal: Refusal | undefined;
  readonly clientGone: boolean;
}

/**
 * Hands a provider's body to the client chunk by chunk, with back-pressure, and looks at each.
 * One loop a stream: nothing is built for a chunk.
 */
export class Relay implements ByteSource {
  readonly #x: RunningExchange;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #tap: RelayTap;
  readonly #limits: RelayLimits;
  readonly #onEnd: (end: RelayEnd) => void;
  /** What was read before, the last first. */
  readonly #opening: { readonly done: false; readonly value: Uint8Array }[];
  #sink: ByteSink | undefined = undefined;
  #bytes = 0;
  #ended = false;
  /** What went out last. */
  #last: Uint8Array | undefined = undefined;

  constructor(
    x: RunningExchange,
    source: ReadableStream<Uint8Array>,
    tap: RelayTap,
    limits: RelayLimits,
    onEnd: (end: RelayEnd) => void,
    opening: readonly Uint8Array[] = [],
  ) {
    this.#x = x;
    this.#tap = tap;
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#opening = opening.map((value) => ({ done: false, value }) as const).reverse();
    this.#reader = source.getReader();
    x.expect("upstream_timeout", limits.idleMs, (refusal) => this.#stop(refusal));
  }

  async run(sink: ByteSink): Promise<void> {
    this.#sink = sink;
    // Stopped before the client could be told: it is told now.
    if (this.#x.stopped !== undefined) return this.#stop(this.#x.stopped);
    const { idleMs, totalAtMs, writeStallMs, keepaliveMs } = this.#limits;
    if (keepaliveMs !== undefined) {
      this.#x.quiet = { afterMs: keepaliveMs, tell: () => this.#comment() };
    }
    try {
      for (;;) {
        this.#x.extend("upstream_timeout", idleMs, totalAtMs);
        const { done, value } = this.#opening.pop() ?? (await this.#reader.read());
        if (this.#ended) return;
        if (done) break;
        this.#tap.push(value);
        if (this.#bytes === 0) this.#x.markFirstByte();
        this.#bytes += value.byteLength;
        const out = this.#tap.turn === undefined ? value : this.#tap.turn(value);
        if (out === undefined) continue;
        this.#last = out;
        const full = sink.write(out);
        if (full === undefined) continue;
        this.#x.extend("client_stalled", writeStallMs, totalAtMs);
        await full;
        if (this.#ended) return;
      }
    } catch (error) {
      const code = error instanceof BadAnswer ? "upstream_bad_answer" : "upstream_truncated";
      if (this.#x.isClientGone) this.#end(undefined, true);
      else this.#break(this.#x.stopped ?? { code });
      return;
    }
    this.#finish(this.#tap.end(), { code: "upstream_truncated" });
  }

  /** A comment (WHATWG HTML, 9.2.6), if what went out last has ended an event. */
  #comment(): void {
    const last = this.#last;
    // Before the first byte nothing is known of the answer, and a client that reads nothing needs
    // no sign of life.
    if (last === undefined || this.#ended || this.#x.deadlineCode === "client_stalled") return;
    const [before, end] = [last.at(-2), last.at(-1)];
    const isBetween = end === lineFeed && (before === lineFeed || isAfterCrLf(last));
    if (isBetween) void this.#sink?.write(keepalive);
  }

  gone(): void {
    this.#drop();
    this.#end(undefined, true);
  }

  #stop(refusal: Refusal): void {
    this.#drop();
    if (this.#sink !== undefined) this.#break(refusal);
  }

  /** Rejects if the provider has failed already: that is known, and no news. */
  #drop(): void {
    this.#reader.cancel().catch(() => {});
  }

  #break(refusal: Refusal): void {
    if (!this.#ended) this.#finish(this.#tap.broken(refusal), refusal);
  }

  #finish(words: LastWords, refusal: Refusal): void {
    if (words === "cut") {
      this.#end(refusal, false);
      // Without an error in the body's own form, only a cut connection can't be taken for an end.
      this.#sink?.cut();
      return;
    }
    const isComplete = words === "complete" || "rest" in words;
    if (words !== "complete") void this.#sink?.write("rest" in words ? words.rest : words);
    this.#end(isComplete ? undefined : refusal, false);
    this.#sink?.close();
  }

  #end(refusal: Refusal | undefined, clientGone: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd({ bytes: this.#bytes, refusal, clientGone });
  }
}
