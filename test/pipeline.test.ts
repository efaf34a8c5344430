import { describe, expect, test } from "bun:test";
import type {
  Attempt,
  AttemptResult,
  AttemptVerdict,
  Hooks,
  Outcome,
  Stage,
} from "../src/contract/policy.ts";
import { stages } from "../src/contract/policy.ts";
import {
  type ActivePolicy,
  compilePipeline,
  inLine,
  type MutableHead,
  type Pipeline,
  type PipelineDeps,
} from "../src/pipeline.ts";
import {
  activePolicy,
  callOf,
  createLogLines,
  createStubHouse,
  startExchange,
} from "./harness/stubs.ts";

const call = callOf();
const attempt: Attempt = { index: 0, provider: "p", credentialId: "c", model: "m" };
const result: AttemptResult = {
  kind: "ok",
  status: 200,
  usage: undefined,
  bytes: 0,
  durationMs: 0,
};
const outcome = { kind: "success", status: 200, bytes: 0, durationMs: 0 } as Outcome;
const gateHooks = ["request", "call", "attempt", "response"] as const;
type GateHook = (typeof gateHooks)[number];

function head(headers: Record<string, string> = {}): MutableHead {
  return { status: 200, headers, stream: false, code: undefined };
}

function exchange() {
  return startExchange(createStubHouse());
}

function compile(active: readonly ActivePolicy[], deps: Partial<PipelineDeps> = {}) {
  const log = createLogLines();
  const shadows: string[] = [];
  const onShadow = (policy: string, hook: string, code: string) =>
    void shadows.push(`${policy} ${hook} ${code}`);
  const pipeline = compilePipeline(active, { log, hookDeadlineMs: 5, onShadow, ...deps });
  return { pipeline, log, shadows };
}

/** Walks one gate hook of a pipeline, with whatever argument it takes. */
async function walk(pipeline: Pipeline, hook: GateHook, x = exchange(), h = head()) {
  if (hook === "request") return pipeline.request(x);
  if (hook === "call") return pipeline.call(x, call);
  if (hook === "attempt") return pipeline.attempt(x, attempt);
  return pipeline.response(x, h);
}

function gate(hook: GateHook, run: () => unknown): Hooks {
  return { [hook]: run } as Hooks;
}

/** A gate that leaves its name in a list. */
function noted(hook: GateHook, seen: string[], name: string, verdict: unknown): Hooks {
  return gate(hook, () => {
    seen.push(name);
    return verdict;
  });
}

