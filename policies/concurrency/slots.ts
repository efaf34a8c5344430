import type { Attempt } from "../../src/contract/policy.ts";

/** Who waits for a slot; called with whether it got one. */
type Waiter = (got: boolean) => void;

/** What runs at one provider, in order of arrival. */
export class Slots {
  #running = 0;
  readonly #byCredential = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();
  readonly #held = new WeakSet<Attempt>();

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** How many run with a credential. */
  runningWith(credential: string): number {
    return this.#byCredential.get(credential) ?? 0;
  }

  take(attempt: Attempt): void {
    this.#running++;
    this.#count(attempt, 1);
    this.#held.add(attempt);
  }

  /** Waits for a slot of one that ends. */
  wait(attempt: Attempt, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waiter: Waiter = (got) => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
        if (got) this.#count(attempt, 1);
        if (got) this.#held.add(attempt);
        resolve(got);
      };
      const timer = setTimeout(() => waiter(false), withinMs);
      this.#waiting.add(waiter);
    });
  }

  /** Gives the slot of an attempt that had one to who waits longest. */
  release(attempt: Attempt): void {
    if (!this.#held.delete(attempt)) return;
    this.#count(attempt, -1);
    const [next] = this.#waiting;
    // The slot is handed over: the number that run stays.
    if (next === undefined) this.#running--;
    else next(true);
  }

  #count({ credentialId }: Attempt, by: 1 | -1): void {
    const count = this.runningWith(credentialId) + by;
    if (count === 0) this.#byCredential.delete(credentialId);
    else this.#byCredential.set(credentialId, count);
  }
}
