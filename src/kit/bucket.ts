/** How fast requests may come: `burst` at once, and `perSecond` in the long run. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What a bucket tells of itself. */
export interface Level {
  readonly admitted: boolean;
  /** Requests that would be admitted now. */
  readonly left: number;
  /** Milliseconds until the next one is admitted; 0 when one would be now. */
  readonly waitMs: number;
  /** Milliseconds until the bucket is as if it had never been used. */
  readonly fullInMs: number;
}

/** Of a request: what rounding may take from a clock that has run for years. */
const slack = 1 / 1024;

let paces = 0;

/**
 * The generic cell rate algorithm, counted in requests instead of seconds. A bucket is one number:
 * the theoretical arrival time of its next request, times the rate. One request adds exactly 1, so
 * `burst` is exact whatever the rate and however long the process runs.
 */
export class Pace {
  readonly rate: Rate;
  /** A later one is of a later configuration. */
  readonly serial = ++paces;

  constructor(rate: Rate) {
    this.rate = rate;
  }

  /** The present, in requests; takes monotonic milliseconds. */
  at(nowMs: number): number {
    return (nowMs * this.rate.perSecond) / 1000;
  }

  /** What is in use of a bucket, from 0 to `burst`. */
  used(arrival: number, now: number): number {
    return Math.min(this.rate.burst, Math.max(0, arrival - now));
  }

  admits(arrival: number, now: number): boolean {
    return arrival - now <= this.rate.burst - 1 + slack;
  }

  /** @param admitted of the request that asks; absent: of one that would come now */
  tell(arrival: number, now: number, admitted = this.admits(arrival, now)): Level {
    const { burst, perSecond } = this.rate;
    const used = this.used(arrival, now);
    const isOpen = this.admits(arrival, now);
    return {
      admitted,
      left: isOpen ? Math.floor(burst - used + slack) : 0,
      waitMs: isOpen ? 0 : ((used - burst + 1) / perSecond) * 1000,
      fullInMs: (used / perSecond) * 1000,
    };
  }

  /** What a bucket of an earlier pace is worth in this one: requests in use stay in use. */
  adopt(arrival: number, earlier: Pace, nowMs: number): number {
    const used = Math.min(this.rate.burst, earlier.used(arrival, earlier.at(nowMs)));
    return this.at(nowMs) + used;
  }
}

/** One bucket for all; it outlives the configurations whose pace it has. */
export class Bucket {
  #arrival = 0;
  #pace: Pace | undefined;

  /** Takes one request if there is one to take; a refusal takes nothing. */
  take(pace: Pace, nowMs: number): Level {
    const current = this.#adopt(pace, nowMs);
    const now = current.at(nowMs);
    const admitted = current.admits(this.#arrival, now);
    if (admitted) this.#arrival = Math.max(this.#arrival, now) + 1;
    return current.tell(this.#arrival, now, admitted);
  }

  /** What it is worth in the pace that it has. */
  arrival(pace: Pace, nowMs: number): number {
    this.#adopt(pace, nowMs);
    return this.#arrival;
  }

  /** Tells without taking. */
  look(pace: Pace, nowMs: number): Level {
    const current = this.#adopt(pace, nowMs);
    return current.tell(this.#arrival, current.at(nowMs));
  }

  /** Only a later pace takes over: what an old configuration still runs must not forgive. */
  #adopt(pace: Pace, nowMs: number): Pace {
    const { serial } = this.#pace ?? { serial: 0 };
    if (pace.serial > serial) {
      if (this.#pace !== undefined) this.#arrival = pace.adopt(this.#arrival, this.#pace, nowMs);
      this.#pace = pace;
    }
    return this.#pace ?? pace;
  }
}