describe("order", () => {
  const shuffled: readonly (readonly [name: string, stage: Stage])[] = [
    ["zeta", "observe"],
    ["beta", "credential"],
    ["alpha", "credential"],
    ["omega", "edge"],
    ["auth", "identity"],
    ["money", "spend"],
    ["gate", "admit"],
    ["words", "guard"],
    ["Zed", "edge"],
  ];
  const downward = [...["zeta", "Zed", "omega", "auth", "gate", "money", "words", "alpha", "beta"]];

  test("is stage, then name, and does not change its input", () => {
    const input = shuffled.map(([name, stage]) => ({ name, stage }));
    const before = JSON.stringify(input);
    expect(inLine(input).map((p) => p.name)).toEqual(downward);
    expect(JSON.stringify(input)).toBe(before);
    expect(stages).toHaveLength(7);
  });

  test.each(gateHooks)("of %s: down for the request, up for the response", async (hook) => {
    const seen: string[] = [];
    const active = shuffled.map(([name, stage]) =>
      activePolicy(
        name,
        noted(hook, seen, name, name.length > 4 ? Promise.resolve("pass") : "pass"),
        { stage },
      ),
    );
    expect(await walk(compile(active).pipeline, hook)).toBeUndefined();
    expect(seen).toEqual(hook === "response" ? [...downward].reverse() : downward);
  });

  test("of finish and attemptEnd is bottom-up, of events top-down", () => {
    const seen: Record<string, string[]> = { finish: [], attemptEnd: [], event: [] };
    const note = (hook: string, name: string) => () => void seen[hook]?.push(name);
    const active = shuffled.map(([name, stage]) =>
      activePolicy(
        name,
        {
          finish: note("finish", name),
          attemptEnd: note("attemptEnd", name),
          event: note("event", name),
        },
        { stage },
      ),
    );
    const { pipeline } = compile(active);
    pipeline.finish(exchange(), outcome);
    pipeline.attemptEnd(exchange(), attempt, result);
    pipeline.event({ type: "config_change", result: "applied" });
    const upward = [...downward].reverse();
    expect(seen).toEqual({ finish: upward, attemptEnd: upward, event: downward });
  });

  test("an event is told to those that hear its type", () => {
    const seen: string[] = [];
    const event = (name: string) => () => void seen.push(name);
    const { pipeline } = compile([
      activePolicy("all", { event: event("all") }),
      activePolicy("some", { event: event("some"), hears: ["config_change"] }),
      activePolicy("none", { event: event("none"), hears: [] }),
    ]);
    pipeline.event({ type: "config_change", result: "applied" });
    pipeline.event({ type: "auth_failure", result: "invalid_token" });
    expect(seen).toEqual(["all", "some", "all"]);
  });

  test("an attempt is withdrawn, bottom-up, from those that had admitted it", async () => {
    const seen: string[] = [];
    const witness = (name: string, verdict: AttemptVerdict | undefined) =>
      activePolicy(name, {
        ...(verdict !== undefined && { attempt: () => verdict }),
        attemptEnd: (_x, _a, { kind }) => void seen.push(`${name} ${kind}`),
      });
    const { pipeline } = compile([
      witness("a", "pass"),
      witness("b", undefined),
      witness("c", "pass"),
      witness("d", { skip: { deny: "provider_limited" } }),
      witness("e", "pass"),
    ]);
    const refusal = await pipeline.attempt(exchange(), attempt);
    expect(refusal).toEqual({ code: "provider_limited", policy: "d", tryNext: true });
    if (refusal !== undefined) pipeline.withdraw(exchange(), attempt, refusal);
    expect(seen).toEqual(["c unsent", "a unsent"]);
  });

  test("a hook keeps its `this`", async () => {
    class Counter implements Hooks {
      count = 0;
      request(): "pass" {
        this.count += 1;
        return "pass";
      }
      finish(): void {
        this.count += 10;
      }
    }
    const hooks = new Counter();
    const { pipeline } = compile([activePolicy("counter", hooks)]);
    await pipeline.request(exchange());
    pipeline.finish(exchange(), outcome);
    expect(hooks.count).toBe(11);
  });

  test("synchronous hooks are answered without a promise", () => {
    const { pipeline } = compile([activePolicy("sync", { request: () => "pass" })]);
    expect(pipeline.request(exchange())).toBeUndefined();
  });
});

describe("verdicts", () => {
  const verdicts: readonly (readonly [name: string, verdict: unknown, expected: unknown])[] = [
    ["pass", "pass", undefined],
    ["late pass", Promise.resolve("pass"), undefined],
    ["deny", { deny: "not_allowed" }, { code: "not_allowed", policy: "one" }],
    ["late deny", Promise.resolve({ deny: "not_allowed" }), { code: "not_allowed", policy: "one" }],
    [
      "deny with words",
      { deny: "overloaded", message: "Wait.", retryAfterSeconds: 3 },
      { code: "overloaded", policy: "one", message: "Wait.", retryAfterSeconds: 3 },
    ],
  ];
  describe.each(gateHooks)("of %s", (hook) => {
    test.each(verdicts)("%s", async (_name, verdict, expected) => {
      const { pipeline } = compile([
        activePolicy(
          "one",
          gate(hook, () => verdict),
        ),
      ]);
      expect(await walk(pipeline, hook)).toEqual(expected as never);
    });

    test("the first refusal wins, later gates of the request are not asked", async () => {
      const seen: string[] = [];
      const { pipeline } = compile([
        activePolicy("a", noted(hook, seen, "a", { deny: "not_allowed" })),
        activePolicy("b", noted(hook, seen, "b", { deny: "overloaded" })),
      ]);
      const first = hook === "response" ? "overloaded" : "not_allowed";
      expect(await walk(pipeline, hook)).toMatchObject({ code: first });
      expect(seen).toEqual(hook === "response" ? ["b", "a"] : ["a"]);
    });
  });

  test("skip is a verdict of attempt only", async () => {
    for (const hook of gateHooks) {
      const { pipeline } = compile([
        activePolicy(
          "one",
          gate(hook, () => "skip"),
        ),
      ]);
      const skipped = { code: "all_skipped" as const, policy: "one", tryNext: true };
      const expected =
        hook === "attempt" ? skipped : { code: "policy_fault" as const, policy: "one" };
      expect(await walk(pipeline, hook)).toEqual(expected as never);
    }
  });
});

