import { afterAll, beforeAll, describe, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { needBinary } from "../harness/proxy.ts";
import { type Bench, checkNothingLeft, dialects, openBench, runRow } from "./upstream-bench.ts";
import { bodyRows, longRows } from "./upstream-body-rows.ts";
import { errorRows } from "./upstream-error-rows.ts";
import { headRows } from "./upstream-head-rows.ts";
import { streamRows } from "./upstream-stream-rows.ts";

let bench: Bench;
beforeAll(async () => {
  needBinary();
  bench = await openBench();
});
afterAll(cleanUp);

const tables = [
  ["heads", headRows, [false, true]],
  ["bodies", bodyRows, [false, true]],
  ["long bodies", longRows, [false]],
  ["streams", streamRows, [true]],
  ["errors", errorRows, [false, true]],
] as const;

describe.each(dialects)("$name", (dialect) => {
  describe.each(tables)("%s:", (_table, rows, streams) => {
    test.concurrent.each(rows.map((row) => [row[0], row] as const))(
      "%s",
      (_name, row) => runRow(bench, dialect, row, streams),
      20_000,
    );
  });
});

test("after all of them, nothing is left", () => checkNothingLeft(bench));
