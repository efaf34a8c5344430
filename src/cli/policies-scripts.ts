import { silentLogger } from "../log.ts";
import { currentRuntime } from "../runtime/process.ts";
import { loadScripts } from "../scripts/load.ts";
import { peekFolder, peekScript, surveyScripts } from "../scripts/survey.ts";
import type { CommandContext } from "./frame.ts";
import { configSource, createHouse } from "./house.ts";

/** A policy from disk, as `policies list` tells it. */
export interface ListedScript {
  readonly name: string;
  /** Undefined where its code was not run: it is off, or something is wrong with it. */
  readonly stage: string | undefined;
  readonly summary: string | undefined;
  readonly mode: string;
  readonly file: string;
  /** Digest of each file that it is made of, by path below the directory. */
  readonly files: Readonly<Record<string, string>>;
  /** What keeps it from being loaded. */
  readonly problems: readonly string[];
}

/** All policies of the directory, also those that are off or can't be loaded. */
export async function listScripts(
  context: CommandContext,
  builtIn: ReadonlySet<string>,
): Promise<readonly ListedScript[]> {
  const source = configSource(context);
  const { dir } = peekFolder(source);
  if (dir === undefined) return [];
  const runtime = await currentRuntime();
  const survey = await surveyScripts(source, dir, runtime);
  if (!survey.ok) {
    const problems = [`${survey.message} (${survey.mend})`];
    const unknown = { stage: undefined, summary: undefined, mode: "-", files: {} };
    return [{ name: "policies.dir", file: dir, ...unknown, problems }];
  }
  const loaded = await loadScripts(source, createHouse(silentLogger), runtime, builtIn);
  await loaded.dispose();
  return survey.scripts.map(({ name, path, source: read }) => {
    const described = loaded.parts.find((part) => part.name === name)?.described;
    const wrong = loaded.problems.filter((problem) => problem.path === `policies.${name}`);
    const { mode } = peekScript(source, name);
    return {
      ...{ name, stage: described?.stage, summary: described?.summary, mode, file: path },
      files: Object.fromEntries(read.ok ? read.files.map((f) => [f.path, f.sha256]) : []),
      problems: wrong.map(({ message, mend }) => (mend === "" ? message : `${message} (${mend})`)),
    };
  });
}

export function scriptLines(script: ListedScript): readonly string[] {
  const { name, stage, summary, mode, file, files, problems } = script;
  return [
    `${name} (${stage ?? "-"}, ${mode}, from disk)`,
    ...(summary === undefined ? [] : [`  ${summary}`]),
    `  file: ${file}`,
    ...Object.entries(files).map(([path, sha256]) => `  ${sha256}  ${path}`),
    ...problems.map((problem) => `  problem: ${problem}`),
  ];
}
