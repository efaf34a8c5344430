import { describe, expect, test } from "bun:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import type { Attempt, AttemptResult, Outcome } from "../src/contract/policy.ts";
import { handleCall } from "../src/handle.ts";
import { defineFactKeys } from "../src/kit/fact-keys.ts";
import { wholeBytes } from "../src/opening.ts";
import { refuse } from "../src/reply.ts";
import { createRouter, type Router } from "../src/routing/router.ts";
import type { Pool } from "../src/runtime/runtime.ts";
import {
  activePolicy,
  activeProvider,
  createLogLines,
  createStubHouse,
  credential,
  type ExchangeOptions,
  openStream,
  type ProviderOptions,
  type StubHouse,
  startExchange,
} from "./harness/stubs.ts";
import { sleep } from "./harness/wait.ts";

const keys = defineFactKeys(["model", "stream"]);
const limits = {
  ...{ bodyBytes: 1000, bodyBytesInFlight: 4000, bodyTimeoutMs: 1000 },
  ...{ writeStallMs: 500, keepaliveMs: undefined },
};
const encoder = new TextEncoder();

interface Told {
  readonly outcomes: Outcome[];
  readonly admitted: Attempt[];
  readonly ended: { attempt: Attempt; result: AttemptResult }[];
}

interface RunOptions extends ExchangeOptions {
  readonly providers?: readonly ProviderOptions[];
  /** Instead of `providers`: one that several exchanges share. */
  readonly router?: Router;
  readonly hooks?: Parameters<typeof activePolicy>[1];
  /** Of a policy behind the witness. */
  readonly last?: Parameters<typeof activePolicy>[1];
  readonly house?: StubHouse;
  readonly model?: string;
}

/** Walks a call over the real straight way, with a policy that writes down what it is told. */
function start(options: RunOptions = {}) {
  const house = options.house ?? createStubHouse();
  const told: Told = { outcomes: [], admitted: [], ended: [] };
  const witness = activePolicy(
    "witness",
    {
      attempt(_x, attempt) {
        told.admitted.push(attempt);
        return "pass";
      },
      attemptEnd: (_x, attempt, result) => void told.ended.push({ attempt, result }),
      finish: (_x, outcome) => void told.outcomes.push(outcome),
    },
    { stage: "credential" },
  );
  const subject = activePolicy("subject", options.hooks ?? {}, { stage: "admit" });
  const x = startExchange(house, {
    body: JSON.stringify({ model: options.model ?? "m", stream: true }),
    ...options,
    policies: [witness, subject, activePolicy("zz", options.last ?? {}, { stage: "credential" })],
  });
  const log = createLogLines();
  const budget = { held: 0 };
  const answered = handleCall(
    x,
    {
      limits,
      budget,
      free: () => {},
      log,
      openStream,
      fail: (failed) => refuse(failed, { code: "internal" }),
      router: options.router ?? createRouter((options.providers ?? [{}]).map(activeProvider)),
    },
    keys,
  );
  return { x, house, told, answered, budget, log };
}

function json(body: string, status = 200, headers: Record<string, string> = {}) {
  return () =>
    Promise.resolve(
      new Response(body, {
        status,
        headers: {
          "content-type": "application/json",
          "content-length": String(body.length),
          ...headers,
        },
      }),
    );
}

/** A stream of events; `undefined` breaks it, `"hang"` leaves it open. */
function events(...parts: readonly (string | undefined)[]): Pool["fetch"] {
  return (_url, { signal }) => {
    const left = [...parts];
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        signal.addEventListener("abort", () => {
          try {
            controller.error(new DOMException("aborted", "AbortError"));
          } catch {
            // It had ended.
          }
        });
      },
      // One by one, since an error takes what is not read yet with it.
      pull(controller) {
        if (left.length === 0) return controller.close();
        const part = left.shift();
        if (part === undefined) return controller.error(new Error("reset"));
        if (part === "hang") return new Promise<void>(() => {});
        return controller.enqueue(encoder.encode(part));
      },
    });
    const headers = { "content-type": "text/event-stream" };
    return Promise.resolve(new Response(body, { headers }));
  };
}

/** A body of no length and no type. */
function plain(parts: readonly string[]): Pool["fetch"] {
  return () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const part of parts) controller.enqueue(encoder.encode(part));
        controller.close();
      },
    });
    return Promise.resolve(new Response(body));
  };
}

