import { type ConfigSource, policyKinds } from "../assembly.ts";
import type { ConfigFileError } from "../config/load.ts";
import type { Severity } from "../contract/finding.ts";
import type { Area } from "../doctor/area.ts";
import { allKinds, areas, type KnownKind } from "../doctor/areas.ts";
import { gatherConfig, unreadable } from "../doctor/config-facts.ts";
import { type Examination, examine, gatherFacts } from "../doctor/examine.ts";
import type { ConfigFacts, Facts } from "../doctor/facts.ts";
import { systemProbe } from "../doctor/probe.ts";
import { reportOf, reportText } from "../doctor/report.ts";
import { systemClock } from "../kit/clock.ts";
import { silentLogger } from "../log.ts";
import { currentRuntime, programFiles } from "../runtime/process.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type CommandContext, exitCodes, fail } from "./frame.ts";
import { configSource, createHouse } from "./house.ts";
import { wrap } from "./terminal.ts";
import { hint, printable, usage } from "./usage.ts";

/** Looks for what is not as it should be; the exit code says whether something is bad enough. */
export async function run(context: CommandContext): Promise<number> {
  const { options, io } = context;
  if (typeof options.explain === "string") return explain(context, options.explain);
  const only = Array.isArray(options.only) ? (options.only as readonly string[]) : [];
  const chosen = areas.filter(({ name }) => only.length === 0 || only.includes(name));
  const failOn = (options["fail-on"] ?? "high") as Severity;
  const { facts, examination } = await lookAt(context, chosen);
  const { file, problems } = facts.config;
  const report = reportOf(examination, file, failOn, problems.length === 0);
  if (io.json) io.out(`${JSON.stringify(report)}\n`);
  else io.out(reportText(report, { color: io.color }));
  if (problems.length > 0) return exitCodes.badConfig;
  return report.ok ? exitCodes.fine : exitCodes.finding;
}

interface Look {
  readonly facts: Facts;
  readonly examination: Examination;
}

async function lookAt(context: CommandContext, chosen: readonly Area[]): Promise<Look> {
  let source: ConfigSource;
  try {
    source = configSource(context);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "ConfigFileError") throw error;
    const { problem } = error as ConfigFileError;
    return examineConfig(unreadable(problem, context.env), context.env, chosen);
  }
  return examineSource(source, await currentRuntime(), chosen);
}

/** Builds what a start would build of a configuration, and looks at it. */
export async function examineSource(
  source: ConfigSource,
  runtime: Runtime,
  chosen: readonly Area[],
): Promise<Look> {
  const config = await gatherConfig(source, createHouse(silentLogger), runtime);
  return examineConfig(config, source.env, chosen);
}

function examineConfig(
  config: ConfigFacts,
  env: CommandContext["env"],
  chosen: readonly Area[],
): Look {
  const facts = gatherFacts(config, systemProbe(), env, systemClock.now(), programFiles);
  return { facts, examination: examine(facts, chosen) };
}

/** `--explain`: the entry of docs/doctor.md. */
function explain({ io }: CommandContext, id: string): number {
  const kinds = allKinds(policyKinds);
  const kind = kinds.find((one) => one.id === id);
  if (kind === undefined) {
    const known = kinds.map((one) => one.id);
    const message = `there is no finding \`${printable(id)}\`${hint(id, known)}`;
    return fail(io, usage("bad_value", message, "see docs/doctor.md"), exitCodes.wrongUsage);
  }
  io.out(io.json ? `${JSON.stringify(kind)}\n` : explanation(kind, io.columns));
  return exitCodes.fine;
}

function explanation(kind: KnownKind, columns: number): string {
  const { id, area, severity, title, why, mend } = kind;
  const sentence = `${title[0]?.toUpperCase()}${title.slice(1)}. ${why}`;
  const lines = [
    `${id} (${area}, usually ${severity})`,
    `  ${wrap(sentence, columns, 2)}`,
    `  Mend: ${mend}`,
  ];
  return `${lines.join("\n")}\n`;
}
