import { readFileSync } from "node:fs";
import type { ConfigSource } from "../assembly.ts";
import { ConfigFileError, findConfigFile } from "../config/load.ts";
import { type ConfigProblem, formatProblems } from "../config/problems.ts";
import type { Logger } from "../contract/types.ts";
import type { House } from "../host.ts";
import { systemClock } from "../kit/clock.ts";
import { Live } from "../live.ts";
import { TokenKeepers } from "../oauth/token-keepers.ts";
import { type CommandContext, exitCodes, type Io } from "./frame.ts";

/** Everything that a process has one of. */
export function createHouse(log: Logger): House {
  return {
    clock: systemClock,
    log,
    live: new Live(systemClock),
    kept: new Map(),
    state: undefined,
    budget: { held: 0 },
    gauges: [],
    announcements: [],
    tokens: new TokenKeepers(systemClock, log),
    rereadCredentials: async () => {},
    draining: false,
    reloadRejected: false,
  };
}

/**
 * The configuration that the command line and the environment point to.
 * @throws ConfigFileError when the file that was asked for does not exist
 */
export function configSource({ options, env }: CommandContext): ConfigSource {
  const { config, host, port } = options;
  const file = findConfigFile(text(config), env);
  return {
    file,
    text: file === undefined ? "" : readConfig(file),
    env,
    overrides: {
      ...(text(host) !== undefined && { host: String(host) }),
      ...(text(port) !== undefined && { port: Number(port) }),
    },
  };
}

/**
 * The same source with what its file holds now.
 * @throws when the file has gone or has lost all its content: both happen while it is written
 */
export function reread(source: ConfigSource): ConfigSource {
  if (source.file === undefined) return source;
  const now = readConfig(source.file);
  if (now.trim() === "" && source.text.trim() !== "") {
    throw new Error(`${source.file} is empty; to serve the defaults, restart without it`);
  }
  return { ...source, text: now };
}

/** Whether the file of a source holds something else by now. */
export function hasChanged(source: ConfigSource): boolean {
  try {
    return reread(source).text !== source.text;
  } catch {
    return true;
  }
}

function readConfig(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const message = `can't be read: ${(error as { code?: string }).code}`;
    const place = { file, line: 1, column: 1, path: "" };
    throw new ConfigFileError({ ...place, message, mend: "check the path and its mode" });
  }
}

function text(value: CommandContext["options"][string]): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Tells all that is wrong with a configuration; the result is the exit code. */
export function refuseConfig(io: Io, problems: readonly ConfigProblem[]): number {
  if (io.json) io.out(`${JSON.stringify({ ok: false, problems })}\n`);
  else io.err(formatProblems(problems, { color: io.errColor }));
  return exitCodes.badConfig;
}
