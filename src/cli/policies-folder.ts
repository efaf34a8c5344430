import type { ConfigSource } from "../assembly.ts";
import type { ConfigProblem } from "../config/problems.ts";
import { peekFolder, type SurveyedScript } from "../scripts/survey.ts";
import type { Io } from "./frame.ts";
import { refuseConfig } from "./house.ts";

interface FoundFolder {
  readonly dir: string;
  problemOf(message: string, mend: string): ConfigProblem;
}

/** The directory of policies, or the problem that there is none. */
export function needFolder(
  source: ConfigSource,
): FoundFolder | { readonly problem: ConfigProblem } {
  const problemOf = (message: string, mend: string): ConfigProblem => ({
    ...{ file: source.file ?? "(defaults)", line: 1, column: 1, path: "policies.dir" },
    ...{ message, mend },
  });
  const { dir } = peekFolder(source);
  if (dir !== undefined) return { dir, problemOf };
  const mend = "set it to the directory of your policies; `cliproxy check` tells other problems";
  return { problem: problemOf("is not set, so there are no policies from disk", mend) };
}

/** Tells what is wrong with the code of policies; undefined: nothing is. */
export function refuseSources(
  io: Io,
  scripts: readonly Pick<SurveyedScript, "name" | "path" | "source">[],
): number | undefined {
  const problems = scripts.flatMap(({ name, path, source }) =>
    source.ok
      ? []
      : source.problems.map(({ message, mend, at }) => ({
          ...(at ?? { file: path, line: 1, column: 1 }),
          ...{ path: `policies.${name}`, message, mend },
        })),
  );
  return problems.length === 0 ? undefined : refuseConfig(io, problems);
}
