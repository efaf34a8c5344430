import * as v from "valibot";
import type { AdminCall, AdminOperation, AdminReply } from "../../src/contract/admin.ts";
import type { PolicyHost } from "../../src/contract/policy.ts";
import type { Row } from "../../src/contract/store.ts";
import { type Dimension, dayOf, dimensions, partsOf } from "./counter.ts";

/** Most rows in one answer. */
const mostRows = 10_000;

const day = v.pipe(
  v.string(),
  v.isoDate("must be a day like 2026-01-31"),
  v.check(isDay, "there is no such day"),
);

/** The comma is how a list is written in a query. */
const by = v.pipe(
  v.string(),
  v.transform((text) => text.split(",")),
  v.array(v.picklist(dimensions, `must be of ${dimensions.join(", ")}, with commas`)),
  v.check((names) => new Set(names).size === names.length, "names one twice"),
);

const query = v.strictObject({
  from: v.optional(day),
  to: v.optional(day),
  by: v.optional(by, "key"),
});

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const counts = {
  requests: count,
  refused: count,
  errors: count,
  input_tokens: count,
  output_tokens: count,
  cached_tokens: count,
  reasoning_tokens: count,
  estimated_tokens: count,
};
type Totals = Record<keyof typeof counts, number>;

const reply = v.strictObject({
  from: v.string(),
  to: v.string(),
  rows: v.array(
    v.strictObject({
      day: v.optional(v.string()),
      key: v.optional(v.string()),
      provider: v.optional(v.string()),
      model: v.optional(v.string()),
      ...counts,
    }),
  ),
  total: v.strictObject(counts),
  /** More rows than an answer holds. */
  truncated: v.boolean(),
});

export const operations: readonly AdminOperation[] = [
  {
    id: "readUsage",
    method: "GET",
    path: "/usage",
    summary: "Requests and tokens by day, key, provider or model, in days of UTC.",
    query,
    status: 200,
    reply,
    refusals: [],
  },
];

/** February has no 30th, although its pattern is that of a day. */
function isDay(text: string): boolean {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && dayOf(ms) === text;
}

/** Answers with the rows of the days, summed up by what was asked. */
export async function readUsage(call: AdminCall, host: PolicyHost): Promise<AdminReply> {
  const asked = call.query as v.InferOutput<typeof query>;
  const to = asked.to ?? dayOf(host.clock.now());
  const from = asked.from ?? `${to.slice(0, 8)}01`;
  const found = (await host.store.read("")).filter(({ key }) => {
    const [rowDay = ""] = partsOf(key);
    return rowDay >= from && rowDay <= to;
  });
  const rows = groupBy(found, asked.by);
  const total = sum(found);
  return {
    body: { from, to, rows: rows.slice(0, mostRows), total, truncated: rows.length > mostRows },
  };
}

function groupBy(rows: readonly Row[], names: readonly Dimension[]) {
  const groups = new Map<string, Row[]>();
  const indexes = names.map((name) => dimensions.indexOf(name));
  for (const row of rows) {
    const parts = partsOf(row.key);
    const name = JSON.stringify(indexes.map((i) => parts[i]));
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [row]);
    else group.push(row);
  }
  return [...groups].map(([name, group]) => {
    const parts = JSON.parse(name) as readonly string[];
    return { ...Object.fromEntries(names.map((n, i) => [n, parts[i]])), ...sum(group) };
  });
}

function sum(rows: readonly Row[]): Totals {
  const totals = Object.fromEntries(Object.keys(counts).map((name) => [name, 0])) as Totals;
  for (const row of rows) {
    for (const name in totals) {
      totals[name as keyof Totals] += row.counts[name] ?? 0;
    }
  }
  return totals;
}
