import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDir, type RunningProxy, runBinary, startProxy } from "../harness/proxy.ts";
import { base, merge, type Yaml } from "./prove.ts";

/** A problem of the guide with one of its ways out, by its number. */
export interface ProblemProof {
  readonly symptom: string;
  readonly solution: number;
  /** Has the problem, reads our message, and mends it by what the message names. */
  prove(): Promise<void>;
}

export function start(config: Yaml): Promise<RunningProxy> {
  return startProxy({ config: merge(base, config) });
}

export async function check(config: Yaml): Promise<{ code: number; err: string }> {
  const dir = makeDir();
  writeFileSync(join(dir, "c.yaml"), JSON.stringify({ auth: { dir: "auths" }, ...config }));
  const { code, out, err } = await runBinary(["check", "--config", join(dir, "c.yaml")]);
  return { code, err: out + err };
}
