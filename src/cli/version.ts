import { arch, platform } from "node:os";
import { currentRuntime } from "../runtime/process.ts";
import { isRelease } from "../version.ts";
import { type CommandContext, exitCodes } from "./command.ts";

/** Shows what a bug report needs. */
export async function run({ io, version }: CommandContext): Promise<number> {
  const { name, version: runtimeVersion, compiled } = await currentRuntime();
  const machine = `${platform()}-${arch()}`;
  if (io.json) {
    const runtime = { name, version: runtimeVersion, compiled };
    io.out(`${JSON.stringify({ version, runtime, platform: machine })}\n`);
    return exitCodes.fine;
  }
  const form = compiled ? "single executable" : isRelease ? "one module" : "from source";
  io.out(
    `cliproxy ${version}\n  runtime   ${name} ${runtimeVersion}, ${form}\n  platform  ${machine}\n`,
  );
  return exitCodes.fine;
}
