import { expect, test } from "bun:test";
import { mostEvents, ScriptCounts } from "../../src/scripts/counts.ts";

test.each(["", "Upper", "a-b", "a".repeat(49), 7, undefined])("%p is no event", (event) => {
  expect(new ScriptCounts().add("one", event, 1)).toContain("1 to 48");
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "1"])("%p is no amount", (by) => {
  expect(new ScriptCounts().add("one", "seen", by)).toContain("not negative");
});

test("a policy counts a bounded number of events, and others are unharmed", () => {
  const counts = new ScriptCounts();
  for (let i = 0; i < mostEvents; i += 1) expect(counts.add("one", `e${i}`, 1)).toBeUndefined();
  expect(counts.add("one", "more", 1)).toContain(`${mostEvents}`);
  expect(counts.add("one", "e0", 1)).toBeUndefined();
  expect(counts.add("two", "more", 1)).toBeUndefined();
});