/** A body that fails before its first byte. */
function failingBody(error: Error): Pool["fetch"] {
  return () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(error);
      },
    });
    return Promise.resolve(new Response(body));
  };
}

const long = `{"a":"${"x".repeat(wholeBytes)}"`;
const badBodies: readonly (readonly [name: string, body: string | Error, code: string])[] = [
  ["HTML", "<html>", "upstream_bad_answer"],
  ["words", "hello", "upstream_bad_answer"],
  ["nothing", "", "upstream_bad_answer"],
  ["cut JSON", '{"a":', "upstream_truncated"],
  ["a reset body", Object.assign(new Error("no"), { code: "ECONNRESET" }), "upstream_truncated"],
  ["a bad chunk", Object.assign(new Error("no"), { code: "InvalidHTTP" }), "upstream_bad_answer"],
  ["a bomb", new RangeError("decoded body out of bounds"), "upstream_bad_answer"],
];

function failing(code: string): Pool["fetch"] {
  return () => Promise.reject(Object.assign(new Error("no"), { code }));
}

/** Answers nothing until it is aborted. */
const hanging: Pool["fetch"] = (_url, { signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
  });

const complete = ["data: hello\n\n", "data: usage=5\n\n", "data: end\n\n"];

async function settle(run: ReturnType<typeof start>): Promise<string> {
  const response = await run.answered;
  const text = await response.text().catch((error: Error) => `<${error.message}>`);
  await sleep(0);
  return text;
}

