import { dirname } from "node:path";
import type { Probe, Space } from "./probe.ts";
import {
  inContainer,
  type Mount,
  memoryLimit,
  readLimit,
  readMounts,
  readStatus,
  type Status,
} from "./proc-files.ts";

/** A place that is written to, and the file system that it is on. */
export interface Disk extends Space {
  readonly use: "audit" | "state" | "credentials";
  readonly path: string;
}

/** What the process and its machine are like; undefined: it can't be told here. */
export interface MachineFacts {
  readonly status: Status | undefined;
  /** Soft limits; `Infinity` for none. */
  readonly openFiles: number | undefined;
  readonly coreBytes: number | undefined;
  /** The least of all groups that the process is in. */
  readonly memoryLimitBytes: number | undefined;
  /** By what a container is known. */
  readonly container: string | undefined;
  readonly mounts: readonly Mount[];
  readonly hasDockerSocket: boolean;
  /** 0: every process of the same user may read the memory of this one. */
  readonly ptraceScope: number | undefined;
  readonly randomized: number | undefined;
  readonly hasSwap: boolean | undefined;
  readonly isClockSynchronized: boolean | undefined;
  readonly disks: readonly Disk[];
}

/** Most of a file of the kernel that is read, in bytes. */
const mostBytes = 256 * 1024;

/**
 * Looks at the process and its machine.
 * @param places what is written where; the nearest directory that exists is looked at
 */
export function gatherMachine(
  probe: Probe,
  places: readonly { readonly use: Disk["use"]; readonly path: string }[],
  env: Readonly<Record<string, string | undefined>>,
): MachineFacts {
  const read = (path: string): string | undefined => probe.read(path, mostBytes);
  const has = (path: string): boolean => "kind" in probe.stat(path);
  const number = (path: string): number | undefined => {
    const text = read(path);
    return text === undefined ? undefined : Number(text);
  };
  const limits = read("/proc/self/limits");
  const swaps = read("/proc/swaps");
  const timesync = "/run/systemd/timesync";
  return {
    status: readStatus(read("/proc/self/status")),
    openFiles: readLimit(limits, "Max open files"),
    coreBytes: readLimit(limits, "Max core file size"),
    memoryLimitBytes: memoryLimit(read),
    container: inContainer(has, read, env),
    mounts: readMounts(read("/proc/self/mountinfo")),
    hasDockerSocket: ["/var/run/docker.sock", "/run/docker.sock"].some(has),
    ptraceScope: number("/proc/sys/kernel/yama/ptrace_scope"),
    randomized: number("/proc/sys/kernel/randomize_va_space"),
    hasSwap: swaps === undefined ? undefined : swaps.trim().split("\n").length > 1,
    isClockSynchronized: has(timesync) ? has(`${timesync}/synchronized`) : undefined,
    disks: places.flatMap(({ use, path }) => {
      const space = spaceBelow(probe, path);
      return space === undefined ? [] : [{ use, path, ...space }];
    }),
  };
}

function spaceBelow(probe: Probe, path: string): Space | undefined {
  for (let at = path; ; at = dirname(at)) {
    const space = probe.space(at);
    if (space !== undefined || dirname(at) === at) return space;
  }
}
