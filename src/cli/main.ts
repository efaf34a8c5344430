import { argv, env, err, exit, out } from "../runtime/process.ts";
import { version } from "../version.ts";
import { commands } from "./commands.ts";
import { runCli } from "./frame.ts";

/** Runs the command line and ends the process with its exit code. */
export async function main(): Promise<void> {
  exit(await runCli(commands, argv, { out, err }, env, version));
}
