/** One table of Markdown for each scenario: medians over the rounds. */
import { badReplies } from "./load.ts";
import { cpuUs, type Row } from "./measure.ts";
import { median, show } from "./numbers.ts";
import { baseTarget, kbPerStream, type Results, ratios, rowsOf } from "./results.ts";
import type { LoadScenario } from "./scenarios.ts";

/** The rows that a figure may be compared with. */
interface Others {
  readonly direct: readonly Row[];
  readonly base: readonly Row[];
}

interface Column {
  readonly title: string;
  readonly digits?: number;
  readonly of: (rows: readonly Row[], others: Others) => number;
}

const each = (title: string, of: (row: Row) => number, digits = 0): Column => ({
  title,
  digits,
  of: (rows) => median(rows.map(of)),
});

const added = (title: string, of: (row: Row) => number): Column => ({
  title,
  of: (rows, { direct }) => median(rows.map(of)) - median(direct.map(of)),
});

const cpuColumns = (unit: string): Column[] => [
  each(`CPU us/${unit}`, cpuUs, 1),
  {
    title: `× ${baseTarget}`,
    digits: 2,
    of: (rows, { base }) => median(ratios(rows, base, cpuUs)),
  },
];

const bad: Column = {
  title: "bad",
  of: (rows) => rows.reduce((sum, row) => sum + badReplies(row.load), 0),
};
const strangers = each("strangers %", (r) => r.strangers * 100);
const rss = each("RSS MB", (r) => r.rss);
const p50 = (r: Row) => r.load.latency.p50;
const p99 = (r: Row) => r.load.latency.p99;

const columns: Readonly<Record<LoadScenario["mode"], readonly Column[]>> = {
  sat: [
    ...cpuColumns("request"),
    each("user", (r) => r.userUs, 1),
    each("system", (r) => r.systemUs, 1),
    each("requests/s", (r) => r.load.rps),
    each("p50 us", p50),
    each("p99 us", p99),
    bad,
    rss,
    strangers,
  ],
  rate: [
    each("p50 us", p50),
    each("p99 us", p99),
    added("added p50", p50),
    added("added p99", p99),
    ...cpuColumns("request"),
    bad,
    strangers,
  ],
  sse: [
    ...cpuColumns("chunk"),
    each("chunks", (r) => r.load.chunks),
    each("busy %", (r) => r.busy * 100),
    each("first chunk p50 us", (r) => r.load.firstChunk.p50),
    each("p99", (r) => r.load.firstChunk.p99),
    each("one way p50 us", (r) => r.load.oneWay.p50),
    each("p99", (r) => r.load.oneWay.p99),
    each("gap p99 us", (r) => r.load.gap.p99),
    bad,
    rss,
    strangers,
  ],
  hold: [
    each("opened", (r) => r.load.opened),
    each("RSS before MB", (r) => r.rssBefore),
    each("RSS held MB", (r) => r.rss),
    each("KB/stream", kbPerStream, 1),
    each("busy %", (r) => r.busy * 100),
    bad,
    strangers,
  ],
};

export function scenarioTable(
  name: string,
  scenario: LoadScenario,
  targets: readonly string[],
  results: Results,
): string {
  const shown = columns[scenario.mode];
  const direct = rowsOf(results, name, "direct");
  const base = rowsOf(results, name, baseTarget);
  const lines = targets
    .map((target) => ({ target, rows: rowsOf(results, name, target) }))
    .filter(({ rows }) => rows.length > 0)
    .map(({ target, rows }) => [
      target,
      ...shown.map((column) => show(column.of(rows, { direct, base }), column.digits)),
    ]);
  return markdown(`${name}: ${scenario.about}`, ["target", ...shown.map((c) => c.title)], lines);
}

export function markdown(
  title: string,
  head: readonly string[],
  lines: readonly (readonly string[])[],
): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return ["", `### ${title}`, "", row(head), row(head.map(() => "---")), ...lines.map(row)].join(
    "\n",
  );
}
