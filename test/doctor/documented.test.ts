import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { policyKinds } from "../../src/assembly.ts";
import { commands } from "../../src/cli/commands.ts";
import { severities } from "../../src/contract/finding.ts";
import { allKinds, areas } from "../../src/doctor/areas.ts";
import { reportOf } from "../../src/doctor/report.ts";
import { maskText } from "../../src/kit/redact.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/doctor.md"), "utf8");
const kinds = allKinds(policyKinds);

test("docs/doctor.md has every finding, and no other", () => {
  const headings = [...page.matchAll(/^#### (\S+)$/gm)].map(([, id = ""]) => id);
  expect(headings.sort()).toEqual(kinds.map(({ id }) => id).sort());
});

test("the page names no finding that there is not", () => {
  const names = areas.map(({ name }) => name).join("|");
  const named = [...page.matchAll(new RegExp(`\`((?:${names})-[a-z-]+)\``, "g"))];
  const known = new Set(kinds.map(({ id }) => id));
  expect(named.length).toBeGreaterThan(5);
  expect(named.map(([, id]) => id).filter((id) => !known.has(id ?? ""))).toEqual([]);
});

describe("kinds", () => {
  test("ids are unique, kebab-case and begin with their area", () => {
    const ids = kinds.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { id, area } of kinds) {
      expect(id).toMatch(/^[a-z]+(?:-[a-z]+)+$/);
      if (area !== "policies") expect(id.split("-")[0]).toBe(area);
    }
  });

  test.each(kinds.map((kind) => [kind.id, kind] as const))("%s", (_id, kind) => {
    expect(severities).toContain(kind.severity);
    expect(kind.title).not.toMatch(/[.\n]$/);
    expect(kind.why).toMatch(/\.$/);
    expect(kind.mend).not.toContain("\n");
    // A mask would make a mend that can't be followed.
    expect(maskText(kind.mend)).toBe(kind.mend);
  });
});

test("the command line knows the areas and the severities", () => {
  const doctor = commands.find(({ name }) => name === "doctor");
  expect(doctor?.options.only?.values).toEqual(areas.map(({ name }) => name));
  expect(doctor?.options["fail-on"]?.values).toEqual(severities.slice(0, -1));
});

test("the report has the fields that the page shows", () => {
  const shown = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? "{}");
  const finding = { area: "files", ...shown.findings[0] };
  const made = reportOf(
    { findings: [finding], counts: shown.counts, more: shown.more },
    "config.yaml",
    "high",
    true,
  );
  expect(JSON.parse(JSON.stringify(made))).toEqual(shown);
});
