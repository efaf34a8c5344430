/**
 * What the runtime's parser decides, to the letter: a new runtime that decides otherwise is noticed
 * here, although it may be just as safe (`wire.test.ts` judges that).
 *
 * `PIN_VERDICTS=1 npx bun test test/hostile/parser-verdicts.test.ts && npm run generate` pins anew.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { startUpstream } from "../harness/fake-upstream.ts";
import { providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { converse } from "./converse.ts";
import { parsingCases } from "./parsing-cases.ts";
import { smugglingCases } from "./smuggling-cases.ts";

/** One line of docs/http.md; each runtime has a column. */
interface Row {
  readonly case: string;
  bun?: string;
}

const file = join(import.meta.dirname, "verdicts.json");
const pinned = JSON.parse(readFileSync(file, "utf8")) as Record<string, Row>;
const cases = [...parsingCases, ...smugglingCases];

let proxy: RunningProxy;

beforeAll(async () => {
  const upstream = await startUpstream();
  const limits = { body_bytes: "16KiB" };
  proxy = await startProxy({
    config: { providers: providersOf(upstream.url), server: { limits } },
  });
});
afterAll(cleanUp);

test("every case has its verdict, and no other has one", () => {
  if (process.env.PIN_VERDICTS === "1") return;
  const names = (id: string): string | undefined => cases.find((wire) => wire.id === id)?.name;
  expect(Object.keys(pinned).sort()).toEqual(cases.map(({ id }) => id).sort());
  for (const [id, row] of Object.entries(pinned))
    expect<string | undefined>(row.case).toBe(names(id));
});

test.concurrent.each(cases.map((wire) => [wire.id, wire.name, wire] as const))(
  "%s %s",
  async (id, name, wire) => {
    const { verdict } = await converse(proxy.url, wire, false);
    if (process.env.PIN_VERDICTS === "1") pinned[id] = { ...pinned[id], case: name, bun: verdict };
    else expect<string | undefined>(verdict).toBe(pinned[id]?.bun);
  },
);

afterAll(() => {
  if (process.env.PIN_VERDICTS !== "1") return;
  const known = new Set(cases.map(({ id }) => id));
  const rows = Object.entries(pinned).filter(([id]) => known.has(id));
  const inOrder = rows.sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const lines = inOrder.map(([id, row]) => {
    const cells = Object.entries(row).map(([name, cell]) => `"${name}": ${JSON.stringify(cell)}`);
    return `  "${id}": { ${cells.join(", ")} }`;
  });
  writeFileSync(file, `{\n${lines.join(",\n")}\n}\n`);
});