describe("finish and attemptEnd, exactly once:", () => {
  type Ending = readonly [
    name: string,
    options: RunOptions,
    kind: Outcome["kind"],
    code: string | undefined,
    status: number,
    attempts: readonly AttemptResult["kind"][],
  ];
  const boom = (): never => {
    throw new Error("boom");
  };
  const deny = () => ({ deny: "not_allowed" }) as const;
  const two = (a: Pool["fetch"], b: Pool["fetch"]): RunOptions => ({
    providers: [
      { name: "a", fetch: a },
      { name: "b", fetch: b },
    ],
  });
  const one = (fetch: Pool["fetch"]): RunOptions => ({ providers: [{ fetch }] });
  const whole = json('{"text":"hi","usage":"usage=3"}');
  const endings: readonly Ending[] = [
    ["whole reply", one(whole), "success", undefined, 200, ["ok"]],
    ["stream", one(events(...complete)), "success", undefined, 200, ["ok"]],
    ["denied in request", { hooks: { request: deny } }, "denied", "not_allowed", 403, []],
    ["denied in call", { hooks: { call: deny } }, "denied", "not_allowed", 403, []],
    ["denied in attempt", { hooks: { attempt: deny } }, "denied", "not_allowed", 403, []],
    [
      "denied in response",
      { ...one(whole), hooks: { response: deny } },
      "denied",
      "not_allowed",
      403,
      ["failed"],
    ],
    [
      "stream denied in response",
      { ...one(events(...complete)), hooks: { response: deny } },
      "denied",
      "not_allowed",
      403,
      ["failed"],
    ],
    ["fault in request", { hooks: { request: boom } }, "fault", "policy_fault", 503, []],
    ["fault in call", { hooks: { call: boom } }, "fault", "policy_fault", 503, []],
    ["fault in attempt", { hooks: { attempt: boom } }, "fault", "policy_fault", 503, []],
    [
      "fault in response",
      { ...one(whole), hooks: { response: boom } },
      "fault",
      "policy_fault",
      503,
      ["failed"],
    ],
    ["no JSON", { body: "hello" }, "denied", "bad_request", 400, []],
    ["body too large", { body: "x".repeat(1001) }, "denied", "body_too_large", 413, []],
    ["no such model", { providers: [{ models: [] }] }, "denied", "model_not_found", 404, []],
    ["skipped by all", { hooks: { attempt: () => "skip" } }, "denied", "all_skipped", 429, []],
    [
      "unreachable",
      one(failing("ConnectionRefused")),
      "upstream_error",
      "upstream_unreachable",
      502,
      ["failed"],
    ],
    ["redirect", one(json("", 302)), "upstream_error", "upstream_bad_answer", 502, ["failed"]],
    ["its 400", one(json('{"e":1}', 400)), "upstream_error", undefined, 400, ["refused"]],
    [
      "its 401",
      one(json('{"e":1}', 401)),
      "upstream_error",
      "upstream_refused_credential",
      502,
      ["refused"],
    ],
    [
      "its 500 without JSON",
      one(json("<html>", 500)),
      "upstream_error",
      "upstream_bad_answer",
      502,
      ["refused"],
    ],
    [
      "retry succeeds",
      two(json('{"e":1}', 500), whole),
      "success",
      undefined,
      200,
      ["refused", "ok"],
    ],
    [
      "retry after no answer",
      two(failing("ConnectionRefused"), whole),
      "success",
      undefined,
      200,
      ["failed", "ok"],
    ],
    [
      "all candidates fail",
      two(json('{"e":1}', 429), failing("ConnectionRefused")),
      "upstream_error",
      "upstream_unreachable",
      502,
      ["refused", "failed"],
    ],
    [
      "stream without an end",
      one(events("data: hello\n\n")),
      "upstream_error",
      "upstream_truncated",
      200,
      ["failed"],
    ],
    [
      "stream reset",
      one(events("data: hello\n\n", undefined)),
      "upstream_error",
      "upstream_truncated",
      200,
      ["failed"],
    ],
    [
      "stream with the provider's own error",
      one(events("data: hello\n\n", "data: failed\n\n")),
      "upstream_error",
      undefined,
      200,
      ["failed"],
    ],
    [
      "complete, then reset",
      one(events(...complete, undefined)),
      "success",
      undefined,
      200,
      ["ok"],
    ],
    [
      "its own error, then reset",
      one(events("data: failed\n\n", undefined)),
      "upstream_error",
      undefined,
      200,
      ["failed"],
    ],
    ["a stream by no name", one(plain(complete)), "success", undefined, 200, ["ok"]],
    [
      "a stream by no name, cut",
      one(plain(["data: hello\n\n"])),
      "upstream_error",
      "upstream_truncated",
      200,
      ["failed"],
    ],
    ...badBodies.map(([name, body, code]): Ending => {
      const fault = body instanceof Error ? failingBody(body) : plain([body]);
      return [name, one(fault), "upstream_error", code, 502, ["failed"]];
    }),
    ["long, and whole", one(plain([long, "}"])), "success", undefined, 200, ["ok"]],
    [
      "long, and cut",
      one(plain([long, "x"])),
      "upstream_error",
      "upstream_truncated",
      200,
      ["failed"],
    ],
    ...[204, 206, 304].map(
      (status): Ending => [
        `status ${status}`,
        one(() => Promise.resolve(new Response(null, { status }))),
        "upstream_error",
        "upstream_bad_answer",
        502,
        ["failed"],
      ],
    ),
    [
      "unknown coding",
      one(json("abc", 200, { "content-encoding": "x-rot13" })),
      "upstream_error",
      "upstream_bad_answer",
      502,
      ["failed"],
    ],
  ];
  test.each(endings)("%s", async (_name, options, kind, code, status, attempts) => {
    const run = start(options);
    await settle(run);
    const { told, house, budget } = run;
    expect(told.outcomes).toHaveLength(1);
    expect(told.outcomes[0]).toMatchObject({ kind, status });
    expect(told.outcomes[0]?.code).toBe(code as never);
    expect(told.ended.map((e) => e.result.kind)).toEqual([...attempts]);
    // Each admitted attempt is ended once, and the same object ends it.
    expect(told.ended.map((e) => e.attempt)).toEqual(told.admitted);
    expect(house.live.size).toBe(0);
    expect(house.released).toHaveLength(1);
    expect(budget.held).toBe(0);
    run.x.finish({ kind: "success", status: 200 });
    run.x.stop({ code: "revoked" });
    run.x.endAttempt({ kind: "ok", status: 200, usage: undefined, bytes: 0 });
    expect(told.outcomes).toHaveLength(1);
    expect(told.ended).toHaveLength(attempts.length);
    expect(house.released).toHaveLength(1);
  });

  test("usage and bytes are told to both", async () => {
    const run = start(one(events(...complete)));
    const text = await settle(run);
    const usage = { inputTokens: 5, outputTokens: 5, cachedTokens: 0, reasoningTokens: 0 };
    expect(text).toBe(complete.join(""));
    const bytes = text.length;
    expect(run.told.outcomes[0]).toMatchObject({ usage, bytes, provider: "stub", model: "m" });
    expect(run.told.ended[0]?.result).toMatchObject({ usage, bytes, status: 200 });
  });

  const coded = [
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["deflate", deflateSync],
  ] as const;
  test.each(coded)(
    "usage is read through %s, of a stream and of a whole reply",
    async (coding, encode) => {
      const usage = { inputTokens: 5, outputTokens: 5 };
      for (const type of ["text/event-stream", "application/json"]) {
        const bytes = new Uint8Array(encode(complete.join("")));
        const headers = { "content-type": type, "content-encoding": coding };
        const run = start(one(() => Promise.resolve(new Response(bytes, { headers }))));
        expect(await settle(run)).toBe(complete.join(""));
        expect(run.told.outcomes).toMatchObject([{ kind: "success", usage }]);
        expect(run.told.ended).toMatchObject([{ result: { kind: "ok", usage } }]);
      }
    },
  );

  test("usage so far is told when a stream breaks off", async () => {
    const run = start(one(events("data: usage=5\n\n", "hang")));
    const text = settle(run);
    await sleep(5);
    run.x.stop({ code: "revoked" });
    await text;
    expect(run.told.ended).toMatchObject([{ result: { usage: { outputTokens: 5 } } }]);
  });

  test("a candidate that is skipped has no end, the next one does", async () => {
    const run = start({
      ...two(whole, whole),
      hooks: { attempt: (_x, { provider }) => (provider === "a" ? "skip" : "pass") },
    });
    await settle(run);
    expect(run.told.admitted.map((a) => a.provider)).toEqual(["b"]);
    expect(run.told.ended.map((e) => e.attempt.provider)).toEqual(["b"]);
    expect(run.told.outcomes[0]).toMatchObject({ kind: "success", provider: "b" });
  });

  test("what the last asked provider said is not lost when the rest is skipped", async () => {
    const run = start({
      ...two(json('{"e":"slow"}', 429, { "retry-after": "7" }), whole),
      hooks: { attempt: (_x, { provider }) => (provider === "b" ? "skip" : "pass") },
    });
    const response = await run.answered;
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("7");
  });

  test("what one policy admitted and a later one refused is withdrawn from the first", async () => {
    const run = start({
      ...two(whole, whole),
      hooks: { attempt: () => "pass" },
      last: { attempt: (_x, { provider }) => (provider === "a" ? "skip" : "pass") },
    });
    await settle(run);
    expect(run.told.ended.map(({ attempt, result }) => [attempt.provider, result.kind])).toEqual([
      ["a", "unsent"],
      ["b", "ok"],
    ]);
    expect(run.told.admitted.map((a) => a.provider)).toEqual(["a", "b"]);
  });

  type Wait = number | undefined;
  test.each<[string, waits: readonly [Wait, Wait], expected: string | null]>([
    ["the first is earlier", [5, 60], "5"],
    ["the second is earlier", [60, 5], "5"],
    ["only the first knows when", [60, undefined], "60"],
    ["only the second knows when", [undefined, 60], "60"],
    ["nobody knows", [undefined, undefined], null],
  ])("all are over their limit: when %s", async (_name, waits, expected) => {
    const run = start({
      ...two(whole, whole),
      hooks: {
        attempt(_x, { index }) {
          const retryAfterSeconds = waits[index];
          if (retryAfterSeconds === undefined) return { skip: { deny: "provider_limited" } };
          return { skip: { deny: "provider_limited", retryAfterSeconds } };
        },
      },
    });
    const response = await run.answered;
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe(expected);
  });

  test("three credentials: each is tried once, each is ended once", async () => {
    const sent: string[] = [];
    const fetch: Pool["fetch"] = (_url, { headers }) => {
      sent.push(headers.authorization ?? "");
      return json("{}", sent.length < 3 ? 401 : 200)();
    };
    const credentials = [credential("x"), credential("y", 1), credential("z", 2)];
    const run = start({ providers: [{ fetch, credentials }] });
    await settle(run);
    expect(sent).toEqual(["Bearer secret-of-x", "Bearer secret-of-y", "Bearer secret-of-z"]);
    expect(run.told.ended.map((e) => e.result.kind)).toEqual(["refused", "refused", "ok"]);
    expect(run.told.ended.map((e) => e.attempt.index)).toEqual([0, 1, 2]);
  });
});

