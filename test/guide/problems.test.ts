import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { needBinary } from "../harness/proxy.ts";
import { guideProblems } from "./blocks.ts";
import { accessProblems } from "./problems-access.ts";
import { auditProblems } from "./problems-audit.ts";
import { limitProblems } from "./problems-limits.ts";
import { tlsProblems } from "./problems-tls.ts";
import { vaultProblems } from "./problems-vault.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const problemProofs = [
  ...limitProblems,
  ...accessProblems,
  ...auditProblems,
  ...vaultProblems,
  ...tlsProblems,
];

describe("every problem happens, our message names the mend, and the mend helps", () => {
  test.each(
    problemProofs.map(({ symptom, solution, prove }) => [symptom, solution, prove] as const),
  )("%s: solution %d", async (_symptom, _solution, prove) => prove(), 30_000);
});

test.each(guideProblems.filter(({ proof }) => proof === "here"))(
  "no way out is forgotten: $symptom",
  ({ symptom, solutions }) => {
    const proved = problemProofs.filter((p) => p.symptom === symptom).map((p) => p.solution);
    expect(proved).toEqual(Array.from({ length: solutions }, (_, i) => i + 1));
  },
);
