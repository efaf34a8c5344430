import { expect, test } from "bun:test";
import type { Store } from "../../src/contract/store.ts";
import { stateLimits } from "../../src/kit/local-state.ts";
import { createFakeClock } from "../harness/fake-clock.ts";
import { openMemory } from "../harness/stubs.ts";
import { conforms } from "./conformance.ts";

conforms("memory", openMemory);

const period = { startMs: 0, endMs: 1 };
type Fill = readonly [what: keyof typeof stateLimits, add: (store: Store, key: string) => unknown];

test.each<Fill>([
  ["buckets", (store, key) => store.take([{ key, capacity: 1, perSecond: 1 }], [1])],
  ["quotas", (store, key) => store.reserve({ key, limit: 0 }, period, 1)],
  ["holds", (store) => store.reserve({ key: "q", limit: 1e9 }, period, 1)],
  ["rows", (store, key) => store.add(key, { n: 1 })],
  ["values", (store, key) => store.put(key, "v")],
])("one owner has at most so many %s", (what, add) => {
  const all = openMemory(createFakeClock());
  const store = all.namespace("full");
  for (let i = 0; i < stateLimits[what]; i++) add(store, `${i}`);
  expect(() => add(store, "more")).toThrow(`${stateLimits[what]}`);
  expect(() => add(all.namespace("neighbour"), "more")).not.toThrow();
});
