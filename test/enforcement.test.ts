import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { loadConfig } from "../src/config/load.ts";
import type { Coverage, Policy } from "../src/contract/policy.ts";
import { enforce } from "../src/enforcement.ts";
import type { House } from "../src/host.ts";
import { gapsOf } from "../src/plan.ts";
import { rolloutClaims } from "../src/settings.ts";
import { createLogLines, createStubHost, createStubHouse } from "./harness/stubs.ts";

/** Enforces one made-up policy as a configuration rolls it out. */
async function start(covers: Coverage, yaml: string, required = false) {
  const policy: Policy = {
    name: "subject",
    summary: "",
    stage: "guard",
    onFault: "closed",
    covers,
    required,
    config: { schema: v.strictObject({}), keys: {} },
    create: () => ({ request: () => "pass" }),
  };
  const claimants = [
    { name: "subject", ...policy.config },
    rolloutClaims("subject", gapsOf(policy).length > 0),
  ];
  const config = loadConfig({ text: yaml, file: "c.yaml" }, {}, claimants);
  if (!config.ok) return config.problems;
  const { live, clock } = createStubHouse();
  const house: House = {
    ...{ live, clock, log: createLogLines(), kept: new Map(), budget: { held: 0 } },
    ...{ gauges: [], announcements: [], draining: false, reloadRejected: false },
  };
  const made = await enforce([policy], config, house, createStubHost().facts);
  return made.ok ? [] : made.problems;
}

describe("rollout", () => {
  const whole: Coverage = { surfaces: "all", streams: true };
  const noStreams: Coverage = { surfaces: "all", streams: false };
  const chatOnly: Coverage = { surfaces: ["chat"], streams: true };
  const accept = "policies: { subject: { accept_uncovered: true } }";
  const off = "policies: { subject: { mode: off } }";
  const shadow = "policies: { subject: { mode: shadow } }";
  const cases: readonly (readonly [
    name: string,
    covers: Coverage,
    yaml: string,
    required: boolean,
    path: string | undefined,
  ])[] = [
    ["sees all", whole, "", false, undefined],
    ["sees all, nothing to accept", whole, accept, false, "policies.subject.accept_uncovered"],
    ["sees no streams", noStreams, "", false, "policies.subject.accept_uncovered"],
    ["sees no streams, accepted", noStreams, accept, false, undefined],
    ["sees one surface", chatOnly, "", false, "policies.subject.accept_uncovered"],
    ["sees one surface, accepted", chatOnly, accept, false, undefined],
    ["sees one surface, off", chatOnly, off, false, undefined],
    ["required, off", whole, off, true, "policies.subject.mode"],
    ["required, shadow", whole, shadow, true, "policies.subject.mode"],
    ["shadow", whole, shadow, false, undefined],
  ];
  test.each(cases)("%s", async (_name, covers, yaml, required, path) => {
    const problems = await start(covers, yaml, required);
    expect(problems.map((problem) => problem.path)).toEqual(path === undefined ? [] : [path]);
  });
});
