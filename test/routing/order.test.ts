import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { noteMeasures } from "../../src/routing/measures.ts";
import { createMatcher, toPattern } from "../../src/routing/patterns.ts";
import { createRouter } from "../../src/routing/router.ts";
import type { RoutingSettings } from "../../src/routing/settings.ts";
import { createFakeClock } from "../harness/fake-clock.ts";
import { activeProvider, createStubHouse, credential, startExchange } from "../harness/stubs.ts";

const rules: RoutingSettings = {
  strategy: "priority",
  affinity: false,
  affinityTtl: 3_600_000,
  fallbacks: {},
  maxAttempts: 8,
};
const models = [{ name: "m", upstream: "m" }];

function provider(name: string, ids: readonly string[], routing: object = {}) {
  return activeProvider({ name, models, credentials: ids.map((id) => credential(id)), routing });
}

/** Credentials in the order in which they would be tried, so many times. */
function orders(
  providers: Parameters<typeof createRouter>[0],
  times: number,
  more: Partial<RoutingSettings> = {},
): string[] {
  const router = createRouter(providers, [], { ...rules, ...more });
  return Array.from({ length: times }, () => {
    const ways = router.resolve("m", "line");
    return "code" in ways ? ways.code : ways.map((way) => way.credential?.id).join("");
  });
}