describe("a client that leaves", () => {
  test("before the head", async () => {
    const abort = new AbortController();
    const run = start({ signal: abort.signal, providers: [{ fetch: hanging }] });
    await sleep(0);
    abort.abort();
    run.house.live.tick();
    await run.answered;
    expect(run.told.outcomes).toMatchObject([{ kind: "client_abort", status: 499 }]);
    expect(run.told.ended).toMatchObject([{ result: { kind: "aborted" } }]);
    expect(run.house.released).toHaveLength(1);
  });

  test("mid-stream", async () => {
    const run = start({ providers: [{ fetch: events("data: hello\n\n", "hang") }] });
    const reader = (await run.answered).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(run.told.outcomes).toMatchObject([{ kind: "client_abort", status: 200, bytes: 13 }]);
    expect(run.told.ended).toMatchObject([{ result: { kind: "aborted", bytes: 13 } }]);
    expect(run.house.live.size).toBe(0);
  });

  test("before its body is whole", async () => {
    const abort = new AbortController();
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        abort.signal.addEventListener("abort", () => controller.error(new Error("gone")));
      },
    });
    const run = start({ signal: abort.signal, body });
    await sleep(0);
    abort.abort();
    await run.answered;
    expect(run.told.outcomes).toMatchObject([{ kind: "client_abort", status: 499 }]);
    expect(run.budget.held).toBe(0);
  });

  test("while a whole reply is being read: the request upstream is cancelled", async () => {
    const abort = new AbortController();
    let cancelled = false;
    const fetch: Pool["fetch"] = (_url, { signal }) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          signal.addEventListener("abort", () => {
            cancelled = true;
            controller.error(new DOMException("aborted", "AbortError"));
          });
        },
      });
      const headers = { "content-type": "application/json", "content-length": "20" };
      return Promise.resolve(new Response(body, { headers }));
    };
    const run = start({ signal: abort.signal, providers: [{ fetch }] });
    await sleep(5);
    abort.abort();
    run.house.live.tick();
    await sleep(5);
    expect(cancelled).toBe(true);
    expect(run.told.outcomes).toMatchObject([{ kind: "client_abort" }]);
  });
});

