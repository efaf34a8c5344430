/** Interleaved measurements: A B C, A B C, so that the machine's moods hit all alike. */
import { type LoadReport, runLoad } from "./load.ts";
import { pause } from "./numbers.ts";
import { busyOf, cpuOf, rssOf } from "./proc.ts";
import { type RunningTarget, restart } from "./running.ts";
import type { LoadScenario } from "./scenarios.ts";
import { untilNoStreams } from "./upstream.ts";

export interface Row {
  readonly scenario: string;
  readonly target: string;
  readonly round: number;
  readonly load: LoadReport;
  /** CPU of the process tree per request, or per chunk of a stream; us. */
  readonly userUs: number;
  readonly systemUs: number;
  /** Parts of the proxy's core: taken by the target, and by strangers. */
  readonly busy: number;
  readonly strangers: number;
  /** MB. */
  readonly rssBefore: number;
  readonly rss: number;
}

export interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  readonly core: number;
  readonly mockPort: number;
}

/** Measures a scenario; held streams get one round each, in fresh processes. */
export async function measure(
  name: string,
  scenario: LoadScenario,
  targets: RunningTarget[],
  plan: Plan,
): Promise<Row[]> {
  const rows: Row[] = [];
  const seconds = scenario.seconds ?? plan.seconds;
  if (scenario.mode === "hold") {
    for (const [i, target] of targets.entries()) {
      const fresh = await restart(target, plan.core);
      targets[i] = fresh;
      rows.push(await measureOnce(name, scenario, fresh, seconds, 0, plan.core));
      await quieten(targets, i, plan);
    }
    return rows;
  }
  const mute = new Set<number>();
  for (const [i, target] of targets.entries()) {
    if (!(await warmUp(name, scenario, target))) mute.add(i);
    await quieten(targets, i, plan);
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const [i, target] of targets.entries()) {
      if (mute.has(i)) continue;
      rows.push(await measureOnce(name, scenario, target, seconds, round, plan.core));
      await quieten(targets, i, plan);
    }
  }
  return rows;
}

/** The next target must not be measured while this one still reads streams nobody wants. */
async function quieten(targets: RunningTarget[], index: number, plan: Plan): Promise<void> {
  await pause(150);
  const target = targets[index];
  if (target === undefined || (await untilNoStreams(plan.mockPort, 3000)) < 3000) return;
  console.error(`bench: ${target.name} reads on after its clients left: it is started anew`);
  targets[index] = await restart(target, plan.core);
}

async function warmUp(
  name: string,
  scenario: LoadScenario,
  target: RunningTarget,
): Promise<boolean> {
  const load = await runLoad(target, scenario, target.warmUpSeconds);
  if (load.done + load.opened > 0) return true;
  const cause = `last status ${load.lastStatus}, ${load.errors} errors ${load.errorBody}`;
  console.error(`bench: ${target.name} answers nothing in ${name}: ${cause}`);
  return false;
}

async function measureOnce(
  name: string,
  scenario: LoadScenario,
  target: RunningTarget,
  seconds: number,
  round: number,
  core: number,
): Promise<Row> {
  const pid = target.child?.pid;
  const rss = () => (pid === undefined ? Number.NaN : rssOf(pid));
  const cpu = () => (pid === undefined ? { user: 0, system: 0 } : cpuOf(pid));
  const rssBefore = rss();
  const before = { cpu: cpu(), core: busyOf(core), at: performance.now() };
  const loading = runLoad(target, scenario, seconds);
  let rssHeld: number | undefined;
  if (scenario.mode === "hold") {
    await pause((seconds - 1.5) * 1000);
    rssHeld = rss();
  }
  const load = await loading;
  const after = { cpu: cpu(), core: busyOf(core), at: performance.now() };
  const elapsedUs = (after.at - before.at) * 1000;
  const user = after.cpu.user - before.cpu.user;
  const system = after.cpu.system - before.cpu.system;
  const isStream = scenario.mode === "sse" || scenario.mode === "hold";
  const units = isStream ? load.chunks : load.done;
  const counted = pid === undefined ? Number.NaN : units;
  return {
    scenario: name,
    target: target.name,
    round,
    load,
    userUs: user / counted,
    systemUs: system / counted,
    busy: (user + system) / elapsedUs,
    strangers: Math.max(0, (after.core - before.core - user - system) / elapsedUs),
    rssBefore,
    rss: rssHeld ?? rss(),
  };
}

export const cpuUs = (row: Row): number => row.userUs + row.systemUs;
