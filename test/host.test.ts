import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { loadConfig } from "../src/config/load.ts";
import type { Hooks, Policy, PolicyHost } from "../src/contract/policy.ts";
import { enforce } from "../src/enforcement.ts";
import { type Bench, type House, lend } from "../src/host.ts";
import { rolloutClaims } from "../src/settings.ts";
import {
  createLogLines,
  createStubHost,
  createStubHouse,
  type LogLines,
  stubState,
  stubTokens,
} from "./harness/stubs.ts";

function createHouse(): House & { readonly log: LogLines } {
  const { live, clock } = createStubHouse();
  return {
    ...{ live, clock, log: createLogLines(), kept: new Map(), budget: { held: 0 } },
    ...{ gauges: [], announcements: [], draining: false, reloadRejected: false },
    ...stubTokens(clock),
    state: stubState(clock),
  };
}

/** Enforces made-up policies, by name. */
async function enforced(
  policies: Readonly<Record<string, (host: PolicyHost) => Hooks | undefined>>,
  house = createHouse(),
) {
  const made = Object.entries(policies).map(
    ([name, create]): Policy => ({
      ...{ name, summary: "", stage: "guard", onFault: "closed" },
      covers: { surfaces: "all", streams: true },
      config: { schema: v.strictObject({}), keys: {} },
      create: (_config, host) => create(host),
    }),
  );
  const claimants = made.flatMap(({ name, config }) => [
    { name, ...config },
    rolloutClaims(name, false),
  ]);
  const config = loadConfig({ text: "", file: "c.yaml" }, {}, claimants);
  if (!config.ok) throw new Error("bad test");
  return enforce(made, config, house, createStubHost().facts);
}

describe("gauges", () => {
  const offer = (house: House, bench: Bench, name: string): void =>
    lend(house, "p", bench, "enforce").gauge(name, "Help.", [], (set) => set(1));
  const createBench = (): Bench => ({
    ...{ facts: createStubHost().facts, gauges: [] },
    ...{ emit() {}, hears: () => true },
  });

  const names: readonly (readonly [name: string, good: boolean])[] = [
    ["cliproxy_limiter_buckets", true],
    ["cliproxy_hits_total", true],
    ["limiter_buckets", false],
    ["cliproxy_", false],
    ["cliproxy_9", false],
    ["cliproxy_Limiter", false],
    ["cliproxy_a-b", false],
    [`cliproxy_${"a".repeat(81)}`, true],
    [`cliproxy_${"a".repeat(82)}`, false],
  ];
  test.each(names)("%s: %p", (name, good) => {
    const made = () => offer(createHouse(), createBench(), name);
    if (good) expect(made).not.toThrow();
    else expect(made).toThrow("no name");
  });

  test("one name, one gauge: in a generation and beside those of the house", () => {
    const house = createHouse();
    const bench = createBench();
    offer(house, bench, "cliproxy_one");
    expect(() => offer(house, bench, "cliproxy_one")).toThrow("twice");
    house.gauges.push({ name: "cliproxy_house", help: "", labels: [], read() {} });
    expect(() => offer(house, bench, "cliproxy_house")).toThrow("twice");
    expect(() => offer(house, createBench(), "cliproxy_one")).not.toThrow();
  });

  test("a policy sees those of the house and of all policies", async () => {
    const house = createHouse();
    house.gauges.push({ name: "cliproxy_house", help: "", labels: [], read() {} });
    let seen: () => readonly string[] = () => [];
    await enforced(
      {
        a: (host) => {
          seen = () => host.gauges().map(({ name }) => name);
          return {};
        },
        b: (host) => {
          host.gauge("cliproxy_bb", "B.", [], () => {});
          return {};
        },
      },
      house,
    );
    expect(seen()).toEqual(["cliproxy_house", "cliproxy_bb"]);
  });
});

describe("hears", () => {
  const heard = async (...all: readonly Hooks[]): Promise<boolean[]> => {
    let host: PolicyHost | undefined;
    const asks = (lent: PolicyHost): Hooks => {
      host = lent;
      return {};
    };
    const listeners = all.map((hooks, i) => [`l${i}`, () => hooks] as const);
    await enforced({ asks, ...Object.fromEntries(listeners) });
    return (["auth_success", "config_change"] as const).map((type) => host?.hears(type) === true);
  };
  const event = (): void => {};

  test("nobody, somebody, some types", async () => {
    expect(await heard()).toEqual([false, false]);
    expect(await heard({})).toEqual([false, false]);
    expect(await heard({ event })).toEqual([true, true]);
    expect(await heard({ event, hears: ["config_change"] })).toEqual([false, true]);
    // Without a hook there is nobody to hear.
    expect(await heard({ hears: ["config_change"] })).toEqual([false, false]);
  });
});

describe("adopted", () => {
  test("is told to all, and one that fails keeps none from it", async () => {
    const told: string[] = [];
    const house = createHouse();
    const made = await enforced(
      {
        a: () => ({
          adopted() {
            throw new Error("no");
          },
        }),
        b: () => ({ adopted: () => void told.push("b") }),
      },
      house,
    );
    if (!made.ok) throw new Error("not enforced");
    expect(told).toEqual([]);
    made.adopted();
    expect(told).toEqual(["b"]);
    expect(house.log.lines).toMatchObject([{ level: "error", fields: { policy: "a" } }]);
  });

  test("disposing waits for all, and one that fails keeps none from it", async () => {
    const told: string[] = [];
    const made = await enforced({
      a: () => ({ dispose: () => Promise.reject(new Error("no")) }),
      b: () => ({
        async dispose() {
          await Promise.resolve();
          told.push("b");
        },
      }),
    });
    if (!made.ok) throw new Error("not enforced");
    await made.dispose();
    expect(told).toEqual(["b"]);
  });
});