describe("stop", () => {
  const stops: readonly (readonly [name: string, fetch: Pool["fetch"], said: string])[] = [
    ["before the head", hanging, '"code":"revoked"'],
    ["mid-stream", events("data: hello\n\n", "hang"), "data: hello\n\ndata: error revoked\n\n"],
  ];
  test.each(stops)("%s ends it with words in its dialect", async (_name, fetch, said) => {
    const run = start({ providers: [{ fetch }] });
    await sleep(5);
    expect(run.house.live.abort((x) => x.id === run.x.id, "revoked")).toBe(1);
    expect(await settle(run)).toContain(said);
    expect(run.told.outcomes).toMatchObject([{ kind: "aborted", code: "revoked" }]);
    expect(run.told.ended).toMatchObject([{ result: { kind: "aborted" } }]);
    expect(run.house.live.size).toBe(0);
  });

  test("while a policy thinks: nothing is sent upstream", async () => {
    let sent = 0;
    let decide: (verdict: "pass") => void = () => {};
    const fetch: Pool["fetch"] = () => {
      sent += 1;
      return json("{}")();
    };
    const run = start({
      providers: [{ fetch }],
      deps: { hookDeadlineMs: 1000 },
      hooks: { call: () => new Promise((resolve) => (decide = resolve)) },
    });
    await sleep(5);
    run.house.live.abort(() => true, "revoked");
    decide("pass");
    expect(await settle(run)).toContain('"code":"revoked"');
    expect(sent).toBe(0);
    expect(run.told.outcomes).toMatchObject([{ kind: "aborted", code: "revoked" }]);
  });

  test("between head and stream: the client still reads why", async () => {
    let decide: (verdict: "pass") => void = () => {};
    const run = start({
      providers: [{ fetch: events("data: hello\n\n", "hang") }],
      deps: { hookDeadlineMs: 1000 },
      hooks: { response: () => new Promise((resolve) => (decide = resolve)) },
    });
    await sleep(5);
    run.house.live.abort(() => true, "shutting_down");
    decide("pass");
    expect(await settle(run)).toContain("shutting_down");
    expect(run.told.outcomes).toMatchObject([{ kind: "aborted", code: "shutting_down" }]);
  });
});

