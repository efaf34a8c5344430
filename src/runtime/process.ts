import { readdirSync } from "node:fs";
import process from "node:process";
import type { Runtime } from "./runtime.ts";

/** The process as the rest of the house sees it. */
export const argv: readonly string[] = process.argv.slice(2);
export const env: Readonly<Record<string, string | undefined>> = process.env;

/** Files that run as this process: the executable, and what it runs if it is a runtime. */
export const programFiles: readonly string[] = [process.execPath, process.argv[1] ?? ""];

/** What a terminal can show. */
export interface Terminal {
  write(text: string): void;
  readonly isTerminal: boolean;
  readonly columns: number;
}

export const out: Terminal = terminal(process.stdout);
export const err: Terminal = terminal(process.stderr);

function terminal(stream: NodeJS.WriteStream): Terminal {
  // Whoever read the log has gone. As a stray failure it would be logged, which fails again.
  stream.on("error", () => {});
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY === true,
    columns: stream.columns ?? 80,
  };
}

export type Signal = "SIGTERM" | "SIGINT" | "SIGHUP";

export function onSignal(signal: Signal, handler: () => void): void {
  process.on(signal, handler);
}

/** One rejection that nobody awaits, anywhere, would otherwise end the process. */
export function onStray(handler: (error: unknown) => void): void {
  process.on("unhandledRejection", handler);
  process.on("uncaughtException", handler);
}

export function exit(code: number): never {
  process.exit(code);
}

/** The runtime that this is; only its own file is loaded. */
export async function currentRuntime(): Promise<Runtime> {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return (await import("./bun.ts")).bunRuntime;
  const { createNodeRuntime } = await import("./node.ts");
  return deno === undefined ? createNodeRuntime("node", node) : createNodeRuntime("deno", deno);
}

/** What the process uses of the machine. */
export function processUsage(): {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly openFiles: number;
} {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const cpuSeconds = (user + system) / 1e6;
  return { cpuSeconds, rssBytes: rss, heapBytes: heapUsed, openFiles: countFiles() };
}

/** Only Linux lists them; elsewhere 0. */
function countFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
