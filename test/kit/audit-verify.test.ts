import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { emptyChain, FieldCache, ownEvent, sealRecord } from "../../src/kit/audit-chain.ts";
import { readCheckpoints, writeCheckpoint } from "../../src/kit/audit-checkpoint.ts";
import { Holes, mostHoles } from "../../src/kit/audit-holes.ts";
import { type AuditReport, ChainVerifier, mostListed } from "../../src/kit/audit-verify.ts";
import { auditKey, entryOf } from "../harness/audit-log.ts";

/** A chain of so many records. */
function chainOf(count: number, type = "auth_failure", details = {}): string[] {
  const cache = new FieldCache();
  const lines: string[] = [];
  let head = emptyChain;
  for (let i = 0; i < count; i++) {
    const sealed = sealRecord(entryOf({ type, details, userId: `u${i}` }), head, auditKey, cache);
    lines.push(sealed.line);
    head = sealed.head;
  }
  return lines;
}

function verify(lines: readonly string[], checkpoint = "", whole = true): AuditReport {
  const verifier = new ChainVerifier(auditKey, readCheckpoints(checkpoint, auditKey).signed);
  for (const [i, line] of lines.entries()) {
    verifier.line("f", i + 1, Buffer.from(line), line.endsWith("~"));
  }
  return verifier.end(whole);
}

/** Kind, line and message of each finding. */
function told(lines: readonly string[], checkpoint = "", whole = true): string[] {
  const { findings } = verify(lines, checkpoint, whole);
  return findings.map(({ kind, line, message }) => `${kind} ${line}: ${message}`);
}

const ten = chainOf(10);
const at = (n: number): string => ten[n - 1] as string;
const edited = (n: number): string => at(n).replace("claude", "openai");
const without = (...gone: number[]): string[] => ten.filter((_, i) => !gone.includes(i + 1));
const replaced = (n: number, line: string): string[] => ten.with(n - 1, line);
const checkpointOf = (n: number): string => {
  const { mac } = JSON.parse(at(n));
  return writeCheckpoint({ seq: n, mac }, Date.UTC(2026, 1, 19), auditKey);
};
const byUs = "changed, or not written with this key";

