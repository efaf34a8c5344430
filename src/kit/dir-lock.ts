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
const takeoverSuffix = ".takeover";

/** How long to wait for a lock, and at what age nobody holds it any more, in milliseconds. */
export interface LockTimes {
  readonly waitMs: number;
  readonly staleMs: number;
}

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
export function withDirLock<T>(dir: string, work: () => T): Promise<T> {
  return withLock(dir, lockName, { waitMs: lockWaitMs, staleMs: lockStaleMs }, work);
}

/**
 * Does something while no other process does the same.
 * @param name of the lock's file in the directory
 * @throws the system's error, one that says who holds the lock (`ELOCKED`), or what the work throws
 */
export async function withLock<T>(
  dir: string,
  name: string,
  { waitMs, staleMs }: LockTimes,
  work: () => T | Promise<T>,
): Promise<T> {
  const path = join(dir, name);
  const self: Holder = { pid, host: hostname(), nonce: randomBytes(8).toString("hex") };
  own.add(self.nonce);
  try {
    const latest = performance.now() + waitMs;
    while (!make(path, JSON.stringify(self))) {
      if (isStale(path, staleMs)) takeOver(path, staleMs);
      else if (performance.now() > latest) throw heldBy(path);
      else await sleep(lookMs);
    }
    try {
      return await work();
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
    } catch (error) {
      // On a full disk: a lock of nobody would keep all others waiting.
      remove(path);
      throw error;
    } finally {
      closeSync(file);
    }
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return false;
    throw error;
  }
}

function isStale(path: string, staleMs: number): boolean {
  const age = ageMs(path);
  if (age === undefined) return false;
  if (age > staleMs) return true;
  const holder = read(path);
  if (holder === undefined || holder.host !== hostname()) return false;
  return holder.pid === pid ? !own.has(holder.nonce) : !isAlive(holder.pid);
}

/** Two that find the same stale lock must not remove each other's new one. */
function takeOver(path: string, staleMs: number): void {
  const guard = `${path}${takeoverSuffix}`;
  if (!make(guard, "")) {
    if ((ageMs(guard) ?? 0) > staleMs) remove(guard);
    return;
  }
  try {
    if (isStale(path, staleMs)) remove(path);
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
