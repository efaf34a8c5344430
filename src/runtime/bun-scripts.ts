import type { Bundled, BundleFailure, BundleOptions, Thread } from "./runtime.ts";

/** Bundles by Bun's own bundler, which is part of the executable, too. */
export async function bundle(options: BundleOptions): Promise<Bundled> {
  const { entry, root, modules, read } = options;
  let unreadable: BundleFailure | undefined;
  const built = await Bun.build({
    entrypoints: [entry],
    root,
    target: "bun",
    format: "esm",
    sourcemap: "inline",
    throw: false,
    plugins: [
      {
        name: "files",
        setup(build) {
          build.onResolve({ filter: /^cliproxy\// }, ({ path }) => ({ path, namespace: "host" }));
          build.onLoad({ filter: /.*/, namespace: "host" }, ({ path }) => {
            const contents = modules[path];
            if (contents === undefined) throw new Error(`there is no module ${path}`);
            return { contents, loader: "js" };
          });
          build.onLoad({ filter: /\.(?:[cm]?[jt]s|json)$/ }, ({ path }) => {
            try {
              return { contents: read(path), loader: loaderOf(path) };
            } catch (error) {
              const message = error instanceof Error ? error.message : String(error);
              unreadable ??= { message, at: undefined };
              throw error;
            }
          });
        },
      },
    ],
  });
  if (unreadable !== undefined) return { ok: false, failures: [unreadable] };
  const [output] = built.outputs;
  if (!built.success || output === undefined) {
    return { ok: false, failures: built.logs.map(toFailure) };
  }
  return { ok: true, code: await output.text() };
}

function loaderOf(path: string): "json" | "ts" | "js" {
  if (path.endsWith(".json")) return "json";
  return path.endsWith("ts") ? "ts" : "js";
}

function toFailure(log: BuildMessage | ResolveMessage): BundleFailure {
  const { message, position } = log;
  if (position === null) return { message, at: undefined };
  const { file, line, column } = position;
  return { message, at: { file, line, column } };
}

/** Where the thread's module is: beside the main one in the executable, else in the source. */
const threadModule = Bun.isStandaloneExecutable ? "./scripts/worker.ts" : "../scripts/worker.ts";

export function openWorker(): Thread {
  const worker = new Worker(new URL(threadModule, import.meta.url).href, {
    env: {},
    smol: true,
  } as WorkerOptions);
  let ended = false;
  const thread: Thread = {
    post: (message) => worker.postMessage(message),
    onMessage: () => {},
    onEnd: () => {},
    kill() {
      ended = true;
      worker.terminate();
    },
  };
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    worker.terminate();
    thread.onEnd(reason);
  };
  worker.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (!ended) thread.onMessage(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    end(event.message);
  };
  worker.addEventListener("close", () => end("it ended by itself"));
  return thread;
}
