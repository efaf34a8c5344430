import { createHash } from "node:crypto";
import { existsSync, type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Logger } from "./contract/types.ts";

/** Changes come in bursts (write, rename, chmod): one reload, so many ms after the first. */
const settleMs = 200;

export interface Watch {
  /** What is there now is about to be read: only what differs from it is a change. */
  note(): void;
  close(): void;
}

/** Calls back when the content of the configuration or the credentials has changed. */
export function watchFiles(
  config: string | undefined,
  authDir: string,
  log: Logger,
  changed: () => void,
): Watch {
  const watchers = new Map<string, FSWatcher>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let seen = digest(config, authDir);
  const settle = (): void => {
    timer = undefined;
    attach();
    attachFile();
    const now = digest(config, authDir);
    if (now === seen) return;
    seen = now;
    changed();
  };
  const stir = (): void => {
    // Not put off by what follows: in a busy folder that would be for ever.
    timer ??= setTimeout(settle, settleMs);
  };
  // Folders, not files: editors and Kubernetes replace a file by renaming another over it.
  const folders = new Set([resolve(authDir)]);
  if (config !== undefined) folders.add(dirname(resolve(config)));
  const attach = (): void => {
    for (const folder of folders) {
      const { present, next } = nearest(folder);
      const key = `${present}\0${next ?? ""}`;
      if (watchers.has(key)) continue;
      try {
        const watcher = watch(present, { persistent: false }, (_event, name) => {
          if (next === undefined || name === next) stir();
        });
        const forget = (): void => {
          watcher.close();
          watchers.delete(key);
        };
        watcher.on("error", forget);
        watchers.set(key, watcher);
      } catch {
        log.warn("folder can't be watched: send SIGHUP after a change", { folder });
      }
    }
  };
  // Also the file: where it alone is mounted into a container, its folder tells nothing of it.
  const attachFile = (): void => {
    if (config === undefined) return;
    const prefix = `file\0${resolve(config)}\0`;
    const key = `${prefix}${statSync(config, { throwIfNoEntry: false })?.ino}`;
    if (watchers.has(key)) return;
    for (const [old, watcher] of watchers) {
      if (!old.startsWith(prefix)) continue;
      watcher.close();
      watchers.delete(old);
    }
    try {
      const watcher = watch(config, { persistent: false }, stir);
      watcher.on("error", () => watcher.close());
      watchers.set(key, watcher);
    } catch {
      // It is gone for the moment: the folder tells when it is back.
    }
  };
  attach();
  attachFile();
  return {
    note() {
      seen = digest(config, authDir);
    },
    close() {
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
    },
  };
}

/** The folder, or the one above in which its `next` part will be made. */
function nearest(folder: string): { readonly present: string; readonly next?: string } {
  let present = folder;
  let next: string | undefined;
  while (!existsSync(present) && dirname(present) !== present) {
    next = basename(present);
    present = dirname(present);
  }
  return next === undefined ? { present } : { present, next };
}

/** One digest over all that a generation is built from. */
function digest(config: string | undefined, authDir: string): string {
  const hash = createHash("sha256");
  if (config !== undefined) hash.update(contentOf(config));
  for (const file of filesIn(authDir)) {
    hash.update(`\0${file}\0`).update(contentOf(join(authDir, file)));
  }
  return hash.digest("hex");
}

function filesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((file) => !file.startsWith("."))
      .sort();
  } catch {
    return [];
  }
}

function contentOf(path: string): Uint8Array | string {
  try {
    return statSync(path).isFile() ? readFileSync(path) : "";
  } catch {
    return "";
  }
}
