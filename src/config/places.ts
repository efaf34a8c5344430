import type { ConfigProblem } from "./problems.ts";

/** What the configuration can tell of a place in its file. */
export interface ConfigPlaces {
  /** Names below a path of the YAML, also those without a value. */
  childrenOf(path: string): readonly string[];
  problemAt(path: string, message: string, mend: string): ConfigProblem;
}
