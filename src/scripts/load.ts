import { dirname, join } from "node:path";
import * as v from "valibot";
import type { Claimant } from "../config/claims.ts";
import { peekConfig } from "../config/peek.ts";
import type { Policy } from "../contract/policy.ts";
import type { House } from "../host.ts";
import { processUsage } from "../runtime/process.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { ScriptCounts } from "./counts.ts";
import { type Entry, readFolder } from "./folder.ts";
import { type Grant, grants } from "./grants.ts";
import { Keeper } from "./keeper.ts";
import { type Lock, lockName, lockProblems, readLock } from "./lock.ts";
import { type ScriptRollout, scriptClaims } from "./settings.ts";
import { readSource, type SourceFile } from "./source.ts";
import { type DescribedScript, toPolicy, wrongDescription } from "./to-policy.ts";

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

/** The policies of the directory: their code runs, their settings are not judged yet. */
export interface Scripts {
  readonly claims: readonly Claimant[];
  readonly problems: readonly ScriptProblem[];
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
  files: [],
  folders: [],
  toPolicies: () => [],
  dispose: async () => {},
};

/** What is needed before the configuration can be judged as a whole. */
const peeked = v.fallback(
  v.object({
    dir: v.fallback(v.optional(v.string()), undefined),
    require_lock: v.fallback(v.boolean(), false),
  }),
  { dir: undefined, require_lock: false },
);
const peekedScript = v.fallback(
  v.object({
    mode: v.fallback(v.string(), "enforce"),
    grant: v.fallback(v.array(v.picklist(grants)), []),
    deadline: v.fallback(v.string(), ""),
    memory_mib: v.fallback(v.number(), 128),
  }),
  { mode: "enforce", grant: [], deadline: "", memory_mib: 128 },
);

/** Loads the policies of the directory that a configuration names. */
export async function loadScripts(
  source: { readonly text: string; readonly env: Readonly<Record<string, string | undefined>> },
  house: House,
  runtime: Runtime,
  builtIn: ReadonlySet<string>,
): Promise<Scripts> {
  const { dir, require_lock } = v.parse(peeked, peekConfig(source.text, source.env, ["policies"]));
  if (dir === undefined || dir === "") return none;
  const folder = readFolder(dir);
  if (!folder.ok) {
    const { message, mend } = folder;
    return { ...none, problems: [{ path: "policies.dir", message, mend, at: undefined }] };
  }
  const problems: ScriptProblem[] = [];
  const loaded: DescribedScript[] = [];
  const files: SourceFile[] = [];
  const lock = lockOf(folder.dir, require_lock, problems);
  const settingsOf = (name: string) =>
    v.parse(peekedScript, peekConfig(source.text, source.env, ["policies", name]));
  for (const entry of folder.entries) {
    if (builtIn.has(entry.name)) {
      problems.push(atFile(entry, "has the name of a built-in policy", "give it another name"));
      continue;
    }
    const { mode, grant } = settingsOf(entry.name);
    if (mode === "off") continue;
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
    if (script !== undefined) loaded.push(script);
  }
  const counts =
    (house.kept.get("scripts\0counts") as ScriptCounts | undefined) ?? new ScriptCounts();
  house.kept.set("scripts\0counts", counts);
  return {
    claims: folder.entries.filter((e) => !builtIn.has(e.name)).map((e) => scriptClaims(e.name)),
    problems,
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
