/** From and until, in milliseconds since the epoch. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** An amount that is held until it is known what was spent. */
export interface Hold {
  readonly id: string;
  readonly counter: QuotaCounter;
  /** Of the period it was held in. */
  readonly startMs: number;
  readonly amount: number;
  isOpen: boolean;
  /** A journal knows it. */
  isSaved: boolean;
}

/** What is spent and held in one period; the next one begins at zero. */
export class QuotaCounter {
  readonly key: string;
  #startMs = Number.NEGATIVE_INFINITY;
  #endMs = Number.NEGATIVE_INFINITY;
  #spent = 0;
  #held = 0;

  constructor(key: string) {
    this.key = key;
  }

  get startMs(): number {
    return this.#startMs;
  }

  get endMs(): number {
    return this.#endMs;
  }

  get spent(): number {
    return this.#spent;
  }

  get held(): number {
    return this.#held;
  }

  /** Takes what a journal remembers. */
  restore(span: Span, spent: number): void {
    this.#startMs = span.startMs;
    this.#endMs = span.endMs;
    this.#spent = spent;
    this.#held = 0;
  }

  /** Begins a period that is later than any before; a clock that steps back opens none again. */
  enter({ startMs, endMs }: Span): boolean {
    if (startMs <= this.#startMs) return false;
    this.restore({ startMs, endMs }, 0);
    return true;
  }

  /** Holds an amount of the running period, if the limit leaves room for it. */
  hold(id: string, amount: number, limit: number): Hold | undefined {
    const held = Math.min(amount, limit);
    if (this.#spent + this.#held + held > limit) return undefined;
    this.#held += held;
    const startMs = this.#startMs;
    return { id, counter: this, startMs, amount: held, isOpen: true, isSaved: false };
  }

  /** Replaces what was held by what was spent; what belongs to an earlier period is over. */
  settle(hold: Hold, spent: number): void {
    if (!hold.isOpen) return;
    hold.isOpen = false;
    if (hold.startMs !== this.#startMs) return;
    this.#held = Math.max(0, this.#held - hold.amount);
    this.#spent += spent;
  }
}