describe("deadlines, by a clock turned by hand", () => {
  test("of the first byte: one below, then at it", async () => {
    const run = start({ providers: [{ fetch: hanging }] });
    await sleep(0);
    run.house.clock.advance(999);
    run.house.live.tick();
    await sleep(0);
    expect(run.told.outcomes).toEqual([]);
    run.house.clock.advance(1);
    run.house.live.tick();
    expect(await settle(run)).toContain("upstream_timeout");
    expect(run.told.outcomes).toMatchObject([
      { kind: "upstream_error", code: "upstream_timeout", status: 504 },
    ]);
    expect(run.told.ended).toMatchObject([{ result: { kind: "timeout" } }]);
  });

  test("of silence in a stream", async () => {
    const run = start({ providers: [{ fetch: events("data: hello\n\n", "hang") }] });
    const response = await run.answered;
    const text = response.text();
    await sleep(0);
    run.house.clock.advance(1999);
    run.house.live.tick();
    await sleep(0);
    expect(run.told.outcomes).toEqual([]);
    run.house.clock.advance(1);
    run.house.live.tick();
    expect(await text).toBe("data: hello\n\ndata: error upstream_timeout\n\n");
    expect(run.told.ended).toMatchObject([{ result: { kind: "timeout" } }]);
  });

  test("of the whole, however lively the stream is", async () => {
    let push: (text: string) => void = () => {};
    const fetch: Pool["fetch"] = () => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          push = (text) => {
            try {
              controller.enqueue(encoder.encode(text));
            } catch {
              // The proxy had hung up.
            }
          };
        },
      });
      return Promise.resolve(
        new Response(body, { headers: { "content-type": "text/event-stream" } }),
      );
    };
    const run = start({ providers: [{ fetch }] });
    const text = (await run.answered).text();
    for (let second = 0; second < 10; second++) {
      expect(run.told.outcomes).toEqual([]);
      push(`data: ${second}\n\n`);
      await sleep(0);
      run.house.clock.advance(1000);
      run.house.live.tick();
    }
    expect(await text).toEndWith("data: error upstream_timeout\n\n");
    expect(run.told.outcomes).toMatchObject([{ code: "upstream_timeout" }]);
  });

  test("of the body", async () => {
    const run = start({ body: new ReadableStream<Uint8Array>({}) });
    await sleep(0);
    run.house.clock.advance(1000);
    run.house.live.tick();
    expect(await settle(run)).toContain("body_timeout");
    expect(run.told.outcomes).toMatchObject([{ kind: "denied", code: "body_timeout" }]);
    expect(run.budget.held).toBe(0);
  });

  test("of the body is over once the body is there", async () => {
    let decide: (verdict: "pass") => void = () => {};
    const run = start({
      providers: [{ fetch: json("{}") }],
      deps: { hookDeadlineMs: 1000 },
      hooks: { call: () => new Promise((resolve) => (decide = resolve)) },
    });
    await sleep(5);
    run.house.clock.advance(1001);
    run.house.live.tick();
    expect(run.x.stopped).toBeUndefined();
    decide("pass");
    await settle(run);
    expect(run.told.outcomes).toMatchObject([{ kind: "success" }]);
  });
});