describe("lists", () => {
  const shown = (...hooks: readonly (Hooks["lists"] | undefined)[]): boolean => {
    const active = hooks.map((lists, i) => activePolicy(`p${i}`, lists ? { lists } : {}));
    const { pipeline } = compile(active);
    return pipeline.lists(exchange(), { id: "m", provider: "p" });
  };
  const boom = (): boolean => {
    throw new Error("boom");
  };
  test.each<[string, boolean, readonly (Hooks["lists"] | undefined)[]]>([
    ["nobody minds", true, []],
    ["nobody is asked", true, [undefined]],
    ["all agree", true, [() => true, undefined, () => true]],
    ["one does not", false, [() => true, () => false]],
    ["one is broken", false, [() => true, boom]],
    ["one says nothing", false, [(() => undefined) as unknown as Hooks["lists"]]],
  ])("%s: %p", (_name, expected, hooks) => {
    expect(shown(...hooks)).toBe(expected);
  });

  test("a policy in shadow hides nothing", () => {
    const { pipeline } = compile([activePolicy("a", { lists: () => false }, { mode: "shadow" })]);
    expect(pipeline.lists(exchange(), { id: "m", provider: "p" })).toBe(true);
  });
});

describe("edits", () => {
  const principal = { keyId: "k", userId: "u" };
  const headers = { "X-Added": "1", "x-gone": null };
  const all = stages.flatMap((stage) => gateHooks.map((hook) => [stage, hook] as const));

  test.each(all)("from stage %s in %s", async (stage, hook) => {
    const x = exchange();
    const who = compile([
      activePolicy(
        "p",
        gate(hook, () => ({ edit: { principal } })),
        { stage },
      ),
    ]);
    const named = await walk(who.pipeline, hook, x);
    const mayName = stage === "identity" && hook === "request";
    expect(named).toEqual(mayName ? undefined : { code: "policy_fault", policy: "p" });
    expect(x.principal).toEqual(mayName ? principal : undefined);

    const asker = exchange();
    const trusting = compile([
      activePolicy(
        "p",
        gate(hook, () => ({ edit: { trusted: true } })),
        { stage },
      ),
    ]);
    const trusted = await walk(trusting.pipeline, hook, asker);
    const mayTrust = stage === "edge" && hook === "request";
    expect(trusted).toEqual(mayTrust ? undefined : { code: "policy_fault", policy: "p" });
    expect(asker.trusted).toBe(mayTrust);

    const h = head({ "x-gone": "old", kept: "yes" });
    const what = compile([
      activePolicy(
        "p",
        gate(hook, () => ({ edit: { headers } })),
        { stage },
      ),
    ]);
    const sender = exchange();
    const edited = await walk(what.pipeline, hook, sender, h);
    const isTold = hook === "response";
    const isSent = hook === "request" || hook === "call";
    const mayEdit = isTold || isSent;
    expect(edited).toEqual(mayEdit ? undefined : { code: "policy_fault", policy: "p" });
    expect(sender.sentHeaders).toEqual(isSent ? { "x-added": "1", "x-gone": null } : undefined);
    const after = isTold ? { "x-added": "1", kept: "yes" } : { "x-gone": "old", kept: "yes" };
    expect(h.headers).toEqual(after);
  });

  const hostile: readonly (readonly [name: string, edit: unknown])[] = [
    ["line break in a value", { headers: { "x-a": "1\r\nset-cookie: evil=1" } }],
    ["NUL in a value", { headers: { "x-a": "a\0b" } }],
    ["character above latin1", { headers: { "x-a": "ü€" } }],
    ["space in a name", { headers: { "x a": "1" } }],
    ["colon in a name", { headers: { "x:": "1" } }],
    ["empty name", { headers: { "": "1" } }],
    ["headers null", { headers: null }],
    ["edit null", null],
    ["edit is a string", "headers"],
  ];
  test.each(hostile)("refused: %s", async (_name, edit) => {
    const h = head({ kept: "yes" });
    const { pipeline } = compile([
      activePolicy(
        "p",
        gate("response", () => ({ edit })),
      ),
    ]);
    const verdict = await walk(pipeline, "response", exchange(), h);
    expect(verdict).toEqual({ code: "policy_fault", policy: "p" });
    expect(h.headers).toEqual({ kept: "yes" });
  });

  test("one bad header of an edit keeps the others out, too", async () => {
    const h = head();
    const edit = { headers: { "x-good": "1", "x-bad": "a\nb" } };
    const { pipeline } = compile([
      activePolicy(
        "p",
        gate("response", () => ({ edit })),
      ),
    ]);
    await walk(pipeline, "response", exchange(), h);
    expect(h.headers).toEqual({});
  });
});