describe("verify", () => {
  type Case = readonly [name: string, lines: readonly string[], expected: readonly string[]];
  const cases: readonly Case[] = [
    ["whole", ten, []],
    ["empty", [], []],
    ["one edited", replaced(4, edited(4)), [`changed 4: this line was ${byUs}`]],
    ["first edited", replaced(1, edited(1)), [`changed 1: this line was ${byUs}`]],
    ["last edited", replaced(10, edited(10)), [`changed 10: this line was ${byUs}`]],
    [
      "three edited",
      [at(1), edited(2), edited(3), edited(4), ...ten.slice(4)],
      [`changed 2: the lines to 4 were ${byUs}`],
    ],
    ["one deleted", without(5), ["missing 5: record 5 is missing before this line"]],
    ["two deleted", without(5, 6), ["missing 5: records 5 to 6 are missing before this line"]],
    [
      "two far ones deleted",
      without(3, 8),
      [
        "missing 3: record 3 is missing before this line",
        "missing 7: record 8 is missing before this line",
      ],
    ],
    ["the first deleted", without(1), ["missing 0: record 1 is missing at the start"]],
    [
      "two swapped",
      [...ten.slice(0, 3), at(5), at(4), ...ten.slice(5)],
      ["out_of_order 5: record 4 stands after record 5"],
    ],
    [
      "one moved to the end",
      [...without(2), at(2)],
      ["out_of_order 10: record 2 stands after record 10"],
    ],
    ["one repeated", [...ten, at(3)], ["repeated 11: record 3 stands here again"]],
    ["one inserted", ten.toSpliced(4, 0, "{}"), [`changed 5: this line was ${byUs}`]],
    ["an empty line", ten.toSpliced(4, 0, ""), [`changed 5: this line was ${byUs}`]],
    [
      "one edited, the next deleted",
      replaced(4, edited(4)).toSpliced(4, 1),
      [
        `changed 4: this line was ${byUs}`,
        "missing 5: records 4 to 5 are missing before this line; " +
          "1 changed lines stand in their place",
      ],
    ],
    ["torn end", [...ten, '{"timestamp":"2026~'], ["torn 11: the last line is cut off"]],
    [
      "written anew with the key",
      // Another record 5, well signed, before the old record 6.
      replaced(5, resealed(5)),
      ["does_not_follow 6: record 6 does not follow the one before it: that one was written anew"],
    ],
    [
      "another key",
      ten.map((l) => l.replace("c", "d")),
      [`changed 1: the lines to 10 were ${byUs}`],
    ],
  ];
  test.each(cases)("%s", (_name, lines, expected) => {
    expect(told(lines)).toEqual([...expected]);
  });

  function resealed(n: number): string {
    const { prev } = JSON.parse(at(n));
    const before = { seq: n - 1, mac: prev };
    return sealRecord(entryOf({ result: "fine" }), before, auditKey, new FieldCache()).line;
  }

  test("a cut end is found up to the last checkpoint", () => {
    const lines = ten.slice(0, 6);
    expect(told(lines)).toEqual([]);
    expect(told(lines, checkpointOf(6))).toEqual([]);
    const missing =
      "records 7 to 9 are missing at the end: a checkpoint of 20260219T000000Z has them";
    expect(told(lines, checkpointOf(9))).toEqual([`truncated 0: ${missing}`]);
  });

  test("a chain written anew is found by a checkpoint kept elsewhere", () => {
    const anew = chainOf(10, "auth_success");
    expect(told(anew)).toEqual([]);
    expect(told(anew, checkpointOf(5))).toEqual([
      "rewritten 5: record 5 is not the one of its checkpoint",
    ]);
  });

  test("an end cut before a checkpoint and written on is found", () => {
    expect(told(chainOf(12, "auth_success"), checkpointOf(10))).toHaveLength(1);
  });

  test("part of a chain is whole in itself, and says what is not here", () => {
    const { findings, notes, first } = verify(ten.slice(4), "", false);
    expect([findings, notes, first]).toEqual([
      [],
      ["records 1 to 4 are in files that are not here"],
      5,
    ]);
  });

  test("files that the log itself removed are no finding", () => {
    const lines = chainOf(10, ownEvent, {}).map((line) => line);
    const cache = new FieldCache();
    const before = { seq: 10, mac: JSON.parse(lines[9] as string).mac };
    const details = { file: "audit.log.x.4", last_seq: 4 };
    const pruned = entryOf({ type: ownEvent, result: "pruned", details });
    const { line } = sealRecord(pruned, before, auditKey, cache);
    expect(told([...lines.slice(4), line])).toEqual([]);
    expect(told([...lines.slice(5), line])).toEqual([
      "missing 0: records 1 to 5 are missing at the start",
    ]);
  });

  test("a torn line is no finding where the next record tells of it, by its length", () => {
    const cache = new FieldCache();
    const before = { seq: 10, mac: JSON.parse(at(10)).mac };
    const torn = '{"timestamp":"20';
    const repaired = (bytes: number): string => {
      const details = { torn_bytes: bytes, torn_lines: 1 };
      const entry = entryOf({ type: ownEvent, result: "repaired", details });
      return sealRecord(entry, before, auditKey, cache).line;
    };
    expect(told([...ten, torn, repaired(torn.length)])).toEqual([]);
    expect(told([...ten, torn, repaired(torn.length + 1)])).toHaveLength(1);
    expect(told([...ten, "edited", torn, repaired(torn.length)])).toEqual([
      `changed 11: this line was ${byUs}`,
    ]);
  });

  test("findings are bounded, and the rest is counted", () => {
    const lines = chainOf(2 * mostListed + 4);
    const odd = (extra: number): string[] =>
      lines.filter((_, i) => i % 2 === 0 || i >= 2 * mostListed + extra);
    const { findings, moreFindings } = verify(odd(0));
    expect([findings.length, moreFindings]).toEqual([mostListed, 0]);
    const more = verify(odd(2));
    expect([more.findings.length, more.moreFindings]).toEqual([mostListed, 1]);
  });

  test("any edit, deletion, move or repetition is found, and the place is right", () => {
    const lines = chainOf(30);
    const index = fc.nat({ max: lines.length - 1 });
    fc.assert(
      fc.property(
        index,
        index,
        fc.constantFrom("edit", "delete", "move", "repeat"),
        (i, j, how) => {
          const line = lines[i] as string;
          if (how === "edit") {
            const changed = lines.with(i, line.replace(/claude/, "cloude"));
            expect(verify(changed).findings).toMatchObject([{ kind: "changed", line: i + 1 }]);
          } else if (how === "delete") {
            const { findings } = verify(lines.toSpliced(i, 1), checkpointFor(lines));
            expect(findings).toHaveLength(1);
            expect(findings[0]?.message).toStartWith(`record ${i + 1} is missing`);
          } else if (how === "repeat") {
            const again = lines.toSpliced(j, 0, line);
            expect(verify(again).findings.length).toBeGreaterThan(0);
          } else if (Math.abs(i - j) > 0) {
            const moved = lines.toSpliced(i, 1).toSpliced(j, 0, line);
            expect(verify(moved).findings.length).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  function checkpointFor(lines: readonly string[]): string {
    const { seq, mac } = JSON.parse(lines.at(-1) as string);
    return writeCheckpoint({ seq, mac }, 0, auditKey);
  }
});

describe("holes", () => {
  const hole = (from: number) => ({ from, to: from, unsigned: 0, file: "f", line: from });

  test("beyond the most, the last one grows", () => {
    const holes = new Holes();
    for (let i = 0; i < mostHoles; i++) holes.add(hole(2 * i + 1));
    expect(holes.list.length).toBe(mostHoles);
    holes.add(hole(2 * mostHoles + 1));
    expect(holes.list.length).toBe(mostHoles);
    expect(holes.list.at(-1)?.to).toBe(2 * mostHoles + 1);
  });

  test("a record splits the hole it fills", () => {
    const holes = new Holes();
    holes.add({ ...hole(1), to: 5 });
    expect(holes.fill(3)).toBe(true);
    expect(holes.list.map(({ from, to }) => [from, to])).toEqual([
      [1, 2],
      [4, 5],
    ]);
    expect(holes.fill(3)).toBe(false);
  });
});
