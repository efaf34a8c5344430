/** One thing on a shelf; without content it was taken away. */
export interface Item<T> {
  readonly key: string;
  content: T | undefined;
  expiresAtMs: number | undefined;
}

/** What was found on a shelf. */
export interface Found<T> {
  readonly key: string;
  readonly content: T;
  readonly expiresAtMs: number | undefined;
}

/** Things that are looked at in a row; then others get their turn, within a millisecond. */
const inARow = 10_000;

export interface ShelfOptions {
  /** Most things on it; one more is an error, after what is over was swept off. */
  readonly most: number;
  readonly what: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

function byKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return a.key < b.key ? -1 : 1;
}

/** Things by key, each until it expires. */
export class Shelf<T> {
  readonly #items = new Map<string, Item<T>>();
  readonly #options: ShelfOptions;
  /** Before that nothing is over. */
  #soonestMs = Number.POSITIVE_INFINITY;
  /** What a journal has to write; undefined: there is none. */
  readonly #changed: Set<Item<T>> | undefined;

  constructor(options: ShelfOptions, changed: Set<Item<T>> | undefined) {
    this.#options = options;
    this.#changed = changed;
  }

  get(key: string): T | undefined {
    const item = this.#items.get(key);
    return item === undefined || this.#isOver(item) ? undefined : item.content;
  }

  /** @throws Error when the shelf is full */
  put(key: string, content: T, expiresAtMs: number | undefined): void {
    const known = this.#items.get(key);
    if (known === undefined) this.#makeRoom();
    const item = known ?? { key, content, expiresAtMs };
    item.content = content;
    item.expiresAtMs = expiresAtMs;
    this.#items.set(key, item);
    this.#willEnd(expiresAtMs);
    this.#changed?.add(item);
  }

  /** Puts back what a journal remembers. */
  restore(key: string, content: T, expiresAtMs: number | undefined): void {
    this.#items.set(key, { key, content, expiresAtMs });
    this.#willEnd(expiresAtMs);
  }

  /** Returns whether there was one. */
  remove(key: string): boolean {
    const item = this.#items.get(key);
    if (item === undefined) return false;
    const wasThere = !this.#isOver(item);
    this.#items.delete(key);
    item.content = undefined;
    this.#changed?.add(item);
    return wasThere;
  }

  /** All whose keys begin so, in the order of their keys. */
  under(prefix: string): Found<T>[] {
    this.#sweep();
    const found: Found<T>[] = [];
    for (const { key, content, expiresAtMs } of this.#items.values()) {
      if (content !== undefined && key.startsWith(prefix)) {
        found.push({ key, content, expiresAtMs });
      }
    }
    return found.sort(byKey);
  }

  /**
   * The first so many behind a key whose keys begin so, in the order of their keys. It looks at
   * all of them, but not in one go, and holds few: a million must not stop what else is served.
   */
  async page(prefix: string, after: string | undefined, most: number): Promise<Found<T>[]> {
    let first: Found<T>[] = [];
    /** Nothing behind it is among the first ones. */
    let bound: string | undefined;
    let looked = 0;
    const cut = (): void => {
      first = first.sort(byKey).slice(0, most);
      if (first.length === most) bound = first.at(-1)?.key;
    };
    for (const item of this.#items.values()) {
      looked += 1;
      if (looked % inARow === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      const { key, content, expiresAtMs } = item;
      if (after !== undefined && key <= after) continue;
      if (bound !== undefined && key > bound) continue;
      if (content === undefined || !key.startsWith(prefix) || this.#isOver(item)) continue;
      first.push({ key, content, expiresAtMs });
      if (first.length >= most * 2) cut();
    }
    cut();
    return first;
  }

  /** All whose keys begin so, in no order, a part at a time: others get their turn between. */
  async *scan(prefix: string): AsyncGenerator<Found<T>[]> {
    let part: Found<T>[] = [];
    let looked = 0;
    for (const item of this.#items.values()) {
      looked += 1;
      const { key, content, expiresAtMs } = item;
      if (content !== undefined && key.startsWith(prefix) && !this.#isOver(item)) {
        part.push({ key, content, expiresAtMs });
      }
      if (looked % inARow !== 0) continue;
      yield part;
      part = [];
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    yield part;
  }

  #makeRoom(): void {
    const { most, what } = this.#options;
    if (this.#items.size < most) return;
    this.#sweep();
    if (this.#items.size >= most) throw new Error(`the state of one policy holds ${most} ${what}`);
  }

  #sweep(): void {
    // A full shelf is asked for room at each try: without this, each would look at all things.
    if (this.#options.now() < this.#soonestMs) return;
    this.#soonestMs = Number.POSITIVE_INFINITY;
    for (const [key, item] of this.#items) {
      if (this.#isOver(item)) this.remove(key);
      else this.#willEnd(item.expiresAtMs);
    }
  }

  #willEnd(atMs: number | undefined): void {
    if (atMs !== undefined && atMs < this.#soonestMs) this.#soonestMs = atMs;
  }

  #isOver({ expiresAtMs }: Item<T>): boolean {
    return expiresAtMs !== undefined && expiresAtMs <= this.#options.now();
  }
}
