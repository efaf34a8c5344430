import { arch, platform } from "node:os";
import { currentRuntime } from "../runtime/process.ts";
import { build, commit, isRelease } from "../version.ts";
import { type CommandContext, exitCodes } from "./command.ts";

/** Shows what a bug report needs. */
export async function run({ io, version }: CommandContext): Promise<number> {
  const { name, version: runtimeVersion, compiled } = await currentRuntime();
  const machine = `${platform()}-${arch()}`;
  if (io.json) {
    const runtime = { name, version: runtimeVersion, compiled };
    io.out(`${JSON.stringify({ version, commit, build, runtime, platform: machine })}\n`);
    return exitCodes.fine;
  }
  const form = compiled ? "single executable" : isRelease ? "one module" : "from source";
  const lines = [`cliproxy ${version}`, `  runtime   ${name} ${runtimeVersion}, ${form}`];
  lines.push(`  platform  ${machine}`);
  if (commit !== "") lines.push(`  commit    ${commit}`);
  if (build !== "") lines.push(`  build     ${build}`);
  io.out(`${lines.join("\n")}\n`);
  return exitCodes.fine;
}
