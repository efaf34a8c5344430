/**
 * What the edge policies' look-ups cost: bun bench/micro-edge.ts
 * Prints nanoseconds per look-up (median of rounds) and the memory of the tables, each with a
 * million entries.
 */
import { heapStats } from "bun:jsc";
import { Pace } from "../src/kit/bucket.ts";
import { BucketTable } from "../src/kit/bucket-table.ts";
import { formatIp, type Ip, ipv4, parseIp } from "../src/kit/ip.ts";
import { createIpIndex } from "../src/kit/ip-index.ts";
import { toBucketKey } from "../src/kit/ip-key.ts";
import { toRange } from "../src/kit/ip-range.ts";
import { createIpSet } from "../src/kit/ip-set.ts";

const entries = 1_000_000;
const lookups = 200_000;
const rounds = 15;

/** Spread over the whole family, and no two of them neighbours. */
function scattered(i: number): number {
  return Math.imul(i, 0x9e37_79b1) >>> 0;
}

function ipv6(i: number): Ip {
  const word = scattered(i);
  return { v4: false, a: 0x2001_0db8, b: word, c: scattered(word), d: i, zoned: false };
}

function measure(name: string, run: (i: number) => unknown): void {
  const times: number[] = [];
  let kept: unknown;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    for (let i = 0; i < lookups; i++) kept = run(i + round * lookups);
    times.push(((performance.now() - start) / lookups) * 1e6);
  }
  times.sort((a, b) => a - b);
  const median = times[Math.floor(rounds / 2)] ?? 0;
  console.log(`${name.padEnd(52)} ${median.toFixed(0).padStart(6)} ns`, kept === null ? "" : "");
}

function megabytes(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return (heapSize + extraMemorySize) / 1e6;
}

function built<T>(name: string, make: () => T): T {
  const before = megabytes();
  const start = performance.now();
  const made = make();
  const ms = performance.now() - start;
  console.log(`${name}: ${(megabytes() - before).toFixed(0)} MB, built in ${ms.toFixed(0)} ms`);
  return made;
}

const texts4 = Array.from({ length: lookups }, (_, i) => formatIp(ipv4(scattered(i * 3))));
const texts6 = Array.from({ length: lookups }, (_, i) => formatIp(ipv6(i * 3)));
const at = (texts: readonly string[], i: number): Ip =>
  parseIp(texts[i % lookups] ?? "") ?? ipv4(0);

measure("parse IPv4", (i) => at(texts4, i));
measure("parse IPv6", (i) => at(texts6, i));

const set = built("set, 1,000,000 IPv4 + 1,000,000 IPv6", () =>
  createIpSet([
    ...Array.from({ length: entries }, (_, i) => toRange(ipv4(scattered(i)), 32)),
    ...Array.from({ length: entries }, (_, i) => toRange(ipv6(i), 128)),
  ]),
);
console.log(`  ${set.size} intervals`);
measure("set: parse and look up, IPv4", (i) => set.has(at(texts4, i)));
measure("set: parse and look up, IPv6", (i) => set.has(at(texts6, i)));

for (const [family, make, texts] of [
  ["IPv4", (i: number) => toRange(ipv4(scattered(i)), 32), texts4],
  ["IPv6", (i: number) => toRange(ipv6(i), 128), texts6],
] as const) {
  const index = built(`index, 1,000,000 ${family}`, () => {
    const made = createIpIndex();
    for (let i = 0; i < entries; i++) made.add(make(i), Number.POSITIVE_INFINITY);
    return made;
  });
  measure(`index: parse and look up, ${family}`, (i) => index.has(at(texts, i), 0));
}

const pace = new Pace({ perSecond: 0.001, burst: 20 });
const table = built("bucket table, 1,000,000 addresses in use", () => {
  const made = new BucketTable(1234);
  for (let i = 0; i < entries; i++) made.take({ high: 1, low: scattered(i) }, pace, 1, entries);
  return made;
});
measure("bucket: parse and take, known IPv4", (i) =>
  table.take(toBucketKey(texts4[i % lookups] ?? ""), pace, 2, entries),
);
measure("bucket: parse and take, new IPv4, table full", (i) =>
  table.take({ high: 2, low: scattered(i) }, pace, 2, entries),
);
