import type { ConfigProblem } from "../config/problems.ts";
import type { SecretUse } from "../config/reading.ts";
import type { Finding } from "../contract/finding.ts";
import type { Plan } from "../plan.ts";
import type { FileFacts } from "./file-facts.ts";
import type { MachineFacts } from "./machine-facts.ts";

/** All that the checks may know; they look at nothing else, and change nothing. */
export interface Facts {
  readonly nowMs: number;
  readonly env: Env;
  readonly config: ConfigFacts;
  readonly files: FileFacts;
  readonly machine: MachineFacts;
}

export type Env = Readonly<Record<string, string | undefined>>;

/** The configuration as `doctor` knows it, also when it can't be used. */
export interface ConfigFacts {
  /** Undefined: there is none, and the safe defaults stand. */
  readonly file: string | undefined;
  /** As it was written. */
  readonly text: string;
  /** Why it can't be used; then only what needs no settings is looked at. */
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
  readonly secretsUsed: readonly SecretUse[];
  /** What is enforced; undefined: it can't be used. */
  readonly plan: Plan | undefined;
  /** What the policies found themselves. */
  readonly found: readonly Finding[];
  /**
   * The value at a claimed path, as its schema made it: a record where the path has a `*`. Of a
   * configuration that can't be used, text only.
   */
  get(path: string): unknown;
  /** Where a path stands: `config.yaml:3  server.host`. */
  at(path: string): string;
  /** Names below a path. */
  namesBelow(path: string): readonly string[];
}
