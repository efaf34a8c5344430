import { parseArgs } from "node:util";
import type { OptionSpec, OptionValue, UsageProblem } from "./command.ts";
import { hint, mendFor, printable, usage } from "./usage.ts";

export type Options = Readonly<Record<string, OptionSpec>>;

/** What a command line holds, and the first thing that is wrong with it. */
export interface Read {
  readonly values: Readonly<Record<string, OptionValue>>;
  readonly positionals: readonly string[];
  readonly problem: UsageProblem | undefined;
}

/** Parses leniently and judges the tokens here, where a problem can be told with its mend. */
export function readOptions(options: Options, argv: readonly string[]): Read {
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

/** The options as `parseArgs` wants them. */
export function toParseOptions(options: Options) {
  return Object.fromEntries(
    Object.entries(options).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  );
}
