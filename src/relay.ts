import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";

type Read = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]>>;

/** What watches a body go by. */
export interface RelayTap {
  push(chunk: Uint8Array): void;
  /** The provider has closed: bytes to append, a refusal to break off with, or nothing. */
  end(): Uint8Array | Refusal | undefined;
  /** It broke off or was stopped: bytes that tell the client so, or nothing to cut the connection. */
  broken(refusal: Refusal): Uint8Array | undefined;
}

export interface RelayLimits {
  /** Longest silence of the provider, in milliseconds. */
  readonly idleMs: number;
  /** Longest time for all, in milliseconds from now. */
  readonly totalMs: number;
  /** Longest that the client may leave bytes unread, in milliseconds. */
  readonly writeStallMs: number;
}

/** How a relay ended; `refusal` is absent when the body went through whole. */
export interface RelayEnd {
  readonly bytes: number;
  readonly refusal: Refusal | undefined;
  readonly clientGone: boolean;
}

/**
 * Hands a provider's body to the client chunk by chunk, with back-pressure, and looks at each.
 * One object and three bound functions a stream: nothing is built for a chunk.
 */
export class Relay {
  readonly body: ReadableStream<Uint8Array>;
  readonly #x: RunningExchange;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #tap: RelayTap;
  readonly #limits: RelayLimits;
  readonly #totalAtMs: number;
  readonly #onEnd: (end: RelayEnd) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined = undefined;
  #bytes = 0;
  #ended = false;

  constructor(
    x: RunningExchange,
    source: ReadableStream<Uint8Array>,
    tap: RelayTap,
    limits: RelayLimits,
    onEnd: (end: RelayEnd) => void,
  ) {
    this.#x = x;
    this.#tap = tap;
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#reader = source.getReader();
    x.expect("upstream_timeout", limits.idleMs, (refusal) => this.#stop(refusal));
    this.#totalAtMs = x.deadlineMs - limits.idleMs + limits.totalMs;
    const chunk = (read: Read): void => this.#take(read);
    const broke = (): void => this.#break({ code: "upstream_truncated" });
    this.body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          this.#controller = controller;
          x.extend("upstream_timeout", this.#limits.idleMs, this.#totalAtMs);
          return this.#reader.read().then(chunk, broke);
        },
        cancel: () => this.#end(undefined, true),
      },
      { highWaterMark: 0 },
    );
  }

  #take(read: Read): void {
    if (this.#ended) return;
    if (read.done) {
      const rest = this.#tap.end();
      if (rest === undefined) this.#close(undefined, undefined);
      else if (rest instanceof Uint8Array) this.#close(rest, { code: "upstream_truncated" });
      else this.#break(rest);
      return;
    }
    const { value } = read;
    this.#tap.push(value);
    this.#bytes += value.byteLength;
    this.#x.extend("client_stalled", this.#limits.writeStallMs, this.#totalAtMs);
    this.#controller?.enqueue(value);
  }

  #stop(refusal: Refusal): void {
    void this.#reader.cancel().catch(() => {});
    this.#break(refusal);
  }

  #break(refusal: Refusal): void {
    if (this.#ended) return;
    const words = this.#tap.broken(refusal);
    if (words !== undefined) {
      this.#close(words, refusal);
      return;
    }
    this.#end(refusal, false);
    // Without an error in the body's own form, only a cut connection can't be taken for an end.
    this.#controller?.error(new Error(refusal.code));
  }

  #close(last: Uint8Array | undefined, refusal: Refusal | undefined): void {
    if (last !== undefined) this.#controller?.enqueue(last);
    this.#end(refusal, false);
    this.#controller?.close();
  }

  #end(refusal: Refusal | undefined, clientGone: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    if (clientGone) void this.#reader.cancel().catch(() => {});
    this.#onEnd({ bytes: this.#bytes, refusal, clientGone });
  }
}
