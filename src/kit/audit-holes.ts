/** Records that should stand before a line, and do not. */
export interface Hole {
  from: number;
  to: number;
  /** Lines in their place that the key did not sign. */
  readonly unsigned: number;
  readonly file: string;
  readonly line: number;
}

/** Most holes that are told apart; those beyond are merged with the last. */
export const mostHoles = 10_000;

/** What is missing in a chain so far: a record that turns up late fills its hole. */
export class Holes {
  readonly #list: Hole[] = [];

  get list(): readonly Hole[] {
    return this.#list;
  }

  /** Adds a hole behind all others. */
  add(hole: Hole): void {
    const last = this.#list.at(-1);
    if (this.#list.length < mostHoles || last === undefined) this.#list.push(hole);
    else last.to = hole.to;
  }

  /** Takes a record out of the hole it belongs to; false: it belongs to none. */
  fill(seq: number): boolean {
    const at = this.#list.findIndex(({ from, to }) => from <= seq && seq <= to);
    const hole = this.#list[at];
    if (hole === undefined) return false;
    const { from, to } = hole;
    const left = { ...hole, to: seq - 1 };
    const right = { ...hole, from: seq + 1 };
    this.#list.splice(at, 1, ...[left, right].filter((part) => part.from <= part.to));
    return from <= to;
  }
}
