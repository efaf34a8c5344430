/** Processes that the bench started: it ends these, and no others. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { pause } from "./numbers.ts";
import { treeOf } from "./proc.ts";

export interface Command {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Takes stdout and stderr. */
  readonly logFile: string;
}

export interface Child {
  readonly pid: number;
  readonly process: ChildProcess;
  readonly logFile: string;
}

const running = new Set<Child>();

/** Starts a command, on one core when given; only PATH and what it names reach it. */
export function startChild(command: Command, core?: number): Child {
  const pinned = core === undefined ? [] : ["taskset", "-c", String(core)];
  const [program = "", ...args] = [...pinned, ...command.argv];
  const log = openSync(command.logFile, "w");
  const process_ = spawn(program, args, {
    stdio: ["ignore", log, log],
    cwd: command.cwd,
    env: { PATH: process.env.PATH ?? "", HOME: command.cwd, ...command.env },
  });
  closeSync(log);
  process_.on("error", () => {});
  if (process_.pid === undefined) throw new Error(`${program} can't be started`);
  const child: Child = { pid: process_.pid, process: process_, logFile: command.logFile };
  running.add(child);
  process_.on("exit", () => running.delete(child));
  return child;
}

export const hasEnded = (child: Child): boolean =>
  child.process.exitCode !== null || child.process.signalCode !== null;

/** Ends a child; after 5 s with force. */
export async function stopChild(child: Child): Promise<void> {
  if (hasEnded(child)) return;
  const tree = treeOf(child.pid);
  child.process.kill("SIGTERM");
  for (let waited = 0; waited < 5000 && !hasEnded(child); waited += 20) await pause(20);
  if (!hasEnded(child)) killAll(tree);
}

/** Ends everything at once: the bench itself is ending. */
export function killChildren(): void {
  for (const child of running) killAll(treeOf(child.pid));
}

function killAll(pids: readonly number[]): void {
  for (const pid of [...pids].reverse()) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it has ended by itself
    }
  }
}

/** The end of a child's output, to say why it did not start. */
export function lastOutput(child: Child): string {
  return readFileSync(child.logFile, "utf8").trim().split("\n").slice(-6).join("\n");
}

export function isListening(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      done(true);
    });
    socket.on("error", () => done(false));
  });
}
