import { join } from "node:path";
import { builtInNames } from "../assembly.ts";
import { writeAtomically } from "../kit/atomic-file.ts";
import { currentRuntime } from "../runtime/process.ts";
import {
  compareLocks,
  type Lock,
  type LockChanges,
  lockName,
  parseLock,
  readLock,
  toLockText,
} from "../scripts/lock.ts";
import { surveyScripts } from "../scripts/survey.ts";
import { type CommandContext, exitCodes, fail } from "./frame.ts";
import { configSource, refuseConfig } from "./house.ts";
import { needFolder, refuseSources } from "./policies-folder.ts";

/** `policies lock`: pins the files that the policies are made of now; it runs none of them. */
export async function lock(context: CommandContext): Promise<number> {
  const { io } = context;
  const source = configSource(context);
  const found = needFolder(source);
  if ("problem" in found) return refuseConfig(io, [found.problem]);
  const survey = await surveyScripts(source, found.dir, await currentRuntime());
  if (!survey.ok) return refuseConfig(io, [found.problemOf(survey.message, survey.mend)]);
  const scripts = survey.scripts.filter(
    ({ name, mode }) => mode !== "off" && !builtInNames.has(name),
  );
  const refused = refuseSources(io, scripts);
  if (refused !== undefined) return refused;
  const text = toLockText(scripts.flatMap(({ source: read }) => (read.ok ? read.files : [])));
  const path = join(survey.dir, lockName);
  const before = oldLock(survey.dir);
  const after = parseLock(text);
  try {
    writeAtomically(path, text, 0o644);
  } catch (error) {
    const { code } = error as { code?: string };
    const message = `${path} can't be written: ${code ?? "unknown error"}`;
    return fail(io, { code: "not_written", message, mend: "check its mode" }, exitCodes.failed);
  }
  const changes = compareLocks(before ?? new Map(), after);
  if (io.json) io.out(`${JSON.stringify({ path, files: after.size, ...changes })}\n`);
  else
    io.out(`${[...changeLines(changes), `${path}: ${countOf(after.size)} pinned`].join("\n")}\n`);
  return exitCodes.fine;
}

/** What was pinned before; a lock that can't be read pinned nothing. */
function oldLock(dir: string): Lock | undefined {
  try {
    return readLock(dir);
  } catch {
    return undefined;
  }
}

function changeLines({ added, changed, removed }: LockChanges): string[] {
  return [
    ...added.map((path) => `added    ${path}`),
    ...changed.map((path) => `changed  ${path}`),
    ...removed.map((path) => `removed  ${path}`),
  ];
}

function countOf(files: number): string {
  return files === 1 ? "1 file is" : `${files} files are`;
}
