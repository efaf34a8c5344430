import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { loadConfig } from "../src/config/load.ts";
import type { Coverage, Outcome, Policy } from "../src/contract/policy.ts";
import { enforce } from "../src/enforcement.ts";
import type { House } from "../src/host.ts";
import { gapsOf } from "../src/plan.ts";
import { rolloutClaims } from "../src/settings.ts";
import {
  createLogLines,
  createStubHost,
  createStubHouse,
  startExchange,
  stubState,
  stubTokens,
} from "./harness/stubs.ts";

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
    ...stubTokens(clock),
    state: stubState(clock),
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

describe("what a policy gives to all responses, and may do to running ones", () => {
  async function build(yaml: string) {
    const running = createStubHouse();
    const policy: Policy = {
      name: "subject",
      summary: "",
      stage: (config) => ((config as { late?: boolean }).late ? "guard" : "edge"),
      onFault: "closed",
      covers: { surfaces: "all", streams: true },
      config: {
        schema: v.strictObject({ late: v.optional(v.boolean(), false) }),
        keys: { late: "server.late" },
      },
      create: (_config, host) => ({
        headers: { "x-static": "1" },
        finish: () => void host.live.abort(() => true, "revoked"),
      }),
    };
    const claimants = [{ name: "subject", ...policy.config }, rolloutClaims("subject", false)];
    const config = loadConfig({ text: yaml, file: "c.yaml" }, {}, claimants);
    if (!config.ok) throw new Error("bad configuration");
    const { live, clock } = running;
    const house: House = {
      ...{ live, clock, log: createLogLines(), kept: new Map(), budget: { held: 0 } },
      ...{ gauges: [], announcements: [], draining: false, reloadRejected: false },
      ...stubTokens(clock),
      state: stubState(clock),
    };
    const made = await enforce([policy], config, house, createStubHost().facts);
    if (!made.ok) throw new Error("not enforced");
    return { made, running };
  }

  test("headers of those that are enforced, none of those in shadow", async () => {
    expect((await build("")).made.headers).toEqual({ "x-static": "1" });
    const shadow = await build("policies: { subject: { mode: shadow } }");
    expect(shadow.made.headers).toEqual({});
    expect((await build("policies: { subject: { mode: off } }")).made.headers).toEqual({});
  });

  test("a stage may depend on the configuration", async () => {
    const stageOf = async (yaml: string) => (await build(yaml)).made.planned[0]?.stage;
    expect(await stageOf("")).toBe("edge");
    expect(await stageOf("server: { late: true }")).toBe("guard");
  });

  test("in shadow mode it ends nothing", async () => {
    const outcome = { kind: "success", status: 200 } as Outcome;
    for (const [yaml, stopped] of [
      ["policies: { subject: { mode: shadow } }", undefined],
      ["", { code: "revoked" }],
    ] as const) {
      const { made, running } = await build(yaml);
      const x = startExchange(running);
      made.pipelines.chat.finish(x, outcome);
      expect(x.stopped).toEqual(stopped as never);
      x.finish({ kind: "success", status: 200 });
      running.live.tick();
    }
  });
});
