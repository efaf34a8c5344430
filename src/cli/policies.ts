import { assemble, builtInNames } from "../assembly.ts";
import { surfaces } from "../contract/types.ts";
import { silentLogger } from "../log.ts";
import { type Plan, type PlannedPolicy, usualLine } from "../plan.ts";
import { policies } from "../registry.gen.ts";
import { currentRuntime } from "../runtime/process.ts";
import { type CommandContext, exitCodes } from "./frame.ts";
import { configSource, createHouse, refuseConfig } from "./house.ts";
import { listScripts, scriptLines } from "./policies-scripts.ts";

/** `policies list`: what there is, built in and from disk, and which keys each claims. */
export async function list(context: CommandContext): Promise<number> {
  const { io } = context;
  const known = usualLine(policies).map(({ name, stage, policy: { summary, config } }) => ({
    name,
    stage,
    summary,
    keys: Object.values(config.keys) as string[],
  }));
  const own = await listScripts(context, builtInNames);
  if (io.json) {
    io.out(`${JSON.stringify([...known, ...own])}\n`);
    return exitCodes.fine;
  }
  for (const { name, stage, summary, keys } of known) {
    io.out(`${name} (${stage})\n  ${summary}\n`);
    if (keys.length > 0) io.out(`  keys: ${keys.join(", ")}\n`);
  }
  for (const one of own) io.out(`${scriptLines(one).join("\n")}\n`);
  return exitCodes.fine;
}

/** `policies plan`: what this configuration enforces, where, in order. */
export async function plan(context: CommandContext): Promise<number> {
  const { io } = context;
  const house = createHouse(silentLogger);
  const assembled = await assemble(configSource(context), house, await currentRuntime(), false);
  if (!assembled.ok) return refuseConfig(io, assembled.problems);
  const { generation } = assembled;
  generation.retire();
  if (io.json) io.out(`${JSON.stringify(generation.plan)}\n`);
  else io.out(`${lines(generation.plan).join("\n")}\n`);
  return exitCodes.fine;
}

function shorten(seen: readonly string[]): string {
  if (!surfaces.every((surface) => seen.includes(surface))) return seen.join(",");
  return seen.includes("admin") ? "all,admin" : "all";
}

function lines({ policies: planned, gaps }: Plan): string[] {
  const own = planned.flatMap(({ name, file, sha256 = "" }) =>
    file === undefined ? [] : [`from disk: ${name}  ${file}  ${sha256}`.trimEnd()],
  );
  return [...table(planned), ...own, ...gaps.map(({ key, what }) => `gap: ${key} ${what}`)];
}

function table(planned: readonly PlannedPolicy[]): string[] {
  const rows = planned.map(({ name, stage, mode, onFault, surfaces: seen }) => [
    name,
    stage,
    mode,
    onFault,
    shorten(seen),
  ]);
  const head = ["policy", "stage", "mode", "on fault", "surfaces"];
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
