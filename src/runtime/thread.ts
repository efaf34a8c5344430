/** The thread's end of its line to the house. */
export interface Port {
  post(message: unknown): void;
  listen(take: (message: unknown) => void): void;
  /** What the thread's own heap holds; 0 where the runtime can't tell. */
  heapBytes(): number;
}

/** The program is one module: a thread learns from its data what it is for. */
export const policyRole = "cliproxy policy";

/** Whether this is a thread for a policy, and not the process itself. */
export async function isPolicyThread(): Promise<boolean> {
  // The executable has another module for it.
  if (typeof Bun !== "undefined") return false;
  return (await import("node:worker_threads")).workerData === policyRole;
}

/** Finds the line to the house, and takes it from what the policy may find. */
export async function threadPort(): Promise<Port> {
  if (typeof Bun !== "undefined") return bunPort();
  const { parentPort } = await import("node:worker_threads");
  if (parentPort === null) throw new Error("this is no thread");
  const { getHeapStatistics } = await import("node:v8");
  return {
    post: (message) => parentPort.postMessage(message),
    listen: (take) => void parentPort.on("message", take),
    heapBytes: () => getHeapStatistics().used_heap_size,
  };
}

function bunPort(): Port {
  const self = globalThis as unknown as {
    postMessage(message: unknown): void;
    onmessage: (event: { data: unknown }) => void;
  };
  const post = self.postMessage.bind(self);
  const { heapStats } = process.getBuiltinModule("bun:jsc" as "node:os") as unknown as {
    heapStats(): { heapSize: number };
  };
  return {
    post,
    listen(take) {
      self.onmessage = ({ data }) => take(data);
    },
    heapBytes: () => heapStats().heapSize,
  };
}
