import type { Finding } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import type { Area } from "./area.ts";
import type { Facts } from "./facts.ts";
import type { Disk } from "./machine-facts.ts";

const kinds = {
  "machine-clock-wrong": {
    severity: "high",
    title: "the clock is wrong",
    why: "Certificates, quotas, expiry of keys and the audit log all go by it.",
    mend: "set the clock, and keep it by NTP",
  },
  "machine-clock-unsynchronised": {
    severity: "low",
    title: "the clock is not synchronised",
    why: "A clock that drifts lets keys live too long, and makes the audit log hard to compare.",
    mend: "timedatectl set-ntp true",
  },
  "machine-clock-future": {
    severity: "medium",
    title: "a file was changed in the future",
    why: "Its clock or this one is wrong: one of the two was set back, or will be.",
    mend: "compare the clocks of the machines that write it",
  },
  "machine-disk-full": {
    severity: "high",
    title: "a disk is nearly full",
    why: "What can't be written is lost: credentials, counters, or the record of who did what.",
    mend: "free space, or move it to another disk",
  },
  "machine-disk-short": {
    severity: "medium",
    title: "the audit log may fill its disk before old files are removed",
    why: "The files that are kept need more than is free.",
    mend: "lower logging.audit.keep or max_size, or give it a larger disk",
  },
  "machine-audit-unbounded": {
    severity: "low",
    title: "the audit log grows without a bound",
    why: "Rotated files are all kept, so the disk will be full one day.",
    mend: "set logging.audit.keep, or let something else move the old files away",
  },
  "machine-disk-volatile": {
    severity: "medium",
    title: "what must last is kept in memory",
    why: "A file system in memory is gone after a restart: quotas begin anew, keys are made anew.",
    mend: "put it on a disk or a volume",
  },
  "machine-core-dumps": {
    severity: "medium",
    title: "a crash would write the memory to a file",
    why: "It holds every credential and key.",
    mend: "ulimit -c 0, or LimitCORE=0 in systemd",
  },
  "machine-traced": {
    severity: "high",
    title: "another process traces this one",
    why: "It can read every credential and key in memory.",
    mend: "end the tracer",
  },
  "machine-ptrace": {
    severity: "low",
    title: "every process of the same user may read this one's memory",
    why: "One weak program under that user is enough to get every credential.",
    mend: "sysctl kernel.yama.ptrace_scope=1, and give the proxy a user of its own",
  },
  "machine-addresses": {
    severity: "low",
    title: "addresses in memory are not random",
    why: "A flaw in native code is easier to use.",
    mend: "sysctl kernel.randomize_va_space=2",
  },
  "machine-swap": {
    severity: "info",
    title: "memory may be swapped to a disk",
    why: "Keys in memory may end up on it, in the clear.",
    mend: "encrypt the swap, or turn it off (MemorySwapMax=0)",
  },
} as const;
const found = finder(kinds);

/** The clock, the disks and what others may see of the process. */
export const machine: Area = {
  name: "machine",
  summary: "clock, disks, core dumps, tracing",
  kinds,
  check: (facts) => [...clock(facts), ...disks(facts), ...traces(facts)],
};

/** Nothing of ours is older. */
const earliestMs = Date.UTC(2026, 0, 1);
const latestMs = Date.UTC(2100, 0, 1);
/** Clocks of two machines differ by this without harm, in milliseconds. */
const toleranceMs = 5 * 60_000;

function clock({ nowMs, files, machine: { isClockSynchronized } }: Facts): Finding[] {
  if (nowMs < earliestMs || nowMs >= latestMs) {
    return [found("machine-clock-wrong", `it says ${new Date(nowMs).toISOString()}`)];
  }
  const list: Finding[] = files.seen
    .filter(({ mtimeMs }) => mtimeMs > nowMs + toleranceMs)
    .map(({ path, mtimeMs }) =>
      found("machine-clock-future", `${path}: ${new Date(mtimeMs).toISOString()}`),
    );
  if (isClockSynchronized === false) {
    list.push(
      found("machine-clock-unsynchronised", "/run/systemd/timesync/synchronized is missing"),
    );
  }
  return list;
}

const mib = 1024 ** 2;
/** Less than this is nearly full, in bytes and in files. */
const leastFree = { bytes: 64 * mib, files: 100 };
/** tmpfs and ramfs, as the kernel numbers them. */
const memoryTypes = new Set([0x01021994, 0x858458f6]);

function disks({ config, machine: { disks: all }, files }: Facts): Finding[] {
  const list = all.flatMap((disk) => {
    const { use, path, freeBytes, totalBytes, freeFiles, totalFiles, type } = disk;
    const one: Finding[] = [];
    const free = `${use} in ${path}: ${Math.floor(freeBytes / mib)} MiB free`;
    if (totalBytes > 0 && freeBytes < leastFree.bytes) one.push(found("machine-disk-full", free));
    else if (totalFiles > 0 && freeFiles < leastFree.files) {
      one.push(found("machine-disk-full", `${use} in ${path}: ${freeFiles} files more`));
    }
    if (memoryTypes.has(type)) one.push(found("machine-disk-volatile", `${use} in ${path}`));
    return one;
  });
  const audit = all.find(({ use }) => use === "audit");
  if (audit === undefined || config.plan === undefined) return list;
  const keep = config.get("logging.audit.keep");
  if (typeof keep !== "number") {
    list.push(found("machine-audit-unbounded", config.at("logging.audit.file")));
    return list;
  }
  const written = files.seen.filter(({ role }) => role === "audit");
  const most = (keep + 1) * Number(config.get("logging.audit.max_size"));
  return [
    ...list,
    ...auditSpace(
      audit,
      most,
      written.reduce((sum, { size }) => sum + size, 0),
    ),
  ];
}

function auditSpace({ path, freeBytes }: Disk, mostBytes: number, writtenBytes: number): Finding[] {
  const missing = mostBytes - writtenBytes;
  if (missing <= freeBytes) return [];
  const [needs, free] = [missing, freeBytes].map((bytes) => Math.floor(bytes / mib));
  return [found("machine-disk-short", `${path}: ${needs} MiB may come, ${free} MiB are free`)];
}

function traces({ machine: m }: Facts): Finding[] {
  const list: Finding[] = [];
  if ((m.coreBytes ?? 0) > 0)
    list.push(found("machine-core-dumps", "the limit on core files is not 0"));
  const tracer = m.status?.tracer ?? 0;
  if (tracer !== 0) list.push(found("machine-traced", `by process ${tracer}`));
  if (m.ptraceScope === 0) list.push(found("machine-ptrace", "kernel.yama.ptrace_scope is 0"));
  if (m.randomized !== undefined && m.randomized < 2) {
    list.push(found("machine-addresses", `kernel.randomize_va_space is ${m.randomized}`));
  }
  if (m.hasSwap === true) list.push(found("machine-swap", "/proc/swaps names a swap"));
  return list;
}
