/** One line of a metric. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Of a histogram's parts; else the family's own name. */
  readonly metricName?: string;
}

/** A metric with all its lines, made at a scrape. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly values: readonly Sample[];
}

/** How often something took how long; a value costs a walk over a few numbers. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #cells: number[];
  #sum = 0;

  /** @param bounds upper ones, ascending, in seconds */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#cells = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && seconds > (bounds[at] as number)) at += 1;
    (this.#cells[at] as number) += 1;
    this.#sum += seconds;
  }

  samples(name: string, labels: Readonly<Record<string, string>>): readonly Sample[] {
    let count = 0;
    const buckets = this.#cells.map((cell, i) => {
      count += cell;
      const le = String(this.#bounds[i] ?? "+Inf");
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}
