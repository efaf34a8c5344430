import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir, needBinary, runBinary } from "../harness/proxy.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const bomb = [
  "a: &a [x,x,x,x,x,x,x,x,x,x]",
  ...[..."bcdefgh"].map((name, i) => {
    const former = `*${"abcdefg"[i]}`;
    return `${name}: &${name} [${Array(10).fill(former).join(",")}]`;
  }),
].join("\n");

const rate = (value: string): string =>
  `server:\n  rate_limit: { enabled: true, burst: 5, requests_per_second: ${value} }`;

type Row = readonly [name: string, text: string, line: RegExp, words: RegExp];
const rows: readonly Row[] = [
  ["an unknown key", "server:\n  prot: 1", /:2:3 /, /did you mean `port`/],
  ["a tab", "server:\n\tport: 1", /:2:1 /, /tab/],
  ["a key twice", "server:\n  port: 1\n  port: 2", /:3:3 /, /given twice/],
  ["a bomb of anchors", bomb, /:\d+:\d+ /, /too many values/],
  ["yes", "server:\n  tls: { enabled: yes }", /:2:19 /, /true or false/],
  ["an octal port", "server:\n  port: 0o10", /:2:9 /, /plain decimal/],
  ["a port with an exponent", "server:\n  port: 1e3", /:2:9 /, /plain decimal/],
  ["a rate of nothing", rate("0"), /:2:/, /requests_per_second/],
  ["a rate below nothing", rate("-1"), /:2:/, /requests_per_second/],
  ["a rate without an end", rate(".inf"), /:2:/, /finite/],
  ["a rate that is no number", rate(".nan"), /:2:/, /finite/],
];

describe("a configuration that is wrong: where and how, no crash, nothing bound", () => {
  test.each(rows)("%s", async (_name, text, line, words) => {
    const file = join(makeDir(), "config.yaml");
    writeFileSync(file, text);
    const begun = performance.now();
    for (const command of ["check", "serve"]) {
      const { code, out, err } = await runBinary([command, "--config", file]);
      expect([command, code]).toEqual([command, 78]);
      expect(err).toMatch(line);
      expect(err).toMatch(words);
      expect(err).toContain("mend: ");
      expect(out + err).not.toMatch(/listens on|\n\s+at |panic/);
    }
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});
