import { dirname, join } from "node:path";
import type { Claimant } from "../config/claims.ts";
import type { Policy } from "../contract/policy.ts";
import type { House } from "../host.ts";
import { gapsOf } from "../plan.ts";
import { processUsage } from "../runtime/process.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { ScriptCounts } from "./counts.ts";
import { type Entry, readFolder } from "./folder.ts";
import type { Grant } from "./grants.ts";
import { Keeper } from "./keeper.ts";
import { digestOfFiles, type Lock, lockName, lockProblems, readLock } from "./lock.ts";
import type { Described } from "./messages.ts";
import { type ScriptRollout, scriptClaims } from "./settings.ts";
import { readSource, type SourceFile } from "./source.ts";
import { type ConfigText, peekFolder, peekScript } from "./survey.ts";
import { type DescribedScript, toCoverage, toPolicy, wrongDescription } from "./to-policy.ts";

/** A problem with the directory, a policy in it, or its settings. */
export interface ScriptProblem {
  /** Dotted path of the configuration that it belongs to. */
  readonly path: string;
  readonly message: string;
  readonly mend: string;
  /** A place in the source, instead of one in the configuration. */
  readonly at:
    | { readonly file: string; readonly line: number; readonly column: number }
    | undefined;
}

/** One policy of the directory. */
export interface ScriptParts {
  readonly name: string;
  readonly file: string;
  readonly mode: string;
  /** What its code was made of; none of one that is off. */
  readonly files: readonly SourceFile[];
  /** One digest over all its files; empty of one that is off. */
  readonly sha256: string;
  /** Undefined: it is off, so its code was not run. */
  readonly described: Described | undefined;
}

/** The policies of the directory: their code runs, their settings are not judged yet. */
export interface Scripts {
  readonly claims: readonly Claimant[];
  readonly problems: readonly ScriptProblem[];
  /** Those that were loaded, and those that are off. */
  readonly parts: readonly ScriptParts[];
  /** All files that their code was made of. */
  readonly files: readonly SourceFile[];
  /** Directories that hold them: whatever changes there is a reason to load them anew. */
  readonly folders: readonly string[];
  toPolicies(rolloutOf: (name: string) => ScriptRollout): readonly Policy[];
  /** Ends the threads of those that no policy took over. */
  dispose(): Promise<void>;
}

const none: Scripts = {
  claims: [],
  problems: [],
  parts: [],
  files: [],
  folders: [],
  toPolicies: () => [],
  dispose: async () => {},
};

const lockOfNothing: ScriptProblem = {
  path: "policies.require_lock",
  message: "is set, and no policies are loaded",
  mend: "set policies.dir, or remove it",
  at: undefined,
};

/** Loads the policies of the directory that a configuration names. */
export async function loadScripts(
  source: ConfigText,
  house: House,
  runtime: Runtime,
  builtIn: ReadonlySet<string>,
): Promise<Scripts> {
  const { dir, requireLock } = peekFolder(source);
  if (dir === undefined) return requireLock ? { ...none, problems: [lockOfNothing] } : none;
  const folder = readFolder(dir);
  if (!folder.ok) {
    const { message, mend } = folder;
    return { ...none, problems: [{ path: "policies.dir", message, mend, at: undefined }] };
  }
  const problems: ScriptProblem[] = [];
  const loaded: DescribedScript[] = [];
  const files: SourceFile[] = [];
  const lock = lockOf(folder.dir, requireLock, problems);
  const parts: ScriptParts[] = [];
  for (const entry of folder.entries) {
    if (builtIn.has(entry.name)) {
      problems.push(atFile(entry, "has the name of a built-in policy", "give it another name"));
      continue;
    }
    const { mode, grant } = peekScript(source, entry.name);
    if (mode === "off") {
      const part = { name: entry.name, file: entry.path, files: [], sha256: "" };
      parts.push({ ...part, mode, described: undefined });
      continue;
    }
    const read = await readSource(entry.path, folder.dir, grant, runtime);
    if (!read.ok) {
      for (const { message, mend, at } of read.problems) {
        problems.push({
          path: `policies.${entry.name}`,
          message: `${entry.path}: ${message}`,
          mend,
          at,
        });
      }
      continue;
    }
    files.push(...read.files);
    const unpinned = lock === undefined ? [] : lockProblems(lock, read.files);
    for (const message of unpinned) {
      problems.push(atFile(entry, message, "look at the change, then `cliproxy policies lock`"));
    }
    if (unpinned.length > 0) continue;
    const script = await describe(entry, read.code, grant, house, runtime, read.files, problems);
    if (script === undefined) continue;
    loaded.push(script);
    const sha256 = digestOfFiles(read.files);
    const { described } = script;
    parts.push({
      ...{ name: entry.name, file: entry.path, files: read.files, sha256 },
      mode,
      described,
    });
  }
  const counts =
    (house.kept.get("scripts\0counts") as ScriptCounts | undefined) ?? new ScriptCounts();
  house.kept.set("scripts\0counts", counts);
  return {
    claims: folder.entries
      .filter(({ name }) => !builtIn.has(name))
      .map(({ name }) => scriptClaims(name, mayHaveGaps(loaded, name))),
    problems,
    parts,
    files,
    folders: foldersOf(folder.dir, files),
    toPolicies: (rolloutOf) =>
      loaded.map((script) => {
        const rollout = rolloutOf(script.name);
        script.keeper.limit(rollout.deadline, rollout.memory);
        return toPolicy(script, rollout, counts);
      }),
    dispose: async () => void (await Promise.all(loaded.map(({ keeper }) => keeper.dispose()))),
  };
}

