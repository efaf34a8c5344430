import { createHash } from "node:crypto";
import { existsSync, type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Logger } from "./contract/types.ts";

/** Changes come in bursts (write, rename, chmod): one reload, so many ms after the first. */
const settleMs = 200;
/** How often the certificates are looked at, in milliseconds. */
const lookMs = 2000;

export interface Watch {
  /** What is there now is about to be read: only what differs from it is a change. */
  note(): void;
  close(): void;
}

/** What a change is about: credentials can be read again without all the rest. */
export type Changed = "configuration" | "credentials";

/** What is looked at beside the configuration; what lies deeper in directories is not. */
export interface WatchedPlaces {
  /** Directory of credentials. */
  readonly credentials: string;
  /** Directories of policies. */
  readonly others: readonly string[];
  /** Certificates and their keys. */
  readonly files: readonly string[];
}

/** Calls back when the content of the configuration, or of a directory, has changed. */
export function watchFiles(
  config: string | undefined,
  places: WatchedPlaces,
  log: Logger,
  changed: (what: Changed) => void,
): Watch {
  const watchers = new Map<string, FSWatcher>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let seen = digest(config, places);
  const settle = (): void => {
    timer = undefined;
    attach();
    attachFile();
    const before = seen;
    seen = digest(config, places);
    if (seen.rest !== before.rest) changed("configuration");
    else if (seen.credentials !== before.credentials) changed("credentials");
  };
  const stir = (): void => {
    // Not put off by what follows: in a busy folder that would be for ever.
    timer ??= setTimeout(settle, settleMs);
  };
  // Folders, not files: editors and Kubernetes replace a file by renaming another over it.
  const folders = new Set([places.credentials, ...places.others].map((dir) => resolve(dir)));
  if (config !== undefined) folders.add(dirname(resolve(config)));
  for (const file of places.files) folders.add(dirname(resolve(file)));
  // Where a link leads elsewhere, or the disk tells nothing, only looking helps.
  let stamps = stampsOf(places.files);
  const look = (): void => {
    const now = stampsOf(places.files);
    if (now === stamps) return;
    stamps = now;
    stir();
  };
  const looking = places.files.length === 0 ? undefined : setInterval(look, lookMs).unref();
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
      seen = digest(config, places);
    },
    close() {
      clearTimeout(timer);
      clearInterval(looking);
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

/** Digests over all that a generation is built from. */
function digest(
  config: string | undefined,
  places: WatchedPlaces,
): { readonly credentials: string; readonly rest: string } {
  const credentials = createHash("sha256");
  const rest = createHash("sha256");
  if (config !== undefined) rest.update(contentOf(config));
  for (const dir of places.others) {
    for (const file of filesIn(dir)) rest.update(`\0${file}\0`).update(contentOf(join(dir, file)));
  }
  for (const file of places.files) rest.update("\0").update(contentOf(file));
  for (const file of filesIn(places.credentials)) {
    const hash = file.endsWith(".json") ? credentials : rest;
    hash.update(`\0${file}\0`).update(contentOf(join(places.credentials, file)));
  }
  return { credentials: credentials.digest("hex"), rest: rest.digest("hex") };
}

/** When and what the files were written, links followed. */
function stampsOf(files: readonly string[]): string {
  const stamps = files.map((file) => {
    try {
      const { ino, mtimeMs, size } = statSync(file);
      return `${ino} ${mtimeMs} ${size}`;
    } catch {
      return "";
    }
  });
  return stamps.join();
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
