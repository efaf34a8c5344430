/** What /proc tells of processes and cores. CPU times are in microseconds, memory in MB. */
import { readdirSync, readFileSync } from "node:fs";

const usPerTick = 1e6 / 100;

/** The fields of /proc/PID/stat behind the name; undefined when the process is gone. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** The process and all its descendants. */
export function treeOf(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number(statOf(Number(entry))?.[1]);
    const siblings = children.get(parent) ?? [];
    siblings.push(Number(entry));
    children.set(parent, siblings);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

export function cpuOf(root: number): CpuTime {
  let user = 0;
  let system = 0;
  for (const pid of treeOf(root)) {
    const stat = statOf(pid);
    user += Number(stat?.[11] ?? 0) * usPerTick;
    system += Number(stat?.[12] ?? 0) * usPerTick;
  }
  return { user, system };
}

export function rssOf(root: number): number {
  let kb = 0;
  for (const pid of treeOf(root)) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "latin1");
      kb += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
    } catch {
      // the process ended
    }
  }
  return kb / 1024;
}

/** How long a core has been busy with anything, stolen time included. */
export function busyOf(core: number): number {
  const line = readFileSync("/proc/stat", "latin1").match(new RegExp(`^cpu${core} (.*)$`, "m"));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    line?.[1]?.split(" ").map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) * usPerTick;
}