/** What a policy that was not loaded can see is not known. */
function mayHaveGaps(loaded: readonly DescribedScript[], policy: string): boolean {
  const script = loaded.find(({ name }) => name === policy);
  return script === undefined || gapsOf({ covers: toCoverage(script.described) }).length > 0;
}

function foldersOf(dir: string, files: readonly SourceFile[]): readonly string[] {
  return [...new Set([dir, ...files.map(({ path }) => dirname(join(dir, path)))])];
}

function lockOf(dir: string, isRequired: boolean, problems: ScriptProblem[]): Lock | undefined {
  const path = isRequired ? "policies.require_lock" : "policies.dir";
  const mend = "`cliproxy policies lock` writes it anew";
  try {
    const lock = readLock(dir);
    if (lock === undefined && isRequired) {
      problems.push({ path, message: `${dir}/${lockName} does not exist`, mend, at: undefined });
    }
    return lock;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    problems.push({ path, message, mend, at: undefined });
    return undefined;
  }
}

async function describe(
  entry: Entry,
  code: string,
  granted: readonly Grant[],
  { clock, log }: House,
  runtime: Runtime,
  files: readonly SourceFile[],
  problems: ScriptProblem[],
): Promise<DescribedScript | undefined> {
  const { name } = entry;
  const keeper = new Keeper({
    ...{ name, code, granted, clock, log },
    openThread: (memoryMib) => runtime.openWorker(memoryMib),
    rssBytes: () => processUsage().rssBytes,
  });
  try {
    const described = await keeper.load();
    const wrong = wrongDescription(described);
    if (wrong === undefined) return { name, code, described, keeper };
    problems.push(atFile(entry, wrong, "see docs/policies.md"));
  } catch (error) {
    const { message, stack } = error as Error;
    problems.push({ ...atFile(entry, message, ""), at: placeIn(stack ?? "", entry, files) });
  }
  await keeper.dispose();
  return undefined;
}

function atFile({ name, path }: Entry, message: string, mend: string): ScriptProblem {
  return {
    path: `policies.${name}`,
    message: `${path}: ${message}`,
    mend,
    at: { file: path, line: 1, column: 1 },
  };
}

/** The first frame of a stack that lies in a file of the policy, else where the policy begins. */
export function placeIn(
  stack: string,
  entry: Entry,
  files: readonly SourceFile[],
): NonNullable<ScriptProblem["at"]> {
  const dir = dirname(entry.path);
  for (const [, file = "", line, column] of stack.matchAll(frame)) {
    const known = files.find(({ path }) => file === path || file.endsWith(`/${path}`));
    if (known === undefined) continue;
    return { file: join(dir, known.path), line: Number(line), column: Number(column) };
  }
  return { file: entry.path, line: 1, column: 1 };
}

const frame = /\(?([^\s()]+\.[cm]?[jt]s):(\d+):(\d+)\)?/g;
