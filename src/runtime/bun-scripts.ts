import type { Bundled, BundleFailure, BundleOptions, Thread } from "./runtime.ts";
import {
  createThread,
  scriptFilters as filters,
  loadFile,
  loadHostModule,
} from "./script-parts.ts";

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
          build.onResolve({ filter: filters.host }, ({ path }) => ({ path, namespace: "host" }));
          build.onLoad({ filter: /.*/, namespace: "host" }, ({ path }) =>
            loadHostModule(modules, path),
          );
          build.onLoad({ filter: filters.files }, ({ path }) => {
            try {
              return loadFile(read, path);
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
  const { thread, hear, end } = createThread({
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
  });
  worker.onmessage = ({ data }: MessageEvent<unknown>) => hear(data);
  worker.onerror = (event) => {
    event.preventDefault();
    end(event.message);
  };
  worker.addEventListener("close", () => end("it ended by itself"));
  return thread;
}
