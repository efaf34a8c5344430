import type { ConfigSource } from "../assembly.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type CommandContext, exitCodes } from "./command.ts";
import { refuseConfig } from "./house.ts";

/** `doctor` is loaded only where it is asked: a start without it stays fast. */
async function look(source: ConfigSource, runtime: Runtime) {
  const [{ examineSource }, { areas }] = await Promise.all([
    import("./doctor.ts"),
    import("../doctor/areas.ts"),
  ]);
  return examineSource(source, runtime, areas);
}

/** For `serve --strict`: tells critical findings; returns the exit code if there are any. */
export async function refuseCritical(
  { io }: CommandContext,
  source: ConfigSource,
  runtime: Runtime,
): Promise<number | undefined> {
  const { facts, examination } = await look(source, runtime);
  const { problems, file } = facts.config;
  if (problems.length > 0) return refuseConfig(io, problems);
  const { reportOf, reportText } = await import("../doctor/report.ts");
  const findings = examination.findings.filter(({ severity }) => severity === "critical");
  if (findings.length === 0) return undefined;
  const report = reportOf({ ...examination, findings }, file, "critical", true);
  if (io.json) io.out(`${JSON.stringify(report)}\n`);
  else io.err(reportText(report, { color: io.errColor }));
  return exitCodes.badConfig;
}

/** The same for a reload: what the log says of a configuration with a critical finding. */
export function objectionOf(
  runtime: Runtime,
): (source: ConfigSource) => Promise<string | undefined> {
  return async (source) => {
    const { facts, examination } = await look(source, runtime);
    // Told better by whoever builds it.
    if (facts.config.problems.length > 0) return undefined;
    const critical = examination.findings.filter(({ severity }) => severity === "critical");
    if (critical.length === 0) return undefined;
    return critical
      .map(({ id, evidence, mend }) => `--strict: ${id}: ${evidence} (mend: ${mend})`)
      .join("; ");
  };
}