describe("credentials of one provider", () => {
  test("fill_first: always in order", () => {
    expect(orders([provider("p", ["a", "b", "c"], { selection: "fill_first" })], 3)).toEqual([
      ...["abc", "abc", "abc"],
    ]);
  });

  test("weighted: each gets its share, evenly spread", () => {
    const weighted = activeProvider({
      name: "p",
      models,
      credentials: [
        { ...credential("a"), weight: 3 },
        { ...credential("b"), weight: 1 },
      ],
      routing: { selection: "weighted" },
    });
    expect(
      orders([weighted], 8)
        .map((order) => order[0])
        .join(""),
    ).toBe("aabaaaba");
  });

  test("weighted: over any cycle the shares are exact", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 5 }), (w) => {
        const credentials = w.map((weight, i) => ({ ...credential(`${i}`), weight }));
        const p = activeProvider({
          name: "p",
          models,
          credentials,
          routing: { selection: "weighted" },
        });
        const total = w.reduce((sum, one) => sum + one, 0);
        const firsts = orders([p], total * 2).map((order) => order[0]);
        for (const [i, weight] of w.entries()) {
          expect(firsts.filter((first) => first === `${i}`)).toHaveLength(weight * 2);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("least_latency: the unknown first, then the fastest", () => {
    const p = provider("latency", ["a", "b", "c"], { selection: "least_latency" });
    for (const [id, ms] of [
      ["a", 90],
      ["b", 10],
    ] as const) {
      noteMeasures({ provider: p, credential: credential(id) }, ms, new Headers());
    }
    expect(orders([p], 2)).toEqual(["cba", "cba"]);
    noteMeasures({ provider: p, credential: credential("c") }, 50, new Headers());
    expect(orders([p], 1)).toEqual(["bca"]);
    for (let i = 0; i < 30; i++) {
      noteMeasures({ provider: p, credential: credential("b") }, 500, new Headers());
    }
    expect(orders([p], 1)).toEqual(["cab"]);
  });

  test("quota_aware: who has the largest share left of its tightest limit", () => {
    const p = provider("quota", ["a", "b", "c"], { selection: "quota_aware" });
    const left = (id: string, headers: Record<string, string>): void =>
      noteMeasures({ provider: p, credential: credential(id) }, 1, new Headers(headers));
    left("a", {
      "x-ratelimit-limit-requests": "100",
      "x-ratelimit-remaining-requests": "90",
      "x-ratelimit-limit-tokens": "1000",
      "x-ratelimit-remaining-tokens": "10",
    });
    left("b", {
      "anthropic-ratelimit-tokens-limit": "1000",
      "anthropic-ratelimit-tokens-remaining": "500",
    });
    left("c", {
      "anthropic-ratelimit-tokens-limit": "0",
      "anthropic-ratelimit-tokens-remaining": "soon",
    });
    expect(orders([p], 2)).toEqual(["cba", "cba"]);
  });
});

describe("providers of one model", () => {
  const one = provider("one", ["a", "b"]);
  const two = provider("two", ["c"]);

  test("priority: provider by provider, in the order of the file", () => {
    expect(orders([one, two], 2)).toEqual(["abc", "bac"]);
  });

  test("the lowest `priority` goes first", () => {
    const late = provider("late", ["a", "b"], { priority: 5 });
    expect(orders([late, two], 2)).toEqual(["cab", "cba"]);
    expect(orders([late, two], 2, { strategy: "round_robin" })).toEqual(["cab", "cab"]);
  });

  test("round_robin: all ways take turns", () => {
    const firsts = orders([one, two], 6, { strategy: "round_robin" }).map((order) => order[0]);
    expect(firsts.join("")).toBe("abcabc");
  });

  test("weighted: by the weights of providers", () => {
    const heavy = provider("heavy", ["h"], { weight: 3 });
    const firsts = orders([heavy, two], 8, { strategy: "weighted" }).map((order) => order[0]);
    expect(firsts.filter((first) => first === "h")).toHaveLength(6);
  });
});

describe("a session", () => {
  const pair = provider("pair", ["a", "b"]);
  const start = (session?: string, name = "session-id") => {
    const x = startExchange(createStubHouse(), {
      headers: session === undefined ? {} : { [name]: session },
    });
    return x;
  };

  test("stays with who served it, until its time is over", () => {
    const clock = createFakeClock();
    const router = createRouter([pair], [], { ...rules, affinity: true }, clock);
    const first = (session?: string): string => {
      const x = start(session);
      const ways = router.waysOf(x, "m");
      if ("code" in ways || ways[0] === undefined) throw new Error("no way");
      router.served(x, ways[0]);
      return ways[0].credential?.id ?? "";
    };
    const mine = first("s1");
    expect([first("s1"), first("s1"), first("s1")]).toEqual([mine, mine, mine]);
    expect(new Set([first(), first()])).toEqual(new Set(["a", "b"]));
    clock.advance(3_600_000);
    expect(new Set([first("s1"), first("s2")]).size).toBeGreaterThan(0);
    const again = [first("s3"), first("s4")];
    expect(new Set(again)).toEqual(new Set(["a", "b"]));
    expect([first("s3"), first("s4")]).toEqual(again);
  });

  test("goes on with the one that took over", () => {
    const router = createRouter([pair], [], { ...rules, affinity: true }, createFakeClock());
    const x = start("s1", "x-claude-code-session-id");
    const ways = router.waysOf(x, "m");
    if ("code" in ways) throw new Error("no way");
    const second = ways[1];
    if (second === undefined) throw new Error("one way");
    router.served(x, second);
    for (let i = 0; i < 4; i++) {
      const next = router.waysOf(start("s1", "x-claude-code-session-id"), "m");
      expect("code" in next ? "" : next[0]?.credential?.id).toBe(second.credential?.id ?? "-");
    }
  });

  test("names without end are not kept", () => {
    const router = createRouter([pair], [], { ...rules, affinity: true }, createFakeClock());
    const long = "s".repeat(129);
    const firsts = Array.from({ length: 4 }, () => {
      const x = start(long);
      const ways = router.waysOf(x, "m");
      if ("code" in ways || ways[0] === undefined) throw new Error("no way");
      router.served(x, ways[0]);
      return ways[0].credential?.id;
    });
    expect(new Set(firsts)).toEqual(new Set(["a", "b"]));
  });
});

describe("names with `*`", () => {
  const wild = activeProvider({
    name: "wild",
    models: [
      { name: "gpt-*", upstream: "gpt-*" },
      { name: "my-*-fast", upstream: "vendor/*" },
    ],
    routing: { excludes: createMatcher(["*-preview"]) },
  });
  const open = activeProvider({ name: "open", routing: { excludes: createMatcher(["secret-*"]) } });
  const way = (model: string): string => {
    const ways = createRouter([wild, open]).resolve(model, "line");
    return "code" in ways ? ways.code : ways.map((w) => `${w.provider.name}:${w.model}`).join(" ");
  };
  test.each([
    ["gpt-5", "wild:gpt-5"],
    ["my-o3-fast", "wild:vendor/o3"],
    ["wild/gpt-5", "wild:gpt-5"],
    ["wild/other", "model_not_found"],
    ["gpt-5-preview", "open:gpt-5-preview"],
    ["other", "open:other"],
    ["open/gpt-5", "open:gpt-5"],
    ["secret-1", "model_not_found"],
    ["open/secret-1", "model_not_found"],
  ])("%s", (model, expected) => {
    expect(way(model)).toBe(expected);
  });

  test("match as any text for each star would, and in linear time", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
    const words = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
    fc.assert(
      fc.property(letters, words, (name, model) => {
        const form = new RegExp(`^${name.replaceAll("*", ".*")}$`);
        expect(createMatcher([name])(model)).toBe(form.test(model));
        const pattern = toPattern(name);
        if (pattern?.matches(model)) expect(pattern.fill(model, name)).toBe(model);
      }),
      { numRuns: 2000 },
    );
    const many = toPattern(`${"a*".repeat(500)}b`);
    expect(many?.matches("a".repeat(5000))).toBe(false);
  });
});
