/** From the spawn of a process to its first 200 on a real chat request, in ms. */
import { stopChild } from "./children.ts";
import { type RunningTarget, startTarget } from "./running.ts";

const times = 9;

export interface StartRow {
  readonly target: string;
  readonly ms: readonly number[];
}

/** Interleaved like everything else. The targets have ended by then: their ports are free. */
export async function measureStarts(
  targets: readonly RunningTarget[],
  core: number,
): Promise<StartRow[]> {
  const rows = targets
    .filter((target) => target.command !== undefined)
    .map((target) => ({ target, ms: [] as number[] }));
  for (let round = 0; round < times; round++) {
    for (const { target, ms } of rows) {
      const started = await startTarget(target, core);
      ms.push(started.ms);
      await stopChild(started.child);
    }
  }
  return rows.map(({ target, ms }) => ({ target: target.name, ms }));
}
