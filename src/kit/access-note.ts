import { statSync } from "node:fs";
import { dirname } from "node:path";
import { geteuid } from "node:process";

/** Who owns the nearest part of a path that is there, its mode, and as whom this process runs. */
export function accessNote(path: string): string {
  const uid = geteuid?.() ?? "unknown";
  for (let at = path; ; at = dirname(at)) {
    try {
      const { uid: owner, gid, mode } = statSync(at);
      const bits = (mode & 0o7777).toString(8).padStart(4, "0");
      return `${at} has owner ${owner}:${gid}, mode ${bits}; this runs as uid ${uid}`;
    } catch {
      if (dirname(at) === at) return `this runs as uid ${uid}`;
    }
  }
}

/** The command that gives a directory to this process. */
export function chownMend(dir: string): string {
  const uid = geteuid?.() ?? "unknown";
  return `mkdir -p ${dir} && chown ${uid} ${dir} && chmod 700 ${dir}`;
}
