import type { ConfigFileError } from "../config/load.ts";
import { escapeControls, maskText } from "../kit/redact.ts";
import { parseCommandLine } from "./arguments.ts";
import { type Command, type Env, exitCodes, type Io, type UsageProblem } from "./command.ts";
import { commandHelp, helpData, overview } from "./help.ts";
import { createIo, type Output, red } from "./terminal.ts";

export type { Command, CommandContext, Io } from "./command.ts";
export { exitCodes } from "./command.ts";

/** Longest message of a failure that is printed. */
const messageCharacters = 2048;

/** Runs one command line; the result is what the process should end with. */
export async function runCli(
  commands: readonly Command[],
  argv: readonly string[],
  outputs: { readonly out: Output; readonly err: Output },
  env: Env,
  version: string,
): Promise<number> {
  const io = createIo(outputs.out, outputs.err, env, asksForJson(argv));
  try {
    const parsed = parseCommandLine(commands, argv);
    switch (parsed.kind) {
      case "problem":
        return fail(io, parsed.problem, exitCodes.wrongUsage);
      case "version":
        io.out(io.json ? `${JSON.stringify({ version })}\n` : `cliproxy ${version}\n`);
        return exitCodes.fine;
      case "help":
        return help(commands, parsed.topic, parsed.asked, io, outputs.err.columns);
      case "run": {
        const { command, options, positionals } = parsed;
        const { run } = await command.load();
        return await run({ options, positionals, io, env, version, commands });
      }
    }
  } catch (error) {
    const mendConfig = configMend(error);
    if (mendConfig !== undefined) {
      const problem = { code: "bad_config", message: describe(error, false), mend: mendConfig };
      return fail(io, problem, exitCodes.badConfig);
    }
    const message = describe(error, env.CLIPROXY_DEBUG === "1");
    const mend = "run it again with CLIPROXY_DEBUG=1 to see where it failed";
    return fail(io, { code: "failed", message, mend }, exitCodes.failed);
  }
}

/** Help that was asked for goes to `out`; help instead of work goes to `err` and is wrong usage. */
function help(
  commands: readonly Command[],
  topic: readonly string[],
  asked: boolean,
  io: Io,
  errColumns: number,
): number {
  const name = topic.join(" ");
  const command = commands.find((c) => c.name === name);
  const isGroup = name === "" || commands.some((c) => c.name.startsWith(`${name} `));
  if (command === undefined && !isGroup) {
    const parsed = parseCommandLine(
      commands,
      topic.filter((word) => !word.startsWith("-")),
    );
    const wrong = parsed.kind === "problem" ? parsed.problem : undefined;
    const problem = wrong ?? {
      code: "unknown_command",
      message: "no such command",
      mend: "see `cliproxy help`",
    };
    return fail(io, problem, exitCodes.wrongUsage);
  }
  if (!asked && io.json) {
    const message = name === "" ? "no command is given" : `\`${name}\` needs a command`;
    return fail(
      io,
      { code: "missing_command", message, mend: "see `cliproxy help`" },
      exitCodes.wrongUsage,
    );
  }
  if (io.json) {
    const shown = commands.filter(
      (c) => name === "" || c === command || c.name.startsWith(`${name} `),
    );
    io.out(`${JSON.stringify(helpData(shown))}\n`);
    return exitCodes.fine;
  }
  const style = asked
    ? { color: io.color, columns: io.columns }
    : { color: io.errColor, columns: errColumns };
  const text =
    command === undefined ? overview(commands, name, style) : commandHelp(command, style);
  if (asked) io.out(text);
  else io.err(text);
  return asked ? exitCodes.fine : exitCodes.wrongUsage;
}

/** Tells a problem in the form that was asked for; returns the exit code. */
export function fail(io: Io, problem: UsageProblem, exitCode: number): number {
  if (io.json) {
    const { code, message, mend } = problem;
    io.err(`${escapeControls(JSON.stringify({ error: { code, message, mend } }))}\n`);
    return exitCode;
  }
  const hint = exitCode === exitCodes.failed ? "" : ` (${problem.mend})`;
  io.err(`${red("cliproxy:", io.errColor)} ${problem.message}${hint}\n`);
  return exitCode;
}

/** The mend of a ConfigFileError; its class would load the YAML parser into every start. */
function configMend(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== "ConfigFileError") return undefined;
  return (error as ConfigFileError).problem.mend;
}

/** One line, since a message may come from anywhere; the stack only for who asks. */
function describe(error: unknown, debug: boolean): string {
  const message = oneLine(() => (error instanceof Error ? error.message : String(error)));
  if (!debug || !(error instanceof Error)) return message;
  const frames = String(error.stack)
    .split("\n")
    .filter((line) => /^\s+at /.test(line));
  return [message, ...frames.map((frame) => `  ${oneLine(() => frame.trim())}`)].join("\n");
}

function oneLine(read: () => string): string {
  try {
    const text = read().slice(0, messageCharacters);
    return escapeControls(maskText(text)) || "failed without a message";
  } catch {
    return "failed with an unreadable error";
  }
}

/** Also a command line that can't be parsed is answered in the form it asks for. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? undefined : end).includes("--json");
}
