import { readdirSync, readFileSync } from "node:fs";

/** Open files and sockets of a process. */
export function fdsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/**
 * Memory of a process, in bytes.
 * @param field `VmRSS` now, `VmHWM` at most, `RssAnon` without mapped files
 */
export function memoryOf(pid: number, field: "VmRSS" | "VmHWM" | "RssAnon"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
}
