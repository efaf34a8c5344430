import * as v from "valibot";
import { peekConfig } from "../config/peek.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Entry, readFolder } from "./folder.ts";
import { type Grant, grants } from "./grants.ts";
import { readSource, type Source } from "./source.ts";

/** A configuration as text. */
export interface ConfigText {
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What is read of a policy's rollout before the configuration is judged. */
export interface PeekedScript {
  readonly mode: string;
  readonly grant: readonly Grant[];
}

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
  }),
  { mode: "enforce", grant: [] },
);

/** Where a configuration says that policies are; undefined: nowhere. */
export function peekFolder({ text, env }: ConfigText): {
  readonly dir: string | undefined;
  readonly requireLock: boolean;
} {
  const { dir, require_lock } = v.parse(peeked, peekConfig(text, env, ["policies"]));
  return { dir: dir === "" ? undefined : dir, requireLock: require_lock };
}

export function peekScript({ text, env }: ConfigText, name: string): PeekedScript {
  return v.parse(peekedScript, peekConfig(text, env, ["policies", name]));
}

/** A policy of the directory whose code was read, but not run. */
export interface SurveyedScript extends Entry {
  readonly mode: string;
  readonly source: Source;
}

export type Survey =
  | { readonly ok: true; readonly dir: string; readonly scripts: readonly SurveyedScript[] }
  | { readonly ok: false; readonly message: string; readonly mend: string };

/** Reads the code of all policies of a directory, those that are off included; it runs none. */
export async function surveyScripts(
  config: ConfigText,
  path: string,
  runtime: Runtime,
): Promise<Survey> {
  const folder = readFolder(path);
  if (!folder.ok) return folder;
  const scripts: SurveyedScript[] = [];
  for (const entry of folder.entries) {
    const { mode, grant } = peekScript(config, entry.name);
    const source = await readSource(entry.path, folder.dir, grant, runtime);
    scripts.push({ ...entry, mode, source });
  }
  return { ok: true, dir: folder.dir, scripts };
}
