import { assemble } from "../assembly.ts";
import { formatProblems } from "../config/problems.ts";
import { silentLogger } from "../log.ts";
import { currentRuntime } from "../runtime/process.ts";
import { type CommandContext, exitCodes } from "./frame.ts";
import { configSource, createHouse } from "./house.ts";
import { planLines } from "./plan.ts";

/** Builds everything that a start would build, and binds nothing. */
export async function run(context: CommandContext): Promise<number> {
  const { io } = context;
  const source = configSource(context);
  const house = createHouse(silentLogger);
  const assembled = await assemble(source, house, await currentRuntime(), false);
  if (!assembled.ok) {
    const { problems } = assembled;
    if (io.json) io.out(`${JSON.stringify({ ok: false, problems })}\n`);
    else io.err(formatProblems(problems, { color: io.errColor }));
    return exitCodes.badConfig;
  }
  const { plan, warnings } = assembled.generation;
  assembled.generation.retire();
  if (io.json) {
    io.out(`${JSON.stringify({ ok: true, config: source.file ?? null, warnings, plan })}\n`);
    return exitCodes.fine;
  }
  const lines = [`${source.file ?? "no config file, safe defaults"}: fine`, ...planLines(plan)];
  for (const warning of warnings) lines.push(`  warning   ${warning}`);
  io.out(`${lines.join("\n")}\n`);
  return exitCodes.fine;
}
