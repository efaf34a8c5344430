import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDir, type RunningProxy, startProxy } from "./proxy.ts";

/** A proxy whose audit log is on a small disk of its own. */
export interface FullDisk {
  readonly proxy: RunningProxy;
  /** The audit log, as the test can read it. */
  readonly log: string;
  /** The same as the process names it. */
  readonly file: string;
  fill(): void;
  free(): void;
}

// 64 KiB of memory as a disk, mounted in a namespace of the process's own.
const unshare = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-rm"];

function mountWords(dir: string): readonly string[] {
  mkdirSync(join(dir, "logs"), { recursive: true });
  const mount = `mount -t tmpfs -o size=64k tmpfs '${join(dir, "logs")}'`;
  return [...unshare, "sh", "-c", `${mount} && exec "$0" "$@"`];
}

function canMount(): boolean {
  const [program = "", ...words] = mountWords(makeDir());
  return spawnSync(program, [...words, "true"]).status === 0;
}

/**
 * Starts it; where nothing can be mounted, a directory in the log's place is what fails.
 * @param audit more of `logging.audit`
 */
export async function startOnFullDisk(audit: object, config: object = {}): Promise<FullDisk> {
  const home = makeDir();
  const isMounted = canMount();
  const file = join(home, "logs/audit.log");
  const logging = { audit: { enabled: true, file, ...audit } };
  const proxy = await startProxy({
    config: { auth: { dir: join(home, "auths") }, logging, ...config },
    ...(isMounted && { wrap: mountWords(home) }),
  });
  const log = (isMounted ? `/proc/${proxy.pid}/root` : "") + file;
  const filler = `${log}.filler`;
  return {
    ...{ proxy, log, file },
    fill() {
      if (isMounted) fillUp(filler);
      else {
        renameSync(log, `${log}.old`);
        mkdirSync(log);
      }
    },
    free() {
      rmSync(isMounted ? filler : log, { recursive: true });
      if (!isMounted) renameSync(`${log}.old`, log);
    },
  };
}

function fillUp(filler: string): void {
  try {
    writeFileSync(filler, Buffer.alloc(128 * 1024));
  } catch {
    return;
  }
  throw new Error("the disk took more than it has");
}
