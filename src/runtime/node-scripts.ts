import { Worker } from "node:worker_threads";
import type { Bundled, BundleFailure, BundleOptions, Thread } from "./runtime.ts";
import {
  createThread,
  scriptFilters as filters,
  loadFile,
  loadHostModule,
} from "./script-parts.ts";
import { policyRole } from "./thread.ts";

/** By a name that no bundler sees: it is found beside the program, or it is not there. */
const bundler: string = "esbuild";

/** Bundles by esbuild, which has to be installed beside the program. */
export async function bundle(options: BundleOptions): Promise<Bundled> {
  const { entry, root, modules, read } = options;
  let esbuild: typeof import("esbuild");
  try {
    esbuild = (await import(bundler)) as typeof import("esbuild");
  } catch {
    const message = "policies from disk need esbuild on this runtime (mend: npm install esbuild)";
    return { ok: false, failures: [{ message, at: undefined }] };
  }
  try {
    const built = await esbuild.build({
      entryPoints: [entry],
      absWorkingDir: root,
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node20",
      sourcemap: "inline",
      logLevel: "silent",
      plugins: [
        {
          name: "files",
          setup(build) {
            build.onResolve({ filter: filters.host }, ({ path }) => ({ path, namespace: "host" }));
            build.onLoad({ filter: /.*/, namespace: "host" }, ({ path }) =>
              loadHostModule(modules, path),
            );
            build.onLoad({ filter: filters.files }, ({ path }) => loadFile(read, path));
          },
        },
      ],
    });
    return { ok: true, code: built.outputFiles[0]?.text ?? "" };
  } catch (error) {
    return { ok: false, failures: failuresOf(error) };
  }
}

function failuresOf(error: unknown): readonly BundleFailure[] {
  const { errors, message } = error as Partial<import("esbuild").BuildFailure>;
  if (errors === undefined || errors.length === 0) {
    return [{ message: message ?? String(error), at: undefined }];
  }
  return errors.map(({ text, location }) => ({
    message: text,
    at: location === null ? undefined : { ...location, column: location.column + 1 },
  }));
}

/** The one module itself, or the thread's own where the program runs from its source. */
const threadModule = import.meta.url.endsWith("/node-scripts.ts")
  ? new URL("../scripts/worker.ts", import.meta.url)
  : new URL(import.meta.url);

export function openWorker(memoryMib: number): Thread {
  const worker = new Worker(threadModule, {
    workerData: policyRole,
    env: {},
    execArgv: ["--enable-source-maps"],
    resourceLimits: { maxOldGenerationSizeMb: memoryMib },
  });
  const { thread, hear, end } = createThread({
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
  });
  worker.on("message", hear);
  worker.on("error", (error) => end(error instanceof Error ? error.message : String(error)));
  worker.on("exit", () => end("it ended by itself"));
  return thread;
}
