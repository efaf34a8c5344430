import { resolve } from "node:path";
import { type Finding, type Severity, severities } from "../contract/finding.ts";
import { escapeControls, maskText } from "../kit/redact.ts";
import type { Area } from "./area.ts";
import type { ConfigFacts, Env, Facts } from "./facts.ts";
import { gatherFiles } from "./file-facts.ts";
import { gatherMachine } from "./machine-facts.ts";
import type { Probe } from "./probe.ts";

/** A finding with the area that it belongs to. */
export interface Told extends Finding {
  readonly area: string;
}

export interface Examination {
  /** The worst first. */
  readonly findings: readonly Told[];
  /** By severity, those that are not listed as well. */
  readonly counts: Readonly<Record<Severity, number>>;
  /** How many more of an id there are than are listed. */
  readonly more: Readonly<Record<string, number>>;
}

/** Most findings of one id that are listed; the rest is counted. */
export const mostOfAnId = 20;
/** Longest evidence that is shown, in UTF-16 units. */
const evidenceCharacters = 400;

/** Looks at everything that the configuration leads to. */
export function gatherFacts(
  config: ConfigFacts,
  probe: Probe,
  env: Env,
  nowMs: number,
  programs: readonly string[],
): Facts {
  const files = gatherFiles(config, probe, programs);
  const text = (path: string): string | undefined => {
    const value = config.get(path);
    return typeof value === "string" && value !== "" ? resolve(value) : undefined;
  };
  const isAudited = config.get("logging.audit.enabled") === true;
  const state = config.plan?.state.path ?? "";
  const places = [
    { use: "audit", path: isAudited ? text("logging.audit.file") : undefined },
    { use: "state", path: state === "" ? undefined : resolve(state) },
    { use: "credentials", path: text("auth.dir") },
  ] as const;
  const known = places.flatMap(({ use, path }) => (path === undefined ? [] : [{ use, path }]));
  return { nowMs, env, config, files, machine: gatherMachine(probe, known, env) };
}

/** Asks areas for what they find; the worst is told first. */
export function examine(facts: Facts, areas: readonly Area[]): Examination {
  const all = areas.flatMap(({ name, check }) =>
    check(facts).map((finding): Told => ({ area: name, ...toPrintable(finding) })),
  );
  const rank = new Map(severities.map((severity, i) => [severity, i]));
  all.sort((a, b) => (rank.get(a.severity) ?? 0) - (rank.get(b.severity) ?? 0));
  const seen = new Map<string, number>();
  const findings = all.filter(({ id }) => {
    seen.set(id, (seen.get(id) ?? 0) + 1);
    return (seen.get(id) ?? 0) <= mostOfAnId;
  });
  const beyond = [...seen].filter(([, count]) => count > mostOfAnId);
  const counts = severities.map((severity) => [
    severity,
    all.filter((one) => one.severity === severity).length,
  ]);
  return {
    findings,
    counts: Object.fromEntries(counts),
    more: Object.fromEntries(beyond.map(([id, count]) => [id, count - mostOfAnId])),
  };
}

/** Whether a finding is as bad as that, or worse. */
export function isAtLeast(severity: Severity, least: Severity): boolean {
  return severities.indexOf(severity) <= severities.indexOf(least);
}

/** Names of files and warnings come from anywhere: no secret, nothing that drives a terminal. */
function toPrintable(finding: Finding): Finding {
  const clean = (text: string): string => escapeControls(maskText(text));
  const evidence = clean(finding.evidence);
  const shown =
    evidence.length > evidenceCharacters ? `${evidence.slice(0, evidenceCharacters)}…` : evidence;
  return { ...finding, evidence: shown, mend: clean(finding.mend) };
}
