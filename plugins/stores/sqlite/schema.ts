import type { Database } from "../../../src/contract/store.ts";

/** Marks a database as ours: "clpx". */
const applicationId = 0x636c7078;
/** Raised by a change that an older version could not read. */
const version = 1;

const tables = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quotas (
  space TEXT, key TEXT, start_ms INTEGER, end_ms INTEGER, spent INTEGER,
  PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
  id TEXT PRIMARY KEY, space TEXT, key TEXT, start_ms INTEGER, amount INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
  space TEXT, key TEXT, counts TEXT, expires_ms INTEGER, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
  space TEXT, key TEXT, value TEXT, expires_ms INTEGER, PRIMARY KEY (space, key)) WITHOUT ROWID;
PRAGMA application_id = ${applicationId};
PRAGMA user_version = ${version};
`;

export function hasTables(db: Database): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").all().length > 0;
}

/** Whether somebody else keeps his tables in it. */
export function isForeign(db: Database): boolean {
  return hasTables(db) && pragma(db, "application_id") !== applicationId;
}

/**
 * Makes the tables where there are none.
 * @returns the id of the file, which is `freshId` for a new one
 * @throws Error when a newer version wrote it
 */
export function prepareSchema(db: Database, path: string, freshId: string): string {
  const found = pragma(db, "user_version");
  if (found > version) {
    const message = `${path} was written by a newer version`;
    throw Object.assign(new Error(message), { mend: "use that version, or name another file" });
  }
  db.exec(`BEGIN IMMEDIATE;${tables}`);
  db.prepare("INSERT OR IGNORE INTO meta (name, value) VALUES ('id', ?)").run(freshId);
  db.exec("COMMIT");
  const [row] = db.prepare("SELECT value FROM meta WHERE name = 'id'").all() as { value: string }[];
  return row?.value ?? freshId;
}

function pragma(db: Database, name: string): number {
  const [row] = db.prepare(`PRAGMA ${name}`).all() as Record<string, number>[];
  return row?.[name] ?? 0;
}
