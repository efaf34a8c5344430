import { randomInt } from "node:crypto";
import type { Ip } from "./ip.ts";
import { type IpRange, toRange } from "./ip-range.ts";
import { IpTable } from "./ip-table.ts";

/** A set of ranges that come, go and expire one by one. */
export interface IpIndex {
  /** Adds a range, or moves its end; the time is in milliseconds since the epoch, or Infinity. */
  add(range: IpRange, untilMs: number): void;
  delete(range: IpRange): boolean;
  has(ip: Ip, nowMs: number): boolean;
  /** Whether a range was added just so, in force or over. */
  holds(range: IpRange): boolean;
  dropExpired(nowMs: number): void;
  readonly size: number;
}

/**
 * Ranges by the length of their prefix: a change costs one entry of a table, a look-up one per
 * length in use, which is one or two where single addresses are blocked.
 */
export function createIpIndex(): IpIndex {
  const [small, large] = [new Map<number, IpTable>(), new Map<number, IpTable>()];
  let size = 0;
  return {
    add({ first, prefix }, untilMs) {
      const tables = first.v4 ? small : large;
      const table = tables.get(prefix) ?? new IpTable(first.v4 ? 1 : 4, randomInt(2 ** 32));
      tables.set(prefix, table);
      size -= table.size;
      table.set(first, Math.max(1, untilMs));
      size += table.size;
    },
    delete({ first, prefix }) {
      const tables = first.v4 ? small : large;
      const table = tables.get(prefix);
      if (table?.delete(first) !== true) return false;
      size -= 1;
      if (table.size === 0) tables.delete(prefix);
      return true;
    },
    has(ip, nowMs) {
      const most = ip.v4 ? 32 : 128;
      for (const [prefix, table] of ip.v4 ? small : large) {
        const first = prefix === most ? ip : toRange(ip, prefix).first;
        if (nowMs < table.endOf(first)) return true;
      }
      return false;
    },
    holds({ first, prefix }) {
      return ((first.v4 ? small : large).get(prefix)?.endOf(first) ?? 0) > 0;
    },
    dropExpired(nowMs) {
      for (const tables of [small, large]) {
        for (const [prefix, table] of tables) {
          size -= table.dropExpired(nowMs);
          if (table.size === 0) tables.delete(prefix);
        }
      }
    },
    get size() {
      return size;
    },
  };
}
