import { type ChildProcess, spawn } from "node:child_process";
import { onCleanup } from "../harness/cleanup.ts";
import { cleanEnv, type RunningProxy } from "../harness/proxy.ts";
import { within } from "../harness/wait.ts";

/** A command of the guide, and what it has to print or do. */
export interface CommandProof {
  readonly block: string;
  /** As the guide has it, in one line. */
  readonly command: string;
  /** The block whose configuration it needs; absent: the least that serves. */
  readonly config?: string;
  prove(command: string, proxy: RunningProxy): Promise<void>;
}

export interface Running {
  readonly child: ChildProcess;
  out(): string;
  readonly exited: Promise<number>;
}

/** Runs it in a shell of its own process group, in the directory where a user would. */
export function start(
  command: string,
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Running {
  const child = spawn("bash", ["-c", command], {
    cwd,
    detached: true,
    // A proxy in the environment would be asked for localhost.
    env: cleanEnv(env),
    stdio: ["ignore", "pipe", "ignore"],
  });
  let out = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  const exited = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
  onCleanup(() => end(child));
  return { child, out: () => out, exited };
}

export function end(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, "SIGTERM");
}

export async function run(
  command: string,
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly out: string }> {
  const { exited, out } = start(command, cwd, env);
  return { code: await within(command, exited, 10_000), out: out() };
}
