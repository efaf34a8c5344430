import type { ErrorCode } from "./contract/errors.ts";
import type { Exchange, LiveRegistry } from "./contract/policy.ts";
import type { Clock } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";

/** What the registry needs of a running exchange. */
export interface Stoppable {
  readonly view: Exchange;
  /** Looks at the deadline and at the client; called once a tick. */
  beat(nowMs: number): void;
  stop(refusal: Refusal): void;
}

/** How often exchanges are looked at: the precision of deadlines, in milliseconds. */
const tickMs = 100;

/**
 * Running exchanges of all generations, and the one timer behind their deadlines: a timer per
 * request or per chunk would cost more than the chunk.
 */
export class Live implements LiveRegistry {
  /** Monotonic milliseconds, at most one tick old. */
  coarseMs: number;
  readonly #exchanges = new Set<Stoppable>();
  readonly #clock: Clock;
  #timer: ReturnType<typeof setInterval> | undefined;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.coarseMs = clock.mono();
  }

  get size(): number {
    return this.#exchanges.size;
  }

  add(exchange: Stoppable): void {
    if (this.#timer === undefined) {
      this.coarseMs = this.#clock.mono();
      this.#timer = setInterval(() => this.tick(), tickMs);
    }
    this.#exchanges.add(exchange);
  }

  remove(exchange: Stoppable): void {
    this.#exchanges.delete(exchange);
    if (this.#exchanges.size === 0 && this.#waiting.length > 0) this.#wake();
  }

  /** Stops what is overdue; the timer calls it, and tests do. */
  tick(): void {
    this.coarseMs = this.#clock.mono();
    for (const exchange of this.#exchanges) exchange.beat(this.coarseMs);
    if (this.#exchanges.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  abort(match: (x: Exchange) => boolean, code: ErrorCode): number {
    let count = 0;
    for (const exchange of [...this.#exchanges]) {
      if (!match(exchange.view)) continue;
      exchange.stop({ code });
      count += 1;
    }
    return count;
  }

  /** Resolves when nothing runs, or after the given milliseconds; says whether nothing runs. */
  async settled(withinMs: number): Promise<boolean> {
    if (this.size === 0) return true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    return this.size === 0;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
