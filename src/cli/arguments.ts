import { parseArgs } from "node:util";
import { nearest } from "../config/suggest.ts";
import { type Command, globalOptions, type OptionValue, type UsageProblem } from "./command.ts";
import { type Options, readOptions, toParseOptions } from "./options.ts";
import { hint, mendFor, printable, usage } from "./usage.ts";

/** What was asked for. */
export type Parsed =
  | {
      readonly kind: "run";
      readonly command: Command;
      readonly options: Readonly<Record<string, OptionValue>>;
      readonly positionals: readonly string[];
    }
  | { readonly kind: "help"; readonly topic: readonly string[]; readonly asked: boolean }
  | { readonly kind: "version" }
  | { readonly kind: "problem"; readonly problem: UsageProblem };

/** Known only where no command is named. */
const rootOptions: Options = {
  ...globalOptions,
  version: { type: "boolean", summary: "show the version" },
};

const helpSummary = "show help about a command";

/** `help [command]` is not in the table: it is about the table. */
export const helpWord = { name: "help", summary: helpSummary } as const;

/** Reads a command line by the table of commands. */
export function parseCommandLine(commands: readonly Command[], argv: readonly string[]): Parsed {
  const words = leadingWords(argv);
  const [first, second] = words;
  if (first === helpWord.name) return parseHelp(argv);
  const command =
    commands.find(({ name }) => name === `${first} ${second}`) ??
    commands.find(({ name }) => name === first);
  if (command !== undefined) return parseFor(command, argv);
  const read = readOptions(rootOptions, argv);
  if (read.values.help === true)
    return { kind: "help", topic: groupOf(commands, words), asked: true };
  // Before any word, the option is what is wrong: what it took for a word may be its value.
  if (read.problem !== undefined && (first === undefined || argv[0]?.startsWith("-"))) {
    return { kind: "problem", problem: read.problem };
  }
  if (first === undefined) {
    if (read.values.version === true) return { kind: "version" };
    return { kind: "help", topic: [], asked: false };
  }
  if (groupOf(commands, words).length === 0) return unknown(commands, "", first);
  return second === undefined
    ? { kind: "help", topic: [first], asked: false }
    : unknown(commands, first, second);
}

/** The words before any option of a command: only global options may stand between them. */
function leadingWords(argv: readonly string[]): readonly string[] {
  const { positionals } = parseArgs({
    args: [...argv],
    options: toParseOptions(rootOptions),
    allowPositionals: true,
    strict: false,
  });
  return positionals.slice(0, 2);
}

function parseHelp(argv: readonly string[]): Parsed {
  const { values, positionals, problem } = readOptions(rootOptions, argv);
  if (problem !== undefined) return { kind: "problem", problem };
  const topic = values.help === true ? [] : positionals.slice(1);
  return { kind: "help", topic, asked: true };
}

function parseFor(command: Command, argv: readonly string[]): Parsed {
  const read = readOptions({ ...globalOptions, ...command.options }, argv);
  const depth = command.name.split(" ").length;
  if (read.values.help === true) {
    return { kind: "help", topic: command.name.split(" "), asked: true };
  }
  const positionals = read.positionals.slice(depth);
  const problem = read.problem ?? checkPositionals(command, positionals);
  if (problem !== undefined) return { kind: "problem", problem };
  return { kind: "run", command, options: read.values, positionals };
}

function checkPositionals(command: Command, given: readonly string[]): UsageProblem | undefined {
  const specs = command.positionals ?? [];
  const last = specs.at(-1);
  const mend = `see \`cliproxy help ${command.name}\``;
  if (given.length > specs.length && last?.multiple !== true) {
    const extra = command.quiet === true ? "" : ` \`${printable(given[specs.length] ?? "")}\``;
    const count = command.quiet === true ? `more than ${specs.length} arguments` : "argument";
    const message = `\`${command.name}\` takes no ${count}${extra}`;
    return usage("unexpected_argument", message, mend);
  }
  for (const [i, spec] of specs.entries()) {
    if (given[i] === undefined && spec.optional !== true) {
      return usage(
        "missing_argument",
        `\`${command.name}\` needs <${spec.name}>`,
        mendFor(spec) ?? mend,
      );
    }
  }
  for (const [i, value] of given.entries()) {
    const spec = specs[i] ?? last;
    if (spec?.values === undefined || spec.values.includes(value)) continue;
    const message = `\`${printable(value)}\` is no ${spec.name}${hint(value, spec.values)}`;
    return usage("bad_value", message, mendFor(spec) ?? mend);
  }
  return undefined;
}

function unknown(commands: readonly Command[], group: string, word: string): Parsed {
  const known = [...wordsIn(commands, group), ...(group === "" ? [helpWord.name] : [])];
  const path = group === "" ? "" : `${group} `;
  const meant = nearest(word, known);
  const message = `unknown command \`${path}${printable(word)}\``;
  const tail = meant === undefined ? "" : `; did you mean \`${path}${meant}\`?`;
  const mend = `see \`cliproxy help${group === "" ? "" : ` ${group}`}\``;
  return { kind: "problem", problem: usage("unknown_command", message + tail, mend) };
}

/** The words that may follow a group, or begin a command line when the group is empty. */
export function wordsIn(commands: readonly Command[], group: string): readonly string[] {
  const path = group === "" ? "" : `${group} `;
  const inside = commands.filter(({ name }) => name.startsWith(path));
  return [...new Set(inside.map(({ name }) => name.slice(path.length).split(" ")[0] ?? ""))];
}

function groupOf(commands: readonly Command[], [first]: readonly string[]): readonly string[] {
  const isGroup = first !== undefined && commands.some(({ name }) => name.startsWith(`${first} `));
  return isGroup ? [first] : [];
}
