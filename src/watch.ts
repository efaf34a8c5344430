import { createHash } from "node:crypto";
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Logger } from "./contract/types.ts";

/** Changes come in bursts (write, rename, chmod): one reload, this many milliseconds after the last. */
const settleMs = 200;

/** Calls back when the content of the configuration or the credentials has changed. */
export function watchFiles(
  config: string | undefined,
  authDir: string,
  log: Logger,
  changed: () => void,
): { close(): void } {
  const watchers: FSWatcher[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let seen = digest(config, authDir);
  const settle = (): void => {
    const now = digest(config, authDir);
    if (now === seen) return;
    seen = now;
    changed();
  };
  const stir = (): void => {
    clearTimeout(timer);
    timer = setTimeout(settle, settleMs);
  };
  // Folders, not files: editors and Kubernetes replace a file by renaming another over it.
  const folders = new Set([resolve(authDir)]);
  if (config !== undefined) folders.add(dirname(resolve(config)));
  for (const folder of folders) {
    try {
      const watcher = watch(folder, { persistent: false }, stir);
      watcher.on("error", () => watcher.close());
      watchers.push(watcher);
    } catch {
      log.warn("folder can't be watched: send SIGHUP after a change", { folder });
    }
  }
  return {
    close() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
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
