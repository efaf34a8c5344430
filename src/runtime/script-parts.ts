import type { BundleOptions, Thread } from "./runtime.ts";

/** What bundlers load of a policy, by the patterns of their plugins. */
export const scriptFilters = {
  host: /^cliproxy\//,
  files: /\.(?:[cm]?[jt]s|json)$/,
} as const;

/** A module, with the kind of loader that turns it into code. */
export interface LoadedModule {
  readonly contents: string;
  readonly loader: "js" | "ts" | "json";
}

/**
 * A module that is no file.
 * @throws Error when there is none of that name
 */
export function loadHostModule(modules: BundleOptions["modules"], path: string): LoadedModule {
  const contents = modules[path];
  if (contents === undefined) throw new Error(`there is no module ${path}`);
  return { contents, loader: "js" };
}

/** A file, in the way that its owner reads it. */
export function loadFile(read: BundleOptions["read"], path: string): LoadedModule {
  const loader = path.endsWith(".json") ? "json" : path.endsWith("ts") ? "ts" : "js";
  return { contents: read(path), loader };
}

/** What a runtime's own worker can do. */
interface RawWorker {
  post(message: unknown): void;
  terminate(): void;
}

/** A thread, and what its worker has to tell it: after `kill` or the first end, nothing more. */
export function createThread(worker: RawWorker): {
  readonly thread: Thread;
  hear(message: unknown): void;
  end(reason: string): void;
} {
  let ended = false;
  const thread: Thread = {
    post: worker.post,
    onMessage: () => {},
    onEnd: () => {},
    kill() {
      ended = true;
      worker.terminate();
    },
  };
  return {
    thread,
    hear(message) {
      if (!ended) thread.onMessage(message);
    },
    end(reason) {
      if (ended) return;
      thread.kill();
      thread.onEnd(reason);
    },
  };
}
