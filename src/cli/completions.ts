import { type CommandContext, exitCodes } from "./command.ts";
import { toCompletionTree } from "./completion-tree.ts";
import { bashScript } from "./completions-bash.ts";
import { fishScript } from "./completions-fish.ts";
import { zshScript } from "./completions-zsh.ts";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** The shells that have a script. */
export const shells = Object.keys(scripts) as readonly (keyof typeof scripts)[];

/** Prints the completion script of one shell, made from the table of commands. */
export function run({ io, commands, positionals }: CommandContext): number {
  const shell = shells.find((name) => name === positionals[0]) ?? "bash";
  const script = scripts[shell](toCompletionTree(commands));
  io.out(io.json ? `${JSON.stringify({ shell, script })}\n` : script);
  return exitCodes.fine;
}
