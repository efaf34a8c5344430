import { existsSync } from "node:fs";
import { maskRandom } from "../kit/random-text.ts";
import {
  type Claimant,
  type ClaimNode,
  compileClaims,
  namesAt,
  startStates,
  step,
} from "./claims.ts";
import { mapText } from "./excerpt.ts";
import { type Env, expandTree } from "./expand.ts";
import type { Fault } from "./fault.ts";
import { judge } from "./judge.ts";
import { elsewhereIn } from "./known-paths.ts";
import type { ConfigProblem } from "./problems.ts";
import type { Reading, SecretUse } from "./reading.ts";
import { type ConfigIo, fileIo } from "./secret-file.ts";
import { splitTree } from "./split.ts";
import { childNames, locate, type MapTree, splitPath, type Tree } from "./tree.ts";
import { parseYaml } from "./yaml.ts";

/** A configuration that may be used, or all that is wrong with it, in the order of the file. */
export type LoadedConfig =
  | {
      readonly ok: true;
      /** What the schema of each claimant made of its part, by the claimant's name. */
      readonly values: ReadonlyMap<string, unknown>;
      readonly warnings: readonly ConfigProblem[];
      /** Where secrets came from, for `doctor` and for watching their files. */
      readonly secretsUsed: readonly SecretUse[];
      /** Keys below a dotted path, or ids of a list; none when it does not exist. */
      childrenOf(path: string): readonly string[];
      /** A problem at a dotted path, or at its deepest parent that exists. */
      problemAt(path: string, message: string, mend: string): ConfigProblem;
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/**
 * Reads a configuration for all its claimants.
 * @param input the text, empty for defaults only, and the file name for messages
 * @param env variables that `${NAME}` may stand for
 * @param io how files with secrets are read; the file system by default
 * @throws Error when claimants contradict each other: a bug, not a configuration
 */
export function loadConfig(
  input: { readonly text: string; readonly file: string },
  env: Env,
  claimants: readonly Claimant[],
  io: ConfigIo = fileIo,
): LoadedConfig {
  const text = input.text.replace(/^\ufeff/, "");
  const claims = compileClaims(claimants);
  const parsed = parseYaml(text);
  const shown = new Set<Tree>();
  const map = mapText(text, parsed.ok ? parsed.root : undefined, shown);
  const toProblem = ({ at, path, message, mend }: Fault): ConfigProblem => {
    const excerpt = map.excerpt(at);
    const place = { file: input.file, ...map.position(at), path: maskRandom(path.join(".")) };
    // A key, or a value that passed its schema, may be a secret that was pasted there, too.
    const words = { message: maskRandom(message), mend: maskRandom(mend) };
    return { ...place, ...words, ...(excerpt !== undefined && { excerpt }) };
  };
  const inOrder = (faults: readonly Fault[]): ConfigProblem[] =>
    [...faults].sort((a, b) => a.at - b.at).map(toProblem);
  if (!parsed.ok) return { ok: false, problems: inOrder(parsed.faults) };

  const { root } = parsed;
  const expansion = expandTree(root, env);
  const reading = startReading(io, shown, claims, claimants);
  reading.faults.push(...parsed.faults, ...expansion.faults);
  reading.warnings.push(...expansion.warnings);
  const values = readValues(reading, root, claims, claimants);
  if (reading.faults.length > 0) return { ok: false, problems: inOrder(reading.faults) };
  return {
    ok: true,
    values,
    warnings: inOrder(reading.warnings),
    secretsUsed: reading.secretsUsed,
    childrenOf(path) {
      const place = locate(root, splitPath(root, path));
      return place.found ? childNames(place.tree) : [];
    },
    problemAt(path, message, mend) {
      const place = locate(root, splitPath(root, path));
      const isValue = place.found && place.tree.kind === "scalar";
      const at = isValue ? place.tree.at : place.keyAt;
      return { ...toProblem({ at, path: [], message, mend }), path: maskRandom(path) };
    },
  };
}

function startReading(
  io: ConfigIo,
  shown: Set<Tree>,
  claims: ClaimNode,
  claimants: readonly Claimant[],
): Reading {
  return {
    ...{ io, shown, faults: [], warnings: [], secretsUsed: [], broken: [] },
    claimedBelow: (path) => namesAt(path.reduce(step, startStates(claims))),
    elsewhere: (key) => elsewhereIn(claimants, key),
  };
}

function readValues(
  reading: Reading,
  root: MapTree,
  claims: ClaimNode,
  claimants: readonly Claimant[],
): ReadonlyMap<string, unknown> {
  const shares = splitTree(reading, root, claims);
  const values = new Map<string, unknown>();
  for (const claimant of claimants) {
    const { name } = claimant;
    values.set(name, judge(reading, root, claimant, shares.get(name) ?? {}));
  }
  return values;
}

/** The file that was asked for does not exist. */
export class ConfigFileError extends Error {
  readonly problem: ConfigProblem;

  constructor(problem: ConfigProblem) {
    super(`${problem.file}: ${problem.message}`);
    this.name = "ConfigFileError";
    this.problem = problem;
  }
}

/**
 * Finds the configuration: as asked for, else by `CLIPROXY_CONFIG`, else at the usual places.
 * @param explicit path given with `--config`
 * @returns undefined when there is none, so that the safe defaults stand
 * @throws ConfigFileError when the file that was asked for does not exist
 */
export function findConfigFile(
  explicit: string | undefined,
  env: Env,
  exists: (path: string) => boolean = existsSync,
): string | undefined {
  const { CLIPROXY_CONFIG: variable } = env;
  const asked = explicit ?? (variable === "" ? undefined : variable);
  if (asked === undefined) return ["./config.yaml", "/config/config.yaml"].find(exists);
  if (asked !== "" && exists(asked)) return asked;
  const by = explicit === undefined ? "$CLIPROXY_CONFIG" : "--config";
  const message = `the file that ${by} names does not exist`;
  const mend = `create it, or correct ${by}`;
  throw new ConfigFileError({ file: asked, line: 1, column: 1, path: "", message, mend });
}
