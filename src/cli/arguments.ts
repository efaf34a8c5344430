import { parseArgs } from "node:util";
import { nearest } from "../config/suggest.ts";
import { escapeControls, maskText } from "../kit/redact.ts";
import {
  type Command,
  globalOptions,
  type OptionSpec,
  type OptionValue,
  type UsageProblem,
} from "./command.ts";

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

type Options = Readonly<Record<string, OptionSpec>>;

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

interface Read {
  readonly values: Readonly<Record<string, OptionValue>>;
  readonly positionals: readonly string[];
  readonly problem: UsageProblem | undefined;
}

/** Parses leniently and judges the tokens here, where a problem can be told with its mend. */
function readOptions(options: Options, argv: readonly string[]): Read {
  const { tokens, positionals } = parseArgs({
    args: [...argv],
    options: toParseOptions(options),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const values: Record<string, OptionValue> = Object.create(null);
  let problem: UsageProblem | undefined;
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    // All are taken, also after a problem: `--help` goes before it.
    const wrong = take(options, values, token);
    problem ??= wrong;
  }
  return { values, positionals, problem };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function take(
  options: Options,
  values: Record<string, OptionValue>,
  token: OptionToken,
): UsageProblem | undefined {
  const { rawName, value } = token;
  const own = (name: string) => (Object.hasOwn(options, name) ? options[name] : undefined);
  const negated = rawName.startsWith("--no-") ? token.name.slice(3) : undefined;
  const spec = own(token.name);
  if (spec === undefined && negated !== undefined && own(negated)?.negatable === true) {
    if (value !== undefined) return takesNoValue(rawName);
    values[negated] = false;
    return undefined;
  }
  if (spec === undefined) return unknownOption(options, rawName);
  if (spec.type === "boolean") {
    if (value !== undefined) return takesNoValue(rawName);
    values[token.name] = true;
    return undefined;
  }
  // `--config --json`: the value was forgotten, and the next option must not become it.
  if (value === undefined || (token.inlineValue !== true && /^-./.test(value))) {
    const form = `--${token.name}=${spec.value ?? "VALUE"}`;
    return usage("missing_value", `option \`${rawName}\` needs a value`, `write \`${form}\``);
  }
  const wrong = wrongValue(spec, value);
  if (wrong !== undefined) {
    return usage(
      "bad_value",
      `option \`${rawName}\`: \`${printable(value)}\` ${wrong.message}`,
      wrong.mend,
    );
  }
  const old = values[token.name];
  if (spec.multiple === true) {
    values[token.name] = [...(Array.isArray(old) ? (old as readonly string[]) : []), value];
    return undefined;
  }
  if (old !== undefined) {
    return usage("repeated_option", `option \`${rawName}\` is given twice`, "give it once");
  }
  values[token.name] = value;
  return undefined;
}

function checkPositionals(command: Command, given: readonly string[]): UsageProblem | undefined {
  const specs = command.positionals ?? [];
  const last = specs.at(-1);
  const mend = `see \`cliproxy help ${command.name}\``;
  if (given.length > specs.length && last?.multiple !== true) {
    const extra = printable(given[specs.length] ?? "");
    return usage("unexpected_argument", `\`${command.name}\` takes no argument \`${extra}\``, mend);
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

function mendFor({ values }: { readonly values?: readonly string[] }): string | undefined {
  return values === undefined ? undefined : `one of: ${values.join(", ")}`;
}

function wrongValue(spec: OptionSpec, value: string) {
  if (spec.values !== undefined && !spec.values.includes(value)) {
    return {
      message: `is not one of its values${hint(value, spec.values)}`,
      mend: mendFor(spec) ?? "",
    };
  }
  const message = spec.check?.(value);
  return message === undefined ? undefined : { message, mend: spec.summary };
}

function takesNoValue(rawName: string): UsageProblem {
  const option = printable(rawName);
  return usage("unexpected_value", `option \`${option}\` takes no value`, `write \`${option}\``);
}

function unknownOption(options: Options, rawName: string): UsageProblem {
  const known = Object.entries(options).flatMap(([name, { negatable }]) =>
    negatable === true ? [`--${name}`, `--no-${name}`] : [`--${name}`],
  );
  const message = `unknown option \`${printable(rawName)}\`${hint(rawName, known)}`;
  return usage("unknown_option", message, "see `--help`");
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

function hint(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `; did you mean \`${meant}\`?`;
}

/** A key pasted in the wrong place must not come back, nor a sequence that paints the terminal. */
function printable(text: string): string {
  return escapeControls(maskText(text)).slice(0, 128);
}

function usage(code: string, message: string, mend: string): UsageProblem {
  return { code, message, mend };
}

function toParseOptions(options: Options) {
  return Object.fromEntries(
    Object.entries(options).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  );
}
