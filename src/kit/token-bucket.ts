/** What floating point may take from an amount in a process that runs for years. */
const slack = 1e-6;

/**
 * A bucket that refills evenly. It is kept as what is missing, so that a full one is exactly 0:
 * above the capacity that is debt, which has to flow back before anything is admitted.
 */
export class TokenBucket {
  #missing = 0;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Lets flow back what has done so until now; returns what is still missing. */
  missing(perSecond: number, nowMs: number): number {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs > 0) {
      this.#missing = Math.max(0, this.#missing - (elapsedMs * perSecond) / 1000);
      this.#atMs = nowMs;
    }
    return this.#missing;
  }

  /**
   * Milliseconds until an amount is there; an amount above the capacity asks for all of it.
   * @returns 0 when it is there now
   */
  waitMs(amount: number, capacity: number, perSecond: number, nowMs: number): number {
    const needed = this.missing(perSecond, nowMs) + Math.min(amount, capacity) - capacity;
    return needed <= slack ? 0 : Math.max(1, Math.ceil((needed * 1000) / perSecond));
  }

  /** Whole units that are there; 0 in debt. */
  left(capacity: number, perSecond: number, nowMs: number): number {
    return Math.max(0, Math.floor(capacity - this.missing(perSecond, nowMs) + slack));
  }

  /** Takes an amount that may be more than is there, or gives back with a negative one. */
  charge(amount: number): void {
    this.#missing = Math.max(0, this.#missing + amount);
  }
}
