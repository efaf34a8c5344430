import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { claimants } from "../assembly.ts";
import { ConfigFileError, loadConfig } from "../config/load.ts";
import type { ConfigProblem } from "../config/problems.ts";
import { type ChainKey, chainKeyOf } from "../kit/audit-chain.ts";
import { checkpointSuffix, isLogName } from "../kit/audit-files.ts";
import { decodeAuditKey } from "../kit/audit-key.ts";
import type { CommandContext } from "./command.ts";
import { configSource } from "./house.ts";

/** What is to be verified, and by what. */
export interface AuditSource {
  readonly files: readonly string[];
  readonly key: ChainKey;
  /** Files with checkpoints that may be missing. */
  readonly checkpoints: readonly string[];
  /** All that there is of the log. */
  readonly whole: boolean;
}

/**
 * Finds the log and its key by the command line, and else by the configuration.
 * @throws UnreadableInput when what the command line names can't be read
 * @throws ConfigFileError when what the configuration names can't
 */
export function auditSource(context: CommandContext): AuditSource | readonly ConfigProblem[] {
  const { options, positionals } = context;
  const keyFile = typeof options.key === "string" ? options.key : undefined;
  if (keyFile !== undefined && positionals.length > 0) {
    return { files: positionals, key: givenKey(keyFile), checkpoints: [], whole: false };
  }
  const source = configSource(context);
  const place = { text: source.text, file: source.file ?? "(defaults)" };
  const config = loadConfig(place, source.env, claimants);
  if (!config.ok) return config.problems;
  const { file } = config.values.get("audit") as { readonly file?: string };
  const { dir } = config.values.get("auth-dir") as { readonly dir: string };
  const refuse = (path: string, message: string, mend: string): ConfigFileError =>
    new ConfigFileError(config.problemAt(path, message, mend));
  const toKey = (): ChainKey =>
    keyFile === undefined ? configuredKey(join(dir, "audit.key"), refuse) : givenKey(keyFile);
  if (positionals.length > 0) {
    return { files: positionals, key: toKey(), checkpoints: [], whole: false };
  }
  if (file === undefined) {
    const mend = "set it, or name the files to check";
    throw refuse("logging.audit.file", "logging.audit.file is not set", mend);
  }
  const log = resolve(file);
  const files = logFiles(log);
  if (files.length === 0) {
    const mend = "start the proxy with logging.audit.enabled: true, or name the files to check";
    throw refuse("logging.audit.file", `there is no ${log} yet`, mend);
  }
  return { files, key: toKey(), checkpoints: [log + checkpointSuffix], whole: true };
}

/** Something that the command line names can't be read. */
export class UnreadableInput extends Error {}

/** The text of a file that the command line names. */
export function readInput(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    throw new UnreadableInput(`${path} can't be read: ${(error as { code?: string }).code}`);
  }
}

function givenKey(path: string): ChainKey {
  const text = readInput(path);
  try {
    return chainKeyOf(decodeAuditKey(text, path));
  } catch (error) {
    throw new UnreadableInput((error as Error).message);
  }
}

function configuredKey(
  path: string,
  refuse: (path: string, message: string, mend: string) => ConfigFileError,
): ChainKey {
  const mend = "name it by --key, or run this as the user who may read it";
  try {
    return chainKeyOf(decodeAuditKey(readFileSync(path, "latin1"), path));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const reason = code === undefined ? message : `${path} can't be read: ${code}`;
    throw refuse("auth.dir", reason, mend);
  }
}

/** The log, and what it was rotated to. */
function logFiles(log: string): readonly string[] {
  const dir = dirname(log);
  try {
    const names = readdirSync(dir).filter((name) => isLogName(basename(log), name));
    return names.map((name) => join(dir, name));
  } catch {
    return [];
  }
}
