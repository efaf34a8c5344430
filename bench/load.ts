/** Runs llmload once and reads its report. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { bodyFile } from "./bodies.ts";
import type { LoadScenario } from "./scenarios.ts";
import type { Target } from "./targets.ts";

/** Microseconds. */
interface Durations {
  readonly n: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface LoadReport {
  readonly done: number;
  readonly rps: number;
  readonly errors: number;
  readonly not200: number;
  readonly short: number;
  readonly lastStatus: number;
  /** Streams that have had a first chunk. */
  readonly opened: number;
  readonly chunks: number;
  readonly unsent: number;
  readonly latency: Durations;
  readonly firstChunk: Durations;
  readonly oneWay: Durations;
  readonly gap: Durations;
  readonly errorBody: string;
}

const program = join(import.meta.dirname, ".build", "llmload");

export function runLoad(
  target: Target,
  scenario: LoadScenario,
  seconds: number,
): Promise<LoadReport> {
  const { mode, connections, perSecond, shortest, newConnections, body } = scenario;
  const args = [
    ...[mode, "-u", target.url, "-d", String(seconds), "-c", String(connections)],
    ...["-b", bodyFile(body)],
    ...(perSecond === undefined ? [] : ["-r", String(perSecond)]),
    ...(shortest === undefined ? [] : ["-m", String(shortest)]),
    ...(newConnections ? ["-k"] : []),
    ...Object.entries(target.headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
  ];
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    const stop = () => child.kill("SIGKILL");
    process.once("exit", stop); // it must not outlive an interrupted bench
    let output = "";
    child.stdout.on("data", (bytes) => {
      output += bytes;
    });
    child.on("error", fail);
    child.on("close", (code) => {
      process.off("exit", stop);
      if (code === 0) done(JSON.parse(output));
      else fail(new Error(`llmload ended with ${code}`));
    });
  });
}

/** Replies that were wrong: any of them makes the other figures worthless. */
export const badReplies = (r: LoadReport): number => r.errors + r.not200 + r.short;
