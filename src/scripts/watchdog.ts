import type { Clock } from "../contract/types.ts";
import type { Asked } from "./asked.ts";

interface WatchdogParts {
  readonly clock: Clock;
  rssBytes(): number;
}

interface Limits {
  readonly deadlineMs: number;
  readonly memoryMib: number;
}

interface Watched {
  oldest(): Asked | undefined;
  ping(): void;
  giveUp(reason: string): void;
  expire(asked: Asked): void;
}

/** How often a thread that owes an answer is looked at, in milliseconds. */
const tickMs = 20;
/** How long a healthy thread may take to answer a ping, in milliseconds. */
const pingMs = 60;
const mib = 1024 * 1024;

/**
 * Looks after a thread as long as it owes answers. One that answers pings is well, however long a
 * hook of it waits for something; one that does not is stuck in its own code.
 */
export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #limits: Limits;
  readonly #watched: Watched;
  #timer: ReturnType<typeof setInterval> | undefined = undefined;
  #pingAtMs: number | undefined = undefined;
  #silentSinceMs = 0;
  #rssBefore = 0;

  constructor(parts: WatchdogParts, limits: Limits, watched: Watched) {
    this.#parts = parts;
    this.#limits = limits;
    this.#watched = watched;
  }

  /** Something was asked. */
  wake(): void {
    if (this.#timer !== undefined) return;
    // Whatever is known is of another thread, or of another time.
    this.heard();
    this.#timer = setInterval(() => this.tick(), tickMs);
  }

  /** It answered: it is not stuck. */
  heard(): void {
    this.#silentSinceMs = this.#parts.clock.mono();
    this.#pingAtMs = undefined;
    this.#rssBefore = 0;
  }

  /** It is well; what is overdue waits for something else. */
  pong(heapBytes: number): void {
    this.heard();
    const { memoryMib, deadlineMs } = this.#limits;
    if (heapBytes > memoryMib * mib) {
      this.#watched.giveUp(`its thread held ${Math.round(heapBytes / mib)} MiB`);
      return;
    }
    const overdueAtMs = this.#parts.clock.mono() - deadlineMs;
    for (;;) {
      const oldest = this.#watched.oldest();
      if (oldest === undefined || oldest.atMs > overdueAtMs) return;
      this.#watched.expire(oldest);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The timer calls it, and tests do. */
  tick(): void {
    const { deadlineMs, memoryMib } = this.#limits;
    const oldest = this.#watched.oldest();
    if (oldest === undefined) {
      this.stop();
      return;
    }
    const nowMs = this.#parts.clock.mono();
    const silentMs = nowMs - this.#silentSinceMs;
    if (silentMs >= tickMs) {
      // Its own heap it can't tell while it is stuck: what the process grew by meanwhile is its.
      const rss = this.#parts.rssBytes();
      if (this.#rssBefore === 0) this.#rssBefore = rss;
      else if (rss - this.#rssBefore > memoryMib * mib) {
        this.#watched.giveUp(`it took more than ${memoryMib} MiB of memory in one hook`);
        this.heard();
        return;
      }
    }
    if (nowMs - oldest.atMs < deadlineMs) return;
    if (this.#pingAtMs === undefined) {
      this.#pingAtMs = nowMs;
      this.#watched.ping();
      return;
    }
    if (nowMs - this.#pingAtMs >= pingMs) {
      this.#watched.giveUp(`${oldest.hook} took longer than ${deadlineMs} ms`);
      this.heard();
    }
  }
}
