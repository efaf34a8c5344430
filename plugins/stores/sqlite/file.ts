import { randomUUID } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Database, OpenDatabase, StoreLoss } from "../../../src/contract/store.ts";
import type { Logger } from "../../../src/contract/types.ts";
import { hasTables, isForeign, prepareSchema } from "./schema.ts";

export interface StateFile {
  readonly db: Database;
  readonly loss: StoreLoss | undefined;
}

/** What a state file needs of its process. */
export interface FileOptions {
  readonly path: string;
  readonly openDatabase: OpenDatabase;
  readonly log: Logger;
  now(): number;
}

/** How long another process may take to let go of the file, in milliseconds: a quick restart. */
const patienceMs = 3000;

/**
 * Opens the file for this process alone: two that count in memory would overwrite each other.
 * A file that can't be read is set aside, never overwritten.
 * @throws Error that says what is wrong and how to mend it
 */
export function openFile(options: FileOptions): StateFile {
  try {
    return openOrReplace(options);
  } catch (error) {
    if ((error as { mend?: unknown }).mend !== undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw failure(`${options.path} can't be opened: ${reason}`, "check the disk and its owner");
  }
}

function openOrReplace(options: FileOptions): StateFile {
  const { path, log } = options;
  makeDirectory(dirname(path), log);
  const isMissing = !existsSync(path);
  const expected = readMarker(path);
  if (isMissing) createFile(options);
  else if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
  let loss: StoreLoss | undefined;
  if (isMissing && expected !== undefined) {
    const message = `${path} was here before and is gone: counters and lists begin anew`;
    loss = { kind: "missing", message };
  }
  let db = openDb(options);
  if (db === undefined) {
    const aside = setAside(options);
    const message = `${path} can't be read and was set aside as ${aside}: counters begin anew`;
    loss = { kind: "corrupt", message };
    createFile(options);
    db = openDb(options);
  }
  if (db === undefined) throw failure(`${path} can't be read`, "check the disk");
  const { id } = db;
  if (loss === undefined && expected !== undefined && expected !== id) {
    const message = `${path} is not the file that was here before: its counters are others`;
    loss = { kind: "replaced", message };
  }
  if (expected !== id) writeFileSync(markerOf(path), `${id}\n`, { mode: 0o600 });
  return { db: db.db, loss };
}

/** The id of a file, beside it: what tells a lost file from one that never was. */
function markerOf(path: string): string {
  return `${path}.id`;
}

function readMarker(path: string): string | undefined {
  try {
    return readFileSync(markerOf(path), "utf8").trim();
  } catch {
    return undefined;
  }
}

function makeDirectory(directory: string, log: Logger): void {
  if (!existsSync(directory)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } else if ((statSync(directory).mode & 0o022) !== 0) {
    log.warn("others may replace the state: chmod 700 its directory", { directory });
  }
}

/** SQLite would make it readable for all that the umask lets; its helper files take its mode. */
function createFile(options: FileOptions): void {
  const { path } = options;
  // The log of a file that is gone would be played into the new one.
  if (existsSync(`${path}-wal`)) setAside(options);
  closeSync(openSync(path, "wx", 0o600));
}

function setAside({ path, now }: FileOptions): string {
  const time = new Date(now()).toISOString().replace(/\.\d+/, "").replaceAll(":", "-");
  let aside = `${path}.corrupt-${time}`;
  for (let i = 2; existsSync(aside) || existsSync(`${aside}-wal`); i++) {
    aside = `${path}.corrupt-${time}-${i}`;
  }
  for (const suffix of ["", "-wal"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

/** Undefined: the file is corrupt. */
function openDb(options: FileOptions): { db: Database; id: string } | undefined {
  const { path, openDatabase } = options;
  let db: Database | undefined;
  try {
    db = openDatabase(path);
    db.exec(`PRAGMA busy_timeout = ${patienceMs}`);
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    if (isForeign(db)) {
      throw failure(`${path} is the database of another program`, "name another file");
    }
    db.exec("PRAGMA journal_mode = WAL");
    // A commit waits for no disk: what the kernel has survives the end of the process.
    db.exec("PRAGMA synchronous = NORMAL");
    if (hasTables(db) && !isSound(db)) {
      db.close();
      return undefined;
    }
    return { db, id: prepareSchema(db, path, randomUUID()) };
  } catch (error) {
    closeQuietly(db);
    const { errno, errcode } = error as { errno?: number; errcode?: number };
    // Bun and Node name the result code differently; its low byte is the primary one.
    const code = (errno ?? errcode ?? 0) & 0xff;
    if (code === 11 || code === 26) return undefined;
    if (code === 5 || code === 6) {
      const problem = `${path} is in use by another process, which counts in it`;
      throw failure(problem, "end that one first, or give each its own state.path");
    }
    throw error;
  }
}

function isSound(db: Database): boolean {
  const [row] = db.prepare("PRAGMA quick_check(1)").all() as { quick_check?: unknown }[];
  return row?.quick_check === "ok";
}

function closeQuietly(db: Database | undefined): void {
  try {
    db?.close();
  } catch {
    // It failed to open: there is nothing to lose.
  }
}

function failure(message: string, mend: string): Error {
  return Object.assign(new Error(message), { mend });
}
