/** Everything that a run has measured. */
import type { Row } from "./measure.ts";
import type { StartRow } from "./start-time.ts";
import type { VanishRow } from "./vanish.ts";

export interface Results {
  readonly rows: Row[];
  readonly starts: StartRow[];
  readonly vanished: VanishRow[];
  /** MB, by target. */
  readonly idleRss: Map<string, number>;
}

/** Ratios are taken to this target, in the same round. */
export const baseTarget = "bun-fetch";

export function rowsOf(results: Results, scenario: string, target: string): Row[] {
  return results.rows.filter((r) => r.scenario === scenario && r.target === target);
}

/** A figure of a target by round, as ratio to the base's figure in the same round. */
export function ratios(
  rows: readonly Row[],
  base: readonly Row[],
  figure: (row: Row) => number,
): number[] {
  return rows.map((row) => {
    const pair = base.find((b) => b.round === row.round);
    return pair === undefined ? Number.NaN : figure(row) / figure(pair);
  });
}

/** KB of RSS for each held stream. */
export const kbPerStream = (row: Row): number =>
  ((row.rss - row.rssBefore) * 1024) / row.load.opened;