describe("a connection that was kept and is stale", () => {
  const staleCodes = ["ECONNRESET", "ConnectionClosed", "EPIPE"];
  test.each(staleCodes)("%s: the request is sent once more, and no third time", async (code) => {
    let sent = 0;
    let answers = false;
    const fresh: unknown[] = [];
    const fetch: Pool["fetch"] = (_url, init) => {
      sent += 1;
      fresh.push(init.fresh);
      if (answers) return json("{}")();
      return Promise.reject(Object.assign(new Error("no"), { code }));
    };
    const router = createRouter([activeProvider({ fetch })]);
    expect(await settle(start({ router }))).toContain("upstream_unreachable");
    expect(sent).toBe(1);
    answers = true;
    await settle(start({ router }));
    answers = false;
    sent = 0;
    const run = start({ router });
    expect(await settle(run)).toContain("upstream_unreachable");
    expect(sent).toBe(2);
    // The next kept connection may be stale, too.
    expect(fresh.slice(-2)).toEqual([false, true]);
    expect(run.told.ended).toHaveLength(1);
  });

  const breaks: readonly (readonly [fastestMs: number, afterMs: number, sent: number])[] = [
    // A busy machine may take some time to see it.
    [1, 100, 2],
    [1, 101, 1],
    // No round trip takes longer than the fastest answer, and none may have begun to work.
    [400, 400, 2],
    [400, 401, 1],
    [5000, 1000, 2],
    [5000, 1001, 1],
  ];
  test.each(breaks)(
    "fastest answer %d ms, broken after %d ms: sent %d",
    async (fast, after, sent) => {
      const house = createStubHouse();
      const wide = { firstByteMs: 60_000, idleMs: 60_000, totalMs: 60_000 };
      const seen: number[] = [];
      let breaksOff = false;
      const fetch: Pool["fetch"] = () => {
        if (!breaksOff) {
          house.clock.advance(fast);
          return json("{}")();
        }
        seen.push(1);
        house.clock.advance(after);
        return Promise.reject(Object.assign(new Error("no"), { code: "ECONNRESET" }));
      };
      const router = createRouter([{ ...activeProvider({ fetch }), timeouts: wide }]);
      await settle(start({ router, house }));
      breaksOff = true;
      expect(await settle(start({ router, house }))).toContain("upstream_unreachable");
      expect(seen).toHaveLength(sent);
    },
  );

  test("other failures are not sent again", async () => {
    let sent = 0;
    const fetch: Pool["fetch"] = () => {
      sent += 1;
      return Promise.reject(Object.assign(new Error("no"), { code: "ConnectionRefused" }));
    };
    await settle(start({ providers: [{ fetch }] }));
    expect(sent).toBe(1);
  });
});

describe("what an exchange shows", () => {
  const house = createStubHouse();
  const x = startExchange(house, {
    url: "http://127.0.0.1:8317/line?key=a%20b&key=c&x=1",
    headers: { "X-Some": "1" },
    peer: "::ffff:192.0.2.7",
  });
  const facts: readonly (readonly [name: string, got: unknown, expected: unknown])[] = [
    ["path without query", x.path, "/line"],
    ["first value of a parameter, decoded", x.query("key"), "a b"],
    ["absent parameter", x.query("nope"), null],
    ["header in any case", x.header("x-some"), "1"],
    ["IPv4 of a dual-stack socket", x.ip, "192.0.2.7"],
    ["method", x.method, "POST"],
    ["dialect", x.dialect, "line"],
  ];
  test.each(facts)("%s", (_name, got, expected) => expect(got).toEqual(expected));

  test("an id of its own", () => {
    expect(x.id).toMatch(/^req_[0-9a-f-]{36}$/);
    expect(startExchange(house).id).not.toBe(x.id);
  });
});

describe("times", () => {
  test("of the first byte, of the attempt and of the whole are told apart", async () => {
    const house = createStubHouse();
    const late: Pool["fetch"] = (_url, _init) => {
      house.clock.advance(30);
      return json('{"usage":"usage=5"}')();
    };
    const hooks = {
      call() {
        house.clock.advance(7);
        return "pass" as const;
      },
    };
    const run = start({ house, hooks, providers: [{ fetch: late }] });
    await settle(run);
    expect(run.told.ended).toMatchObject([{ result: { kind: "ok", durationMs: 30 } }]);
    expect(run.told.outcomes).toMatchObject([{ firstByteMs: 37, durationMs: 37 }]);
  });

  test("of a stream, the first byte is the first chunk", async () => {
    const house = createStubHouse();
    const run = start({ house, providers: [{ fetch: events(...complete) }] });
    await settle(run);
    expect(run.told.outcomes[0]?.firstByteMs).toBe(0);
  });

  test("no byte was passed on: none", async () => {
    const run = start({ providers: [{ fetch: failing("ECONNREFUSED") }] });
    await settle(run);
    expect(run.told.outcomes).toMatchObject([{ firstByteMs: undefined }]);
  });
});
