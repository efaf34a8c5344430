/** Clients that vanish in the middle of their streams, again and again. */
import { readFileSync } from "node:fs";
import { bodyFile } from "./bodies.ts";
import { runLoad } from "./load.ts";
import { pause } from "./numbers.ts";
import { rssOf } from "./proc.ts";
import { answers, type RunningTarget } from "./running.ts";
import type { LoadScenario } from "./scenarios.ts";
import { untilNoStreams } from "./upstream.ts";

const clients: LoadScenario = {
  mode: "hold",
  about: "500 clients",
  body: "held",
  connections: 500,
};
const times = 5;
const heldSeconds = 2;
const patienceMs = 3000;

export interface VanishRow {
  readonly target: string;
  readonly survived: boolean;
  /** Until the upstream has no stream left, each time; Infinity: some were kept for 3 s. */
  readonly cancelledMs: readonly number[];
  /** MB after each time. */
  readonly rss: readonly number[];
}

export async function measureVanishing(
  target: RunningTarget,
  mockPort: number,
): Promise<VanishRow> {
  const cancelledMs: number[] = [];
  const rss: number[] = [];
  for (let i = 0; i < times; i++) {
    await runLoad(target, clients, heldSeconds); // they vanish when llmload ends
    cancelledMs.push(await untilNoStreams(mockPort, patienceMs));
    await pause(500);
    rss.push(target.child === undefined ? Number.NaN : rssOf(target.child.pid));
  }
  const survived = await answers(target, readFileSync(bodyFile("1k"), "utf8"));
  return { target: target.name, survived, cancelledMs, rss };
}
