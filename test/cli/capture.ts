import { commands as table } from "../../src/cli/commands.ts";
import { type Command, runCli } from "../../src/cli/frame.ts";

/** Runs a command line with captured outputs, as on a pipe. */
export async function runCaptured(
  argv: readonly string[],
  options: {
    readonly commands?: readonly Command[];
    readonly env?: Readonly<Record<string, string>>;
    readonly isTerminal?: boolean;
    readonly columns?: number;
  } = {},
) {
  const { commands = table, env = {}, isTerminal = false, columns = 80 } = options;
  const out: string[] = [];
  const err: string[] = [];
  const write = (to: string[]) => (text: string) => void to.push(text);
  const code = await runCli(
    commands,
    argv,
    {
      out: { write: write(out), isTerminal, columns },
      err: { write: write(err), isTerminal, columns },
    },
    env,
    "1.2.3",
  );
  return { code, out: out.join(""), err: err.join("") };
}
