import process from "node:process";
import type { Database, OpenDatabase } from "../contract/store.ts";

/** What is used of `node:sqlite`, which Node 20 does not have. */
interface NodeSqlite {
  readonly DatabaseSync: new (path: string) => Database;
}

/** The SQLite of Node and Deno; undefined where the runtime has none. */
export function nodeDatabase(): OpenDatabase | undefined {
  const sqlite = process.getBuiltinModule?.("node:sqlite") as NodeSqlite | undefined;
  return sqlite && ((path) => new sqlite.DatabaseSync(path));
}
