/** What the mock upstream says of itself. */
import { pause } from "./numbers.ts";

/** Waits until no stream is open; how long that took in ms, Infinity when one outlives it. */
export async function untilNoStreams(mockPort: number, patienceMs: number): Promise<number> {
  const began = performance.now();
  while (performance.now() - began < patienceMs) {
    const reply = await fetch(`http://127.0.0.1:${mockPort}/stats`);
    const { streams } = (await reply.json()) as { streams: number };
    if (streams === 0) return performance.now() - began;
    await pause(5);
  }
  return Number.POSITIVE_INFINITY;
}
