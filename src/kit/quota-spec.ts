import * as v from "valibot";
import { configFault } from "./config-fault.ts";
import { type CalendarPeriod, createCalendar, type Reset, resets } from "./period.ts";
import { doc } from "./schema.ts";

/** A limit of tokens in a calendar period. */
export interface QuotaSpec {
  readonly key: string;
  readonly limit: number;
  period(nowMs: number): CalendarPeriod;
}

/**
 * The two keys of a quota, each by the name of what it belongs to.
 * @param whose tokens they are, for the reference
 */
export function quotaEntries(whose: string) {
  return {
    limit: v.optional(
      v.record(
        v.string(),
        v.pipe(
          v.number(),
          v.integer(),
          v.minValue(1),
          v.maxValue(Number.MAX_SAFE_INTEGER),
          doc(`Tokens of a period, input and output, ${whose}.`, { example: 1_000_000 }),
        ),
      ),
      {},
    ),
    reset: v.optional(
      v.record(
        v.string(),
        v.pipe(v.picklist(resets), doc("When it begins anew, in UTC.", { example: "monthly" })),
      ),
      {},
    ),
  };
}

/**
 * A quota as it is counted; undefined where there is none. Kinds of periods count apart.
 * @param path of its block, for messages
 * @throws a fault of the configuration when half of it is missing, or a restart would renew it
 */
export function toQuota(
  path: string,
  name: string,
  limit: number | undefined,
  reset: Reset | undefined,
  durability: string,
): QuotaSpec | undefined {
  if (limit === undefined && reset === undefined) return undefined;
  if (limit === undefined) {
    throw configFault(path, "`limit` is missing", "add `limit: 1000000`, in tokens");
  }
  if (reset === undefined) {
    throw configFault(path, "`reset` is missing", 'add `reset: "monthly"`');
  }
  if (durability === "lacking") {
    throw configFault(
      path,
      "needs state that lasts, and there is no place for it: every restart would renew it",
      "set state.path to a file that can be written, or `state.store: memory` to accept that",
    );
  }
  return { key: `${reset}/${name}`, limit, period: createCalendar(reset) };
}

/** How soon a refused request may find room that only running ones hold, in seconds. */
const heldSeconds = 10;

/**
 * Whole seconds after which a request that a quota refused may be admitted: at the start of the
 * next period, or soon where running requests hold what it lacks and may give some of it back.
 */
export function quotaWaitSeconds(
  limit: number,
  amount: number,
  level: { readonly spent: number; readonly endMs: number },
  nowMs: number,
): number {
  const untilEnd = Math.max(1, Math.ceil((level.endMs - nowMs) / 1000));
  const isOnlyHeld = level.spent + Math.min(amount, limit) <= limit;
  return isOnlyHeld ? Math.min(heldSeconds, untilEnd) : untilEnd;
}
