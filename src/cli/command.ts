/** A long option of a command. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly summary: string;
  /** One letter. */
  readonly short?: string;
  /** What the value is, for help: `FILE`. */
  readonly value?: string;
  /** The only values it takes. */
  readonly values?: readonly string[];
  /** May be given more than once; the command gets a list. */
  readonly multiple?: boolean;
  /** A boolean that also has `--no-name`. */
  readonly negatable?: boolean;
  readonly completes?: "file";
  /** A sentence about what is wrong with a value, or undefined. */
  check?(value: string): string | undefined;
}

/** What a command takes beside options, in order. */
export interface PositionalSpec {
  readonly name: string;
  readonly summary: string;
  readonly values?: readonly string[];
  readonly optional?: boolean;
  readonly completes?: "file";
  /** The last one may take all that follow. */
  readonly multiple?: boolean;
}

/** A command is plain data, so that help and completions know what parsing knows. */
export interface Command {
  /** One word, or a group and a word: `keys new`. */
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  /** By long name, kebab-case. */
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly positionals?: readonly PositionalSpec[];
  readonly examples?: readonly string[];
  /** An argument too many may be a secret in the wrong place: it is not repeated. */
  readonly quiet?: boolean;
  /** Imported when it is run, so that start stays fast. */
  load(): Promise<{ run(context: CommandContext): Promise<number> | number }>;
}

export type OptionValue = string | boolean | readonly string[] | undefined;

/** All that a command gets; it touches no global. */
export interface CommandContext {
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly positionals: readonly string[];
  readonly io: Io;
  readonly env: Env;
  readonly version: string;
  /** The whole table, for completions. */
  readonly commands: readonly Command[];
}

export type Env = Readonly<Record<string, string | undefined>>;

export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Whether `out` takes colour. */
  readonly color: boolean;
  /** Whether `err` takes colour. */
  readonly errColor: boolean;
  /** Whether a person reads `out`, and no log collector. */
  readonly isTerminal: boolean;
  /** Whether a person sees `err`: only there is progress shown. */
  readonly errIsTerminal: boolean;
  readonly columns: number;
  readonly json: boolean;
}

/** Why a command line was not run. */
export interface UsageProblem {
  readonly code: string;
  readonly message: string;
  readonly mend: string;
}

/** What a process ends with. */
export const exitCodes = {
  fine: 0,
  finding: 1,
  wrongUsage: 2,
  /** EX_SOFTWARE */
  failed: 70,
  /** EX_CONFIG */
  badConfig: 78,
} as const;

/** The one place that says what the codes mean; help prints it. */
export const exitCodeMeanings: readonly (readonly [code: number, meaning: string])[] = [
  [exitCodes.fine, "fine"],
  [exitCodes.finding, "a finding: something is not as it should be"],
  [exitCodes.wrongUsage, "wrong usage: unknown command or option, bad value"],
  [exitCodes.failed, "the command itself failed"],
  [exitCodes.badConfig, "bad configuration: nothing was started"],
];

/** Options that every command takes. */
export const globalOptions: Readonly<Record<string, OptionSpec>> = {
  config: {
    type: "string",
    value: "FILE",
    completes: "file",
    summary: "configuration file (else $CLIPROXY_CONFIG, ./config.yaml, /config/config.yaml)",
  },
  json: { type: "boolean", summary: "print JSON for programs" },
  help: { type: "boolean", short: "h", summary: "show help" },
};
