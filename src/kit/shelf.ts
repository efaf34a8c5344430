/** One thing on a shelf; without content it was taken away. */
export interface Item<T> {
  readonly key: string;
  content: T | undefined;
  expiresAtMs: number | undefined;
}

export interface ShelfOptions {
  /** Most things on it; one more is an error, after what is over was swept off. */
  readonly most: number;
  readonly what: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Things by key, each until it expires. */
export class Shelf<T> {
  readonly #items = new Map<string, Item<T>>();
  readonly #options: ShelfOptions;
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
    this.#changed?.add(item);
  }

  /** Puts back what a journal remembers. */
  restore(key: string, content: T, expiresAtMs: number | undefined): void {
    this.#items.set(key, { key, content, expiresAtMs });
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
  under(prefix: string): { key: string; content: T; expiresAtMs: number | undefined }[] {
    this.#sweep();
    const found: { key: string; content: T; expiresAtMs: number | undefined }[] = [];
    for (const { key, content, expiresAtMs } of this.#items.values()) {
      if (content !== undefined && key.startsWith(prefix)) {
        found.push({ key, content, expiresAtMs });
      }
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #makeRoom(): void {
    const { most, what } = this.#options;
    if (this.#items.size < most) return;
    this.#sweep();
    if (this.#items.size >= most) throw new Error(`the state of one policy holds ${most} ${what}`);
  }

  #sweep(): void {
    for (const [key, item] of this.#items) if (this.#isOver(item)) this.remove(key);
  }

  #isOver({ expiresAtMs }: Item<T>): boolean {
    return expiresAtMs !== undefined && expiresAtMs <= this.#options.now();
  }
}
