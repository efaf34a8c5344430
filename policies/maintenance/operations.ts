import * as v from "valibot";
import type { AdminOperation } from "../../src/contract/admin.ts";
import { messageText } from "./text.ts";

/** Longest time that clients are told to wait, in seconds: a day. */
const longestSeconds = 86_400;

const seconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(longestSeconds));

/** What switches it; the last one counts whole. */
export const wanted = v.strictObject({
  enabled: v.boolean(),
  message: v.optional(messageText()),
  /** Seconds. */
  retry_after: v.optional(seconds),
});

const shown = v.strictObject({
  enabled: v.boolean(),
  message: v.string(),
  retry_after: v.number(),
  /** Who turned it on; null: nobody. */
  source: v.nullable(v.picklist(["api", "config"])),
});

const path = "/maintenance";

export const operations: readonly AdminOperation[] = [
  {
    id: "getMaintenance",
    method: "GET",
    path,
    summary: "Tells whether the proxy is in maintenance.",
    status: 200,
    reply: shown,
    refusals: [],
  },
  {
    id: "setMaintenance",
    method: "PUT",
    path,
    summary: "Turns maintenance on or off.",
    body: wanted,
    status: 200,
    reply: shown,
    refusals: ["conflict", "precondition_failed"],
  },
];
