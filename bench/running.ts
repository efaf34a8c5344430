/** Targets that run: started, asked once, and startable anew. */
import { readFileSync } from "node:fs";
import { bodyFile } from "./bodies.ts";
import {
  type Child,
  hasEnded,
  isListening,
  lastOutput,
  startChild,
  stopChild,
} from "./children.ts";
import { pause } from "./numbers.ts";
import { rssOf } from "./proc.ts";
import type { Target } from "./targets.ts";

export interface RunningTarget extends Target {
  readonly child: Child | undefined;
  /** MB, once it has answered a request and has been left alone for a while. */
  readonly idleRss: number;
}

const startSeconds = 15;
const settleMs = 1500;

/** Starts a target and waits for its first answer; returns how long that took, in ms. */
export async function startTarget(
  target: Target,
  core: number,
): Promise<{ readonly child: Child; readonly ms: number }> {
  if (target.command === undefined) throw new Error(`${target.name} is not to be started`);
  if (await isListening(target.port)) {
    throw new Error(`port ${target.port} is taken: see --base-port and --mock-port`);
  }
  const body = readFileSync(bodyFile("1k"), "utf8");
  const began = performance.now();
  const child = startChild(target.command, core);
  while (performance.now() - began < startSeconds * 1000 && !hasEnded(child)) {
    if (await answers(target, body)) return { child, ms: performance.now() - began };
    await pause(1);
  }
  await stopChild(child);
  throw new Error(`${target.name} gave no answer after its start:\n${lastOutput(child)}`);
}

/** Whether a real chat request gets a 200. */
export async function answers(target: Target, body: string): Promise<boolean> {
  try {
    const reply = await fetch(target.url, {
      method: "POST",
      headers: { ...target.headers, "content-type": "application/json", connection: "close" },
      body,
      signal: AbortSignal.timeout(2000),
    });
    await reply.arrayBuffer();
    return reply.status === 200;
  } catch {
    return false;
  }
}

export async function run(target: Target, core: number): Promise<RunningTarget> {
  if (target.command === undefined) return { ...target, child: undefined, idleRss: Number.NaN };
  const { child } = await startTarget(target, core);
  await pause(settleMs);
  return { ...target, child, idleRss: rssOf(child.pid) };
}

/** The same target as a new process: memory is counted from a clean start. */
export async function restart(target: RunningTarget, core: number): Promise<RunningTarget> {
  if (target.child === undefined) return target;
  await stopChild(target.child);
  return run(target, core);
}
