import { describe, expect, test } from "bun:test";
import { allKinds } from "../../src/doctor/areas.ts";
import { mostOfAnId } from "../../src/doctor/examine.ts";
import { cases, sound } from "./cases.ts";
import { examined, foundIn } from "./plant.ts";

/** What needs more than a table can plant; tested elsewhere here, or with the executable. */
const elsewhere = new Set([
  ...["config-absent", "config-gap", "files-many", "policy-findings-fault"],
  // Keys that only a later policy claims, and policies from a directory.
  ...["files-policies-writable", "files-certificate-writable", "files-secret-mode"],
  ...["keys-encryption-weak", "keys-encryption-halved", "exposure-uncovered"],
]);

describe("what is planted is found", () => {
  test.each(cases.map(([found, world], i) => [`${i} ${found}`, found, world] as const))(
    "%s",
    async (_name, found, world) => {
      expect(await foundIn(world)).toContain(found);
    },
  );
});

describe("what is sound is not", () => {
  test.each(sound.map(([id, why, world]) => [id, why, world] as const))(
    "%s: %s",
    async (id, _why, world) => {
      const ids = (await foundIn(world)).map((one) => one.split(" ")[1]);
      expect(ids).not.toContain("config-broken");
      expect(ids).not.toContain(id);
    },
  );
});

test("every kind of finding has a case", () => {
  const planted = new Set(cases.map(([found]) => found.split(" ")[1]));
  const missing = allKinds([]).filter(({ id }) => !planted.has(id) && !elsewhere.has(id));
  expect(missing.map(({ id }) => id)).toEqual([]);
});

test("of one id so many are listed, and the rest is counted", async () => {
  const many = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`auths/p-${i}.json`, { mode: 0o644 }]),
    );
  const full = await examined({ files: many(mostOfAnId) });
  expect(full.more).toEqual({});
  const over = await examined({ files: many(mostOfAnId + 1) });
  const listed = over.findings.filter(({ id }) => id === "files-credential-mode");
  expect([listed.length, over.more]).toEqual([mostOfAnId, { "files-credential-mode": 1 }]);
});

test("a name that drives a terminal is shown harmless", async () => {
  const { findings } = await examined({ files: { "auths/\u001b[2Ja.json": { mode: 0o644 } } });
  const found = findings.find(({ id }) => id === "files-credential-mode");
  expect(found?.evidence).toContain("\\u001b[2J");
  expect(found?.mend).not.toContain("\u001b");
});
