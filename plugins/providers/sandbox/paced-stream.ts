import { setTimeout as sleep } from "node:timers/promises";

/**
 * A body that gives one piece at a time, only when it is wanted, with a pause before each but the
 * first. An abort or a cancel ends it at once and leaves no timer behind.
 */
export function pacedStream(
  pieces: Iterator<string>,
  paceMs: number,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const stop = new AbortController();
  let isFirst = true;
  let onAbort = (): void => {};
  return new ReadableStream<Uint8Array>({
    start(controller) {
      onAbort = () => {
        stop.abort();
        controller.error(signal.reason);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    },
    async pull(controller) {
      const isGone = isFirst ? false : await wasStopped(paceMs, stop.signal);
      isFirst = false;
      if (isGone) return;
      const next = pieces.next();
      if (next.done !== true) {
        controller.enqueue(encoder.encode(next.value));
        return;
      }
      signal.removeEventListener("abort", onAbort);
      controller.close();
    },
    cancel() {
      signal.removeEventListener("abort", onAbort);
      stop.abort();
    },
  });
}

/** Waits; true when it was stopped meanwhile. */
async function wasStopped(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    return true;
  }
  return signal.aborted;
}
