/** What the proxy promises of the proxy's speed: a target for each figure, and a ceiling. */
import { badReplies } from "./load.ts";
import { cpuUs, type Row } from "./measure.ts";
import { median } from "./numbers.ts";
import { baseTarget, kbPerStream, type Results, ratios, rowsOf } from "./results.ts";

export interface Promised {
  readonly what: string;
  readonly unit: string;
  readonly digits: number;
  readonly target: number;
  readonly ceiling: number;
  /** One value for each round, or the only one. */
  readonly values: (results: Results, target: string) => readonly number[];
  /** The figure of the values; the median unless told. */
  readonly figure?: (values: readonly number[]) => number;
}

const cpuRatio =
  (scenario: string): Promised["values"] =>
  (results, target) =>
    ratios(rowsOf(results, scenario, target), rowsOf(results, scenario, baseTarget), cpuUs);

const each =
  (scenario: string, of: (row: Row) => number): Promised["values"] =>
  (results, target) =>
    rowsOf(results, scenario, target).map(of);

/** What 2,000 clients can't all get would make the memory for each look small. */
const memory = (row: Row): number => (row.load.opened < 2000 ? Number.NaN : kbPerStream(row));

const largest = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : Math.max(...values);

const badRepliesRow = "wrong or dropped replies";

const vanished = (
  of: (row: Results["vanished"][number]) => readonly number[],
): Promised["values"] => {
  return (results, target) => results.vanished.filter((r) => r.target === target).flatMap(of);
};

/** The proxy with its usual policies, with those of the first foundation only, and with all. */
export const subjects = ["cliproxy", "cliproxy-first", "cliproxy-all"] as const;
export type Subject = (typeof subjects)[number];

/** What is promised of a target; with all policies on, the target is the ceiling. */
export function promisesOf(subject: Subject): readonly Promised[] {
  return subject === "cliproxy-all" ? promisesOfAll : promises;
}

const promises: readonly Promised[] = [
  {
    ...{ what: "CPU per request, 1 KB", unit: "×", digits: 2, target: 1.35, ceiling: 1.65 },
    values: cpuRatio("a"),
  },
  {
    ...{ what: "CPU per request, 100 KB", unit: "×", digits: 2, target: 1.4, ceiling: 2 },
    values: cpuRatio("b"),
  },
  {
    ...{ what: "CPU per chunk, 50 streams", unit: "×", digits: 2, target: 1.3, ceiling: 1.5 },
    values: cpuRatio("p50"),
  },
  {
    ...{ what: "500 streams: first chunk p50", unit: "ms", digits: 1, target: 15, ceiling: 30 },
    values: each("p500", (r) => r.load.firstChunk.p50 / 1000),
  },
  {
    ...{ what: "500 streams: gap p99", unit: "ms", digits: 1, target: 15, ceiling: 20 },
    values: each("p500", (r) => r.load.gap.p99 / 1000),
  },
  {
    ...{ what: badRepliesRow, unit: "", digits: 0, target: 0, ceiling: 0 },
    values: (results, target) =>
      results.rows.filter((r) => r.target === target).map((r) => badReplies(r.load)),
    figure: largest,
  },
  {
    ...{ what: "memory per stream at 2,000", unit: "KB", digits: 1, target: 25, ceiling: 40 },
    values: each("h2000", memory),
  },
  {
    ...{ what: "idle RSS", unit: "MB", digits: 0, target: 60, ceiling: 80 },
    values: (results, target) => [results.idleRss.get(target) ?? Number.NaN],
  },
  {
    ...{ what: "start to first answer", unit: "ms", digits: 0, target: 60, ceiling: 150 },
    values: (results, target) => results.starts.find((s) => s.target === target)?.ms ?? [],
  },
  {
    ...{ what: "500 clients vanish: cancelled in", unit: "ms", digits: 0 },
    ...{ target: 1000, ceiling: 1000 },
    values: vanished((r) => (r.survived ? r.cancelledMs : [Number.POSITIVE_INFINITY])),
    figure: largest,
  },
  {
    ...{ what: "… memory, fifth time ÷ second", unit: "×", digits: 2, target: 1.1, ceiling: 1.3 },
    values: vanished((r) => [(r.rss[4] ?? Number.NaN) / (r.rss[1] ?? Number.NaN)]),
  },
];

const promisesOfAll: readonly Promised[] = [
  {
    ...{ what: "CPU per request, 1 KB", unit: "×", digits: 2, target: 1.5, ceiling: 1.5 },
    values: cpuRatio("a"),
  },
  {
    ...{ what: "CPU per request, 100 KB", unit: "×", digits: 2, target: 1.5, ceiling: 1.5 },
    values: cpuRatio("b"),
  },
  {
    ...{ what: "CPU per chunk, 50 streams", unit: "×", digits: 2, target: 1.4, ceiling: 1.4 },
    values: cpuRatio("p50"),
  },
  ...promises.filter(({ what }) => what === badRepliesRow),
];

export function figureOf(promised: Promised, results: Results, target: string): number {
  return (promised.figure ?? median)(promised.values(results, target));
}

export type Verdict = "met" | "over target" | "CEILING CROSSED" | "NOT MEASURED";

export function judge(promised: Promised, value: number): Verdict {
  if (Number.isNaN(value)) return "NOT MEASURED";
  if (value <= promised.target) return "met";
  return value <= promised.ceiling ? "over target" : "CEILING CROSSED";
}
