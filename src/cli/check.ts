import { assemble } from "../assembly.ts";
import { silentLogger } from "../log.ts";
import { currentRuntime } from "../runtime/process.ts";
import { type CommandContext, exitCodes } from "./frame.ts";
import { configSource, createHouse, refuseConfig } from "./house.ts";
import { planLines } from "./plan.ts";

/** Builds everything that a start would build, and binds nothing. */
export async function run(context: CommandContext): Promise<number> {
  const { io } = context;
  const source = configSource(context);
  const house = createHouse(silentLogger);
  const assembled = await assemble(source, house, await currentRuntime(), false);
  if (!assembled.ok) return refuseConfig(io, assembled.problems);
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
