import * as v from "valibot";
import type { AdminOperation } from "../../src/contract/admin.ts";
import { ipRange } from "../../src/kit/ip-schema.ts";
import { duration } from "../../src/kit/schema.ts";

/** Longest time that an entry may be given, in seconds: a year. */
const longestSeconds = 366 * 86_400;

const seconds = v.pipe(
  v.number(),
  v.integer(),
  v.minValue(1),
  v.maxValue(longestSeconds),
  v.transform((value) => value * 1000),
);

/** What makes an entry. */
export const newEntry = v.strictObject({
  ip: ipRange(),
  reason: v.optional(v.pipe(v.string(), v.maxLength(512)), ""),
  /** Seconds, or a time with a unit; absent: it stays until it is removed. */
  expires_in: v.optional(v.union([seconds, duration({ min: "1s", max: "366d" })])),
  /** Also if the caller denies itself. */
  force: v.optional(v.boolean(), false),
});

const entry = v.strictObject({
  ip: v.string(),
  reason: v.string(),
  created_at: v.nullable(v.string()),
  expires_at: v.nullable(v.string()),
  source: v.picklist(["api", "config"]),
});

/** Most entries of one page, and how many are usual. */
const [largestPage, usualPage] = ["10000", "1000"];

export const pageQuery = v.strictObject({
  limit: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[1-9]\d{0,4}$/, "must be a number from 1 to 10000"),
      v.transform(Number),
      v.maxValue(Number(largestPage)),
    ),
    usualPage,
  ),
  /** The `next` of the page before. */
  after: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^(?:config:\d{1,7}|api:[\da-f.:/]{0,64})?$/, "must be the `next` of a page"),
      v.transform(toPlace),
    ),
    "",
  ),
});

/** Where a page begins: at an entry of the configuration, or behind one that was added. */
type Place =
  | { readonly isAdded: false; readonly index: number }
  | { readonly isAdded: true; readonly key: string | undefined };

function toPlace(text: string): Place {
  if (!text.startsWith("api:")) return { isAdded: false, index: Number(text.slice(7)) };
  return { isAdded: true, key: text === "api:" ? undefined : text.slice(4) };
}

export const rangeQuery = v.strictObject({
  prefix: v.optional(v.pipe(v.string(), v.regex(/^\d{1,3}$/, "must be the length of a prefix"))),
});

const path = "/security/ip-denylist";

/** The denylist in the management API. */
export const operations: readonly AdminOperation[] = [
  {
    id: "listDeniedAddresses",
    method: "GET",
    path,
    summary: "Lists the addresses that are denied, by page.",
    query: pageQuery,
    status: 200,
    reply: v.strictObject({
      entries: v.array(entry),
      total: v.pipe(v.number(), v.integer()),
      next: v.nullable(v.string()),
    }),
    refusals: [],
  },
  {
    id: "denyAddress",
    method: "POST",
    path,
    summary: "Denies an address or a range at once, and ends what it has running.",
    body: newEntry,
    status: 201,
    reply: v.strictObject({ ...entry.entries, ended: v.pipe(v.number(), v.integer()) }),
    refusals: ["conflict"],
  },
  {
    id: "allowAddress",
    method: "DELETE",
    path: `${path}/{ip}`,
    summary: "Takes an entry away; of a range, `prefix` is the number behind its slash.",
    query: rangeQuery,
    status: 204,
    refusals: ["conflict"],
  },
];
