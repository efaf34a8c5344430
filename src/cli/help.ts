import { helpWord } from "./arguments.ts";
import { type Command, exitCodeMeanings, globalOptions, type OptionSpec } from "./command.ts";
import { bold, wrap } from "./terminal.ts";

/** How help is laid out. */
export interface HelpStyle {
  readonly color: boolean;
  readonly columns: number;
}

type Row = readonly [left: string, right: string];

/** Help about everything, or about one group. */
export function overview(commands: readonly Command[], group: string, style: HelpStyle): string {
  const shown =
    group === "" ? commands : commands.filter(({ name }) => name.startsWith(`${group} `));
  const rows: Row[] = shown.map(({ name, summary }) => [name, summary]);
  if (group === "") rows.push([`${helpWord.name} [command]`, helpWord.summary]);
  const options: Row[] = optionRows(globalOptions);
  if (group === "") options.push(["    --version", "show the version"]);
  const usage = `cliproxy ${group === "" ? "" : `${group} `}<command> [options]`;
  return sections(
    [
      ["Usage", [[usage, ""]]],
      ["Commands", rows],
      ["Options", options],
      ["Exit codes", exitRows()],
    ],
    style,
  );
}

/** Help about one command. */
export function commandHelp(command: Command, style: HelpStyle): string {
  const places = (command.positionals ?? []).map(({ name, optional, multiple }) => {
    const place = multiple === true ? `${name}...` : name;
    return optional === true ? ` [${place}]` : ` <${place}>`;
  });
  const head = wrap(`${command.summary}`, width(style), 0);
  const details =
    command.details === undefined ? "" : `\n\n${wrap(command.details, width(style), 0)}`;
  const examples: Row[] = (command.examples ?? []).map((example) => [example, ""]);
  const placeRows: Row[] = (command.positionals ?? []).map(({ name, summary, values }) => [
    name,
    values === undefined ? summary : `${summary}: ${values.join(", ")}`,
  ]);
  const body = sections(
    [
      ["Usage", [[`cliproxy ${command.name}${places.join("")} [options]`, ""]]],
      ["Arguments", placeRows],
      ["Options", [...optionRows(command.options), ...optionRows(globalOptions)]],
      ["Examples", examples],
      ["Exit codes", exitRows()],
    ],
    style,
  );
  return `${head}${details}\n\n${body}`;
}

/** The table as data, for `help --json`. */
export function helpData(commands: readonly Command[]) {
  return {
    commands: commands.map(({ name, summary, details, options, positionals, examples }) => ({
      name,
      summary,
      details,
      options: Object.entries({ ...options, ...globalOptions }).map(([option, spec]) => ({
        name: option,
        ...spec,
      })),
      positionals: positionals ?? [],
      examples: examples ?? [],
    })),
    exitCodes: exitCodeMeanings.map(([code, meaning]) => ({ code, meaning })),
  };
}

function exitRows(): Row[] {
  return exitCodeMeanings.map(([code, meaning]) => [String(code), meaning]);
}

function optionRows(options: Readonly<Record<string, OptionSpec>>): Row[] {
  return Object.entries(options).map(([name, spec]) => {
    const short = spec.short === undefined ? "    " : `-${spec.short}, `;
    const long = spec.negatable === true ? `--[no-]${name}` : `--${name}`;
    const value = spec.type === "string" ? ` ${spec.value ?? "VALUE"}` : "";
    const values = spec.values === undefined ? "" : ` (${spec.values.join(", ")})`;
    const times = spec.multiple === true ? "; may be repeated" : "";
    return [`${short}${long}${value}`, `${spec.summary}${values}${times}`];
  });
}

function sections(
  parts: readonly (readonly [title: string, rows: readonly Row[]])[],
  style: HelpStyle,
): string {
  const filled = parts.filter(([, rows]) => rows.length > 0);
  return `${filled.map(([title, rows]) => section(title, rows, style)).join("\n\n")}\n`;
}

function section(title: string, rows: readonly Row[], style: HelpStyle): string {
  const left = Math.max(...rows.map(([text]) => text.length)) + 2;
  const lines = rows.map(([text, right]) =>
    right === "" ? `  ${text}` : `  ${text.padEnd(left)}${wrap(right, width(style), left + 2)}`,
  );
  return [bold(title, style.color), ...lines].join("\n");
}

/** Lines longer than a hundred characters are hard to read, whatever the terminal is. */
function width({ columns }: HelpStyle): number {
  return Math.min(100, Math.max(40, columns));
}