describe("faults", () => {
  const faults: readonly (readonly [name: string, run: () => unknown])[] = [
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    [
      "throws undefined",
      () => {
        throw undefined;
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
    ["never answers", () => new Promise(() => {})],
    ["answers nothing", () => undefined],
    ["answers null", () => null],
    ["answers true", () => true],
    ["answers a word", () => "allow"],
    ["answers an empty object", () => ({})],
    ["answers late nothing", () => Promise.resolve(undefined)],
    ["denies with an unknown code", () => ({ deny: "no_such_code" })],
    ["denies with a name of Object's prototype", () => ({ deny: "toString" })],
    ["denies with __proto__", () => ({ deny: "__proto__" })],
    ["answers something with a broken then", () => JSON.parse('{"then":1}')],
    ["answers a list", () => ["pass"]],
  ];
  describe.each(gateHooks)("in %s", (hook) => {
    test.each(faults)("close: %s", async (_name, run) => {
      const seen: string[] = [];
      const other = noted(hook, seen, "other", "pass");
      const name = hook === "response" ? "a-other" : "z-other";
      const { pipeline, log } = compile([
        activePolicy("broken", gate(hook, run)),
        activePolicy(name, other),
      ]);
      expect(await walk(pipeline, hook)).toEqual({ code: "policy_fault", policy: "broken" });
      expect(log.lines.map((l) => l.level)).toEqual(["error"]);
      // A response is shown to every policy, whatever one of them did.
      expect(seen).toEqual(hook === "response" ? ["other"] : []);
    });

    test.each(faults)("go on with `open`: %s", async (_name, run) => {
      const seen: string[] = [];
      const other = noted(hook, seen, "other", { deny: "not_allowed" });
      const name = hook === "response" ? "a-other" : "z-other";
      const { pipeline, log } = compile([
        activePolicy("broken", gate(hook, run), { onFault: "open" }),
        activePolicy(name, other),
      ]);
      expect(await walk(pipeline, hook)).toEqual({ code: "not_allowed", policy: name });
      expect(log.lines).toHaveLength(1);
      expect(seen).toEqual(["other"]);
    });
  });

  test("a getter that throws is a fault, too", async () => {
    const verdict = {
      get deny() {
        throw new Error("boom");
      },
    };
    for (const hook of gateHooks) {
      const { pipeline } = compile([
        activePolicy(
          "broken",
          gate(hook, () => verdict),
        ),
      ]);
      const refusal = await walk(pipeline, hook);
      expect(refusal).toEqual({ code: "policy_fault", policy: "broken" });
    }
  });
});

describe("shadow", () => {
  const discarded: readonly (readonly [name: string, run: () => unknown, counted: string])[] = [
    ["deny", () => ({ deny: "not_allowed" }), "not_allowed"],
    ["late deny", () => Promise.resolve({ deny: "not_allowed" }), "not_allowed"],
    [
      "throw",
      () => {
        throw new Error("boom");
      },
      "policy_fault",
    ],
    ["rejection", () => Promise.reject(new Error("boom")), "policy_fault"],
    ["deadline", () => new Promise(() => {}), "policy_fault"],
    ["non-verdict", () => 7, "policy_fault"],
  ];
  describe.each(gateHooks)("in %s", (hook) => {
    test.each(discarded)("discards and counts: %s", async (_name, run, counted) => {
      const { pipeline, shadows } = compile([
        activePolicy("quiet", gate(hook, run), { mode: "shadow" }),
        // What comes after a shadow's verdict must still be asked, or a shadow opens the house.
        activePolicy(
          "strict",
          gate(hook, () => ({ deny: "overloaded" })),
          { stage: "credential" },
        ),
      ]);
      expect(await walk(pipeline, hook)).toEqual({ code: "overloaded", policy: "strict" });
      expect(shadows).toEqual([`quiet ${hook} ${counted}`]);
    });

    test("pass is not counted", async () => {
      const hooks = gate(hook, () => "pass");
      const { pipeline, shadows } = compile([activePolicy("quiet", hooks, { mode: "shadow" })]);
      expect(await walk(pipeline, hook)).toBeUndefined();
      expect(shadows).toEqual([]);
    });
  });

  test("discards skips and edits", async () => {
    const h = head({ kept: "yes" });
    const x = exchange();
    const { pipeline, shadows } = compile([
      activePolicy(
        "quiet",
        {
          request: () => ({ edit: { principal: { keyId: "k", userId: "u" } } }),
          attempt: () => "skip",
          response: () => ({ edit: { headers: { kept: null } } }),
        },
        { mode: "shadow", stage: "identity" },
      ),
    ]);
    for (const hook of ["request", "attempt", "response"] as const) {
      expect(await walk(pipeline, hook, x, h)).toBeUndefined();
    }
    expect(x.principal).toBeUndefined();
    expect(h.headers).toEqual({ kept: "yes" });
    expect(shadows).toEqual(["quiet request edit", "quiet attempt skip", "quiet response edit"]);
  });
});

describe("response", () => {
  test("runs every policy bottom-up after refusals and faults; the first one stands", async () => {
    const seen: string[] = [];
    const note = (name: string, verdict: unknown): ActivePolicy =>
      activePolicy(name, noted("response", seen, name, verdict));
    const late = Promise.resolve({ deny: "not_allowed" });
    const { pipeline } = compile([
      note("a", { edit: { headers: { "x-last": "a" } } }),
      note("b", { deny: "overloaded" }),
      note("c", late),
      note("d", "nonsense"),
      note("e", "pass"),
    ]);
    const h = head();
    const refusal = await pipeline.response(exchange(), h);
    expect(seen).toEqual(["e", "d", "c", "b", "a"]);
    expect(refusal).toEqual({ code: "policy_fault", policy: "d" });
    expect(h.headers).toEqual({ "x-last": "a" });
  });
});

describe("tellers", () => {
  const broken: readonly (readonly [name: string, run: () => unknown])[] = [
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
    ["answers anything", () => ({ deny: "not_allowed" })],
  ];
  test.each(broken)("all are told although one %s", async (name, run) => {
    const told: string[] = [];
    const note = (who: string): Hooks => ({
      finish: () => void told.push(`${who} finish`),
      attemptEnd: () => void told.push(`${who} attemptEnd`),
      event: () => void told.push(`${who} event`),
    });
    const { pipeline, log } = compile([
      activePolicy("a", note("a")),
      activePolicy("b", { finish: run, attemptEnd: run, event: run } as Hooks),
      activePolicy("c", note("c")),
    ]);
    pipeline.finish(exchange(), outcome);
    pipeline.attemptEnd(exchange(), attempt, result);
    pipeline.event({ type: "auth_failure", result: "invalid_token" });
    await Promise.resolve();
    expect(told).toEqual([
      ...["c finish", "a finish", "c attemptEnd", "a attemptEnd", "a event", "c event"],
    ]);
    expect(log.lines).toHaveLength(name === "answers anything" ? 0 : 3);
  });
});
