/** The table of the promise with what this run measured. */
import { median, rangeOf, show } from "./numbers.ts";
import { figureOf, judge, type Promised, promisesOf, type Subject, subjects } from "./promises.ts";
import { baseTarget, type Results } from "./results.ts";
import { markdown } from "./scenario-table.ts";

export interface PromiseTable {
  readonly text: string;
  readonly holds: boolean;
  readonly lines: readonly object[];
}

/** A table for each kind of our proxy that was measured. */
export function promiseTables(targets: readonly string[], results: Results): PromiseTable {
  const tables = subjects
    .filter((subject) => targets.includes(subject))
    .map((subject) => promiseTable(subject, targets, results));
  return {
    text: tables.map(({ text }) => text).join("\n\n"),
    holds: tables.length > 0 && tables.every(({ holds }) => holds),
    lines: tables.flatMap(({ lines }) => lines),
  };
}

function promiseTable(
  subject: Subject,
  targets: readonly string[],
  results: Results,
): PromiseTable {
  const others = targets.filter((t) => !subjects.some((s) => s === t) && t !== "direct");
  const judged = promisesOf(subject).map((promised) => {
    const value = figureOf(promised, results, subject);
    return { promised, value, verdict: judge(promised, value) };
  });
  const lines = judged.map(({ promised, value, verdict }) => [
    promised.what,
    `${measured(promised, value)}${spread(promised, results, subject)}`,
    `≤ ${measured(promised, promised.target)}`,
    measured(promised, promised.ceiling),
    verdict,
    ...others.map((other) => measured(promised, figureOf(promised, results, other))),
  ]);
  const head = ["", `${subject} (range)`, "target", "ceiling", "verdict", ...others];
  const noise = median(results.rows.filter((r) => r.target === subject).map((r) => r.strangers));
  return {
    text: [
      markdown(`what is promised (× is the ratio to ${baseTarget})`, head, lines),
      "",
      `Strangers took ${show(noise * 100)} % of the proxies' core (median); above 10 %, trust`,
      "only the ratios of CPU.",
    ].join("\n"),
    holds: judged.every(({ verdict }) => verdict === "met" || verdict === "over target"),
    lines: judged.map(({ promised, value, verdict }) => ({
      ...{ subject, what: promised.what, unit: promised.unit, value },
      ...{ target: promised.target, ceiling: promised.ceiling, verdict },
    })),
  };
}

const measured = ({ unit, digits }: Promised, value: number): string =>
  value === Number.POSITIVE_INFINITY
    ? "never"
    : `${show(value, digits)}${unit === "" ? "" : ` ${unit}`}`;

function spread(promised: Promised, results: Results, subject: Subject): string {
  const values = promised.values(results, subject);
  if (values.length < 2) return "";
  const [least, most] = rangeOf(values);
  return ` (${show(least, promised.digits)}–${show(most, promised.digits)})`;
}
