import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { kill, pid } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

/** How long to wait for whoever holds a lock, in milliseconds. */
export const lockWaitMs = 15_000;
/** Nobody needs a lock for so long: its holder hangs, or is in a container that is gone. */
export const lockStaleMs = 10_000;
/** Between two looks, in milliseconds. */
const lookMs = 20;

const lockName = ".lock";
const takeoverName = ".lock.takeover";

/** Who holds a lock. */
interface Holder {
  readonly pid: number;
  /** Process ids of another container say nothing here. */
  readonly host: string;
  readonly nonce: string;
}

/** Locks of this process: after a restart in a container, its pid is the same as before. */
const own = new Set<string>();

/**
 * Does something while no other process changes the directory; two proxies share it during an
 * upgrade, and commands run beside them. The lock of a process that has died is taken over.
 * @param work keep it short: no network
 * @throws the system's error, one that says who holds the lock, or what the work throws
 */
export async function withDirLock<T>(dir: string, work: () => T): Promise<T> {
  const path = join(dir, lockName);
  const self: Holder = { pid, host: hostname(), nonce: randomBytes(8).toString("hex") };
  own.add(self.nonce);
  try {
    const latest = performance.now() + lockWaitMs;
    while (!make(path, JSON.stringify(self))) {
      if (isStale(path)) takeOver(dir);
      else if (performance.now() > latest) throw heldBy(path);
      else await sleep(lookMs);
    }
    try {
      return work();
    } finally {
      // Taken over in the meantime: then it is another's.
      if (read(path)?.nonce === self.nonce) remove(path);
    }
  } finally {
    own.delete(self.nonce);
  }
}

function make(path: string, text: string): boolean {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  try {
    const file = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
    try {
      writeSync(file, text);
    } finally {
      closeSync(file);
    }
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return false;
    throw error;
  }
}

function isStale(path: string): boolean {
  const age = ageMs(path);
  if (age === undefined) return false;
  if (age > lockStaleMs) return true;
  const holder = read(path);
  if (holder === undefined || holder.host !== hostname()) return false;
  return holder.pid === pid ? !own.has(holder.nonce) : !isAlive(holder.pid);
}

/** Two that find the same stale lock must not remove each other's new one. */
function takeOver(dir: string): void {
  const guard = join(dir, takeoverName);
  if (!make(guard, "")) {
    if ((ageMs(guard) ?? 0) > lockStaleMs) remove(guard);
    return;
  }
  try {
    const path = join(dir, lockName);
    if (isStale(path)) remove(path);
  } finally {
    remove(guard);
  }
}

function ageMs(path: string): number | undefined {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return undefined;
  }
}

/** Undefined also for a lock that is being written. */
function read(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, "utf8")) as Partial<Holder>;
    const { pid: id, host, nonce } = holder;
    const isHolder =
      typeof id === "number" && typeof host === "string" && typeof nonce === "string";
    return isHolder ? { pid: id, host, nonce } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(id: number): boolean {
  try {
    kill(id, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

function heldBy(path: string): Error {
  const holder = read(path);
  const who = holder === undefined ? "another process" : `process ${holder.pid} on ${holder.host}`;
  return Object.assign(new Error(`${path} is held by ${who}`), { code: "ELOCKED" });
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Another was faster.
  }
}
