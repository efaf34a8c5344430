/** The bench: see README.md. Started by run.sh, which builds the tools in C. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { help, type Options, parseArguments, UsageError } from "./arguments.ts";
import { isListening, killChildren, startChild, stopChild } from "./children.ts";
import { measure } from "./measure.ts";
import { median, pause, show } from "./numbers.ts";
import { type PromiseTable, promiseTables } from "./promise-table.ts";
import type { Results } from "./results.ts";
import { type RunningTarget, restart, run } from "./running.ts";
import { markdown, scenarioTable } from "./scenario-table.ts";
import { scenarios, startScenario, vanishScenario } from "./scenarios.ts";
import { measureStarts } from "./start-time.ts";
import { makeTargets } from "./targets.ts";
import { untilNoStreams } from "./upstream.ts";
import { measureVanishing } from "./vanish.ts";

async function main(): Promise<number> {
  const options = parseArguments(process.argv.slice(2));
  if (options === "help") {
    console.log(help);
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), "cliproxy-bench-"));
  process.on("exit", () => {
    killChildren();
    rmSync(folder, { recursive: true, force: true });
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(130));
  }
  await startMock(options, folder);
  const targets = await startTargets(options, folder);
  const results: Results = {
    rows: [],
    starts: [],
    vanished: [],
    idleRss: new Map(targets.map((t) => [t.name, t.idleRss])),
  };
  await measureAll(options, targets, results);
  const names = targets.map((t) => t.name);
  const table = options.table ? promiseTables(names, results) : undefined;
  if (table !== undefined) console.log(table.text);
  if (options.json !== undefined) writeJson(options, options.json, results, table);
  return table === undefined || table.holds ? 0 : 1;
}

async function startMock(options: Options, folder: string): Promise<void> {
  const port = options.mockPort;
  if (await isListening(port)) throw new Error(`port ${port} is taken: see --mock-port`);
  startChild({
    argv: [join(import.meta.dirname, ".build", "mockllm"), String(port)],
    cwd: folder,
    logFile: join(folder, "mock.log"),
  });
  for (let i = 0; i < 100 && !(await isListening(port)); i++) await pause(20);
}

/** Those that can't be started are told, and left out. */
async function startTargets(options: Options, folder: string): Promise<RunningTarget[]> {
  const { targets, skipped } = makeTargets(options, folder);
  for (const line of skipped) console.error(`bench: ${line}`);
  const running: RunningTarget[] = [];
  for (const target of targets) {
    try {
      running.push(await run(target, options.proxyCpu));
    } catch (error) {
      console.error(`bench: ${error instanceof Error ? error.message : error}`);
    }
  }
  return running;
}

async function measureAll(
  options: Options,
  targets: RunningTarget[],
  results: Results,
): Promise<void> {
  const { rounds, seconds, proxyCpu: core, mockPort } = options;
  const plan = { rounds, seconds, core, mockPort };
  const names = targets.map((t) => t.name);
  for (const name of options.scenarios) {
    const scenario = scenarios[name];
    if (scenario === undefined) continue;
    results.rows.push(...(await measure(name, scenario, targets, plan)));
    console.log(scenarioTable(name, scenario, names, results));
  }
  // Its targets are ended one by one: nothing but the starts can be measured after it.
  if (options.scenarios.includes(vanishScenario)) await vanishAll(options, targets, results);
  for (const { child } of targets) if (child !== undefined) await stopChild(child);
  if (!options.scenarios.includes(startScenario)) return;
  results.starts.push(...(await measureStarts(targets, options.proxyCpu)));
  const lines = results.starts.map(({ target, ms }) => [
    target,
    show(median(ms), 1),
    show(Math.min(...ms), 1),
    show(Math.max(...ms), 1),
  ]);
  console.log(markdown("start: spawn to first answer, ms", ["target", "p50", "min", "max"], lines));
}

async function vanishAll(
  options: Options,
  targets: RunningTarget[],
  results: Results,
): Promise<void> {
  for (const target of targets) {
    if (target.child === undefined) continue;
    const fresh = await restart(target, options.proxyCpu);
    targets[targets.indexOf(target)] = fresh;
    results.vanished.push(await measureVanishing(fresh, options.mockPort));
    if (fresh.child !== undefined) await stopChild(fresh.child); // with the streams it kept
    await untilNoStreams(options.mockPort, 3000);
  }
  const lines = results.vanished.map(({ target, survived, cancelledMs, rss }) => [
    target,
    survived ? "yes" : "NO",
    cancelledMs.map((ms) => (Number.isFinite(ms) ? show(ms) : "never")).join(", "),
    rss.map((mb) => show(mb)).join(", "),
  ]);
  const head = ["target", "answers afterwards", "upstream cancelled after ms", "RSS MB"];
  console.log(markdown("vanish: 500 clients vanish, five times", head, lines));
}

function writeJson(
  options: Options,
  file: string,
  results: Results,
  table: PromiseTable | undefined,
): void {
  const machine = { cores: cpus().length, model: cpus()[0]?.model, bun: Bun.version };
  const { rows, starts, vanished } = results;
  const idleRss = Object.fromEntries(results.idleRss);
  const promises = table?.lines;
  const at = new Date().toISOString();
  const all = { at, machine, options, rows, starts, vanished, idleRss, promises };
  writeFileSync(file, `${JSON.stringify(all, undefined, 2)}\n`);
}

try {
  process.exit(await main());
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
