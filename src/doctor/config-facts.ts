import { assemble, type ConfigSource, claimants } from "../assembly.ts";
import { type Env, expandTree } from "../config/expand.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import type { ConfigProblem } from "../config/problems.ts";
import { locate } from "../config/tree.ts";
import { parseYaml } from "../config/yaml.ts";
import type { House } from "../host.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { ConfigFacts } from "./facts.ts";

type GoodConfig = LoadedConfig & { readonly ok: true };

/** Reads a configuration and builds what a start would build; nothing is created. */
export async function gatherConfig(
  source: ConfigSource,
  house: House,
  runtime: Runtime,
): Promise<ConfigFacts> {
  const { file, text, env, overrides } = source;
  const config = loadConfig({ text, file: file ?? "(defaults)" }, env, claimants);
  if (!config.ok) return unusable(source, config.problems);
  const assembled = await assemble(source, house, runtime, false);
  if (!assembled.ok) return { ...unusable(source, assembled.problems), ...placesOf(config) };
  const { generation } = assembled;
  const found = generation.findings();
  generation.retire();
  const values = valuesByPath(config);
  for (const [key, value] of Object.entries(overrides)) values.set(`server.${key}`, value);
  return {
    ...{ file, text, problems: [], warnings: generation.warnings, plan: generation.plan, found },
    secretsUsed: config.secretsUsed,
    get: (path) => values.get(path),
    ...placesOf(config),
  };
}

/** A file that was asked for, and that can't be read at all. */
export function unreadable(problem: ConfigProblem, env: Env): ConfigFacts {
  return unusable({ file: undefined, text: "", env, overrides: {} }, [problem]);
}

/** What its owner made of each claimed path. */
function valuesByPath(config: GoodConfig): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const { name, keys } of claimants) {
    const own = config.values.get(name) as Readonly<Record<string, unknown>>;
    for (const [local, path] of Object.entries(keys)) values.set(path, own[local]);
  }
  return values;
}

function placesOf(config: GoodConfig): Pick<ConfigFacts, "at" | "namesBelow"> {
  return {
    at(path) {
      const { file, line } = config.problemAt(path, "", "");
      return file === "(defaults)" ? path : `${file}:${line}  ${path}`;
    },
    namesBelow: (path) => config.childrenOf(path),
  };
}

function unusable(source: ConfigSource, problems: readonly ConfigProblem[]): ConfigFacts {
  const { file, text, env } = source;
  const parsed = parseYaml(text.replace(/^\ufeff/, ""));
  if (parsed.ok) expandTree(parsed.root, env);
  return {
    ...{ file, text, problems, warnings: [], secretsUsed: [], plan: undefined, found: [] },
    get(path) {
      if (!parsed.ok) return undefined;
      const { found, tree } = locate(parsed.root, path.split("."));
      const isText = found && tree.kind === "scalar" && !tree.broken && tree.text !== "";
      return isText ? tree.text : undefined;
    },
    at: (path) => path,
    namesBelow: () => [],
  };
}
