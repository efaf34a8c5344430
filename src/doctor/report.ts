import { type Severity, severities } from "../contract/finding.ts";
import { type Examination, isAtLeast, type Told } from "./examine.ts";

/** What `doctor --json` prints; docs/doctor.md describes it, and new fields may be added. */
export interface Report {
  /** Of this form. */
  readonly version: 1;
  /** No finding is as bad as `failOn`. */
  readonly ok: boolean;
  readonly failOn: Severity;
  /** Path of the configuration; null: the safe defaults. */
  readonly config: string | null;
  /** False: the configuration can't be used, so what needs its settings was left out. */
  readonly complete: boolean;
  readonly counts: Readonly<Record<Severity, number>>;
  readonly findings: readonly Told[];
  /** Findings beyond those that are listed, by id. */
  readonly more: Readonly<Record<string, number>>;
}

/** Puts a report together. */
export function reportOf(
  { findings, counts, more }: Examination,
  file: string | undefined,
  failOn: Severity,
  complete: boolean,
): Report {
  const ok = !severities.some((one) => isAtLeast(one, failOn) && counts[one] > 0);
  const config = file ?? null;
  return { version: 1, ok: ok && complete, failOn, config, complete, counts, findings, more };
}

interface Style {
  readonly color: boolean;
}

const colours: Readonly<Record<Severity, number>> = {
  critical: 31,
  high: 31,
  medium: 33,
  low: 36,
  info: 2,
};

/** Writes a report for a person: by severity, and what has one id together. */
export function reportText(report: Report, style: Style): string {
  const blocks = severities.flatMap((severity) => {
    const those = report.findings.filter((one) => one.severity === severity);
    if (those.length === 0) return [];
    const title = paint(colours[severity], severity, style);
    const ids = [...new Set(those.map(({ id }) => id))];
    const entries = ids.map((id) => {
      const same = those.filter((one) => one.id === id);
      return entry(same, report.more[id] ?? 0, style);
    });
    return [`${title}\n${entries.join("")}`];
  });
  return `${[...blocks, summary(report)].join("\n")}\n`;
}

/** Nothing is broken into lines: commands and paths are there to be copied. */
function entry(same: readonly Told[], more: number, style: Style): string {
  const [first] = same;
  if (first === undefined) return "";
  const lines = [`  ${paint(1, first.id, style)}  ${first.title}`];
  const isSameMend = same.every(({ mend }) => mend === first.mend);
  for (const { evidence, mend } of same) {
    lines.push(`    found ${evidence}`);
    if (!isSameMend) lines.push(`    mend  ${mend}`);
  }
  if (more > 0) lines.push(`    found and ${more} more`);
  if (isSameMend) lines.push(`    mend  ${first.mend}`);
  lines.push(`    docs  docs/${first.docs}`);
  return `${lines.join("\n")}\n`;
}

function summary({ counts, complete, ok, failOn }: Report): string {
  const told = severities.filter((one) => counts[one] > 0).map((one) => `${counts[one]} ${one}`);
  const lines = [told.length === 0 ? "nothing found" : `found: ${told.join(", ")}`];
  if (!complete) lines.push("the configuration can't be used: what needs its settings is left out");
  else if (!ok)
    lines.push(`fails: a finding is ${failOn}${failOn === "critical" ? "" : " or worse"}`);
  lines.push("`cliproxy doctor --explain ID` says more about one");
  return lines.join("\n");
}

function paint(code: number, text: string, { color }: Style): string {
  return color ? `\u001b[${code}m${text}\u001b[0m` : text;
}
