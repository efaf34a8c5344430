import { closeSync, fdatasync, openSync } from "node:fs";
import { promisify } from "node:util";
import type { Database } from "../../../src/contract/store.ts";

/** Rows that are written to the log before they are moved into the file. */
const rowsEach = 2000;

const sync = promisify(fdatasync);

/**
 * Moves what the log holds into the file. SQLite would wait for the disk in the middle of a
 * request, 125 ms at worst as measured; so it is told not to, and the waiting is done beside, in
 * the order that outlives a loss of power: the log before the file, the file before the log begins
 * anew.
 */
export class Checkpoint {
  readonly #db: Database;
  /** Closing one of them while the database is open would give up its lock. */
  readonly #log: number;
  readonly #file: number;
  #rows = 0;
  #isClosed = false;

  constructor(db: Database, path: string) {
    this.#db = db;
    db.exec("PRAGMA synchronous = OFF");
    db.exec("PRAGMA wal_autocheckpoint = 0");
    this.#file = openSync(path, "r");
    this.#log = openSync(`${path}-wal`, "r");
  }

  /** Whether it is time, after so many more rows. */
  isDue(rows: number): boolean {
    this.#rows += rows;
    return this.#rows >= rowsEach;
  }

  /** Waits, beside, until what was written outlives a loss of power. */
  async settled(): Promise<void> {
    if (!this.#isClosed) await sync(this.#log);
  }

  /** Nothing may be written until it resolves. */
  async run(): Promise<void> {
    this.#rows = 0;
    await sync(this.#log);
    if (this.#isClosed) return;
    this.#db.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await sync(this.#file);
  }

  /** Moves all that is left, and waits for the disk: nobody else does any more. */
  close(): void {
    this.#isClosed = true;
    this.#db.exec("PRAGMA synchronous = FULL");
    this.#db.close();
    closeSync(this.#log);
    closeSync(this.#file);
  }
}
