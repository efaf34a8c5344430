import { createHash } from "node:crypto";

/**
 * The digest by which a record names a value without holding it: SHA-256 in hex of its JSON with
 * sorted keys, or `none` for what is not there.
 */
export function digestOf(value: unknown): string {
  if (value === undefined || value === null) return "none";
  return createHash("sha256").update(JSON.stringify(value, sorted)).digest("hex");
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
