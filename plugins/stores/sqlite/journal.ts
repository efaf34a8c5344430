import type { Database, Statement } from "../../../src/contract/store.ts";
import type { Changes, CountRow, LocalState } from "../../../src/kit/local-state.ts";

/** What reservations that an earlier process left open have been charged. */
export interface Charged {
  readonly count: number;
  readonly amount: number;
}

interface Statements {
  readonly putQuota: Statement;
  readonly putHold: Statement;
  readonly dropHold: Statement;
  readonly putCounts: Statement;
  readonly dropCounts: Statement;
  readonly putItem: Statement;
  readonly dropItem: Statement;
}

/** Most rows that are read at a time. */
export const partRows = 4096;

/** Writes what has changed in memory, and reads it back at start. */
export class Journal {
  readonly #db: Database;
  readonly #statements: Statements;

  constructor(db: Database) {
    this.#db = db;
    const put = (table: string, columns: string): Statement => {
      const values = columns.replace(/\w+/g, "?");
      return db.prepare(`INSERT OR REPLACE INTO ${table} (${columns}) VALUES (${values})`);
    };
    this.#statements = {
      putQuota: put("quotas", "space, key, start_ms, end_ms, spent"),
      putHold: put("holds", "id, space, key, start_ms, amount"),
      dropHold: db.prepare("DELETE FROM holds WHERE id = ?"),
      putCounts: put("counts", "space, key, counts, expires_ms"),
      dropCounts: db.prepare("DELETE FROM counts WHERE space = ? AND key = ?"),
      putItem: put("items", "space, key, value, expires_ms"),
      dropItem: db.prepare("DELETE FROM items WHERE space = ? AND key = ?"),
    };
  }

  /** Reads everything; reservations that were open are spent, since nobody knows better. */
  load(stateOf: (space: string) => LocalState): Charged {
    const rows = <T>(sql: string): T[] => this.#db.prepare(sql).all() as T[];
    for (const row of rows<QuotaRow>("SELECT * FROM quotas")) {
      const span = { startMs: row.start_ms, endMs: row.end_ms };
      stateOf(row.space).quota(row.key).restore(span, row.spent);
    }
    const charged = { count: 0, amount: 0 };
    this.#within(() => {
      for (const hold of rows<HoldRow>("SELECT * FROM holds")) {
        const counter = stateOf(hold.space).quota(hold.key);
        charged.count += 1;
        charged.amount += hold.amount;
        if (counter.startMs !== hold.start_ms) continue;
        counter.restore(counter, counter.spent + hold.amount);
        const { startMs, endMs, spent } = counter;
        this.#statements.putQuota.run(hold.space, hold.key, startMs, endMs, spent);
      }
      this.#db.exec("DELETE FROM holds");
    });
    for (const row of this.#inParts<CountsRow>("counts")) {
      const counts = JSON.parse(row.counts) as CountRow;
      stateOf(row.space).rows.restore(row.key, counts, row.expires_ms ?? undefined);
    }
    for (const row of this.#inParts<ItemRow>("items")) {
      stateOf(row.space).values.restore(row.key, row.value, row.expires_ms ?? undefined);
    }
    return charged;
  }

  /** All rows of a table, read a part at a time: a million at once would take a gigabyte. */
  *#inParts<T extends { readonly space: string; readonly key: string }>(
    table: "counts" | "items",
  ): Iterable<T> {
    const behind = this.#db.prepare(
      `SELECT * FROM ${table} WHERE (space, key) > (?, ?) ORDER BY space, key LIMIT ${partRows}`,
    );
    let [space, key] = ["", ""];
    for (;;) {
      const part = behind.all(space, key) as T[];
      yield* part;
      const last = part.at(-1);
      if (last === undefined || part.length < partRows) return;
      ({ space, key } = last);
    }
  }

  /**
   * Writes all changes in one transaction, and forgets them once they are written.
   * @returns how many rows that were
   * @throws Error of the database; then nothing is written, and all is still to do
   */
  write(changed: ReadonlyMap<string, Changes>): number {
    let count = 0;
    for (const { quotas, holds, rows, values } of changed.values()) {
      count += quotas.size + holds.size + rows.size + values.size;
    }
    if (count === 0) return 0;
    this.#within(() => {
      for (const [space, changes] of changed) this.#writeSpace(space, changes);
    });
    for (const { quotas, holds, rows, values } of changed.values()) {
      for (const hold of holds) hold.isSaved = hold.isOpen;
      for (const set of [quotas, holds, rows, values]) set.clear();
    }
    return count;
  }

  #writeSpace(space: string, { quotas, holds, rows, values }: Changes): void {
    const { putQuota, putHold, dropHold, putCounts, dropCounts, putItem, dropItem } =
      this.#statements;
    for (const { key, startMs, endMs, spent } of quotas) {
      putQuota.run(space, key, startMs, endMs, spent);
    }
    for (const { id, counter, startMs, amount, isOpen, isSaved } of holds) {
      if (isOpen) putHold.run(id, space, counter.key, startMs, amount);
      else if (isSaved) dropHold.run(id);
    }
    for (const { key, content, expiresAtMs } of rows) {
      if (content === undefined) dropCounts.run(space, key);
      else putCounts.run(space, key, JSON.stringify(content), expiresAtMs ?? null);
    }
    for (const { key, content, expiresAtMs } of values) {
      if (content === undefined) dropItem.run(space, key);
      else putItem.run(space, key, content, expiresAtMs ?? null);
    }
  }

  #within(work: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#db.exec("COMMIT");
    } catch (error) {
      try {
        this.#db.exec("ROLLBACK");
      } catch {
        // A full disk has rolled it back already.
      }
      throw error;
    }
  }
}

interface QuotaRow {
  readonly space: string;
  readonly key: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly spent: number;
}

interface HoldRow {
  readonly space: string;
  readonly key: string;
  readonly start_ms: number;
  readonly amount: number;
}

interface CountsRow {
  readonly space: string;
  readonly key: string;
  readonly counts: string;
  readonly expires_ms: number | null;
}

interface ItemRow {
  readonly space: string;
  readonly key: string;
  readonly value: string;
  readonly expires_ms: number | null;
}
