import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import type { ErrorCode } from "../../src/contract/errors.ts";
import { errorTable } from "../../src/errors.ts";
import { type Answer, ask } from "../harness/answer.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { clientKey, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

/** The proxy's credential, which must be seen by its provider alone. */
export const canary = "upstream-canary-key-77";

/** A dialect of clients, and how it tells errors. */
export interface ClientDialect {
  readonly name: string;
  path(model: string, stream: boolean): string;
  body(model: string, stream: boolean): object;
  /** Whether a text is, or ends in, an error of that code in the dialect's own shape. */
  tells(text: string, code: ErrorCode, inStream: boolean): boolean;
}

const messages = [{ role: "user", content: "hello" }];

/** Those that are served; one more entry runs every table in another dialect, too. */
export const dialects: readonly ClientDialect[] = [
  {
    name: "openai-chat",
    path: () => "/v1/chat/completions",
    body: (model, stream) => ({ model, stream, messages }),
    tells(text, code, inStream) {
      const json = inStream ? (/\n\ndata: (.*)\n\n$/.exec(text)?.[1] ?? "{}") : text;
      return (JSON.parse(json) as { error?: { code?: string } }).error?.code === code;
    },
  },
  {
    name: "anthropic-messages",
    path: () => "/v1/messages",
    body: (model, stream) => ({ model, stream, max_tokens: 9, messages }),
    tells(text, code, inStream) {
      const json = inStream ? (/\nevent: error\ndata: (.*)\n\n$/.exec(text)?.[1] ?? "{}") : text;
      const { type, error } = JSON.parse(json) as { type?: string; error?: { message?: string } };
      return type === "error" && error?.message === errorTable[code].message;
    },
  },
];

/**
 * What a client is to get: our refusal by its code, `event` with one in a running stream, the
 * provider's own `error` with its status, the reply `whole`, a connection that is `cut`, or
 * whatever of these says that the reply is `broken`: what has come by then is a matter of timing.
 */
export type Expected =
  | ErrorCode
  | `event ${ErrorCode}`
  | `own ${number}`
  | "whole"
  | "cut"
  | "broken";

/** One line of a table. */
export type Row = readonly [
  name: string,
  script: Script,
  expected: Expected,
  check?: (answer: Answer, dialect: ClientDialect) => void,
];

export interface Bench {
  readonly upstream: FakeUpstream;
  readonly proxy: RunningProxy;
  readonly before: { readonly fds: number; readonly rssBytes: number };
}

export const timeouts = { first_byte: "1s", idle: "1s", total: "2500ms" };

/** Rows about deadlines get short ones; the others must not fail on a busy machine. */
export function isTimed([name, , expected]: Row): boolean {
  return expected.includes("timeout") || /silence|for ever|in a drip/.test(name);
}

/** A proxy in front of a faulty provider, warm, so that growth is seen. */
export async function openBench(): Promise<Bench> {
  const upstream = await startUpstream();
  const patient = { base_url: upstream.url, api_key: canary };
  const timed = { ...patient, timeout: timeouts };
  const proxy = await startProxy({
    config: {
      providers: {
        "patient-openai-chat": { protocol: "openai", ...patient },
        "patient-anthropic-messages": { protocol: "claude", ...patient },
        "timed-openai-chat": { protocol: "openai", ...timed },
        "timed-anthropic-messages": { protocol: "claude", ...timed },
      },
    },
  });
  const bench = { upstream, proxy, before: { fds: 0, rssBytes: 0 } };
  for (let i = 0; i < 20; i++) await isAlive(bench);
  return { ...bench, before: measure(proxy.pid) };
}

/** Tables may use a name twice. */
let runs = 0;

/**
 * Sends a request that meets the row's fault, and checks what every row has in common.
 * @param streams what the request asks for, once each
 */
export async function runRow(
  bench: Bench,
  dialect: ClientDialect,
  row: Row,
  streams: readonly boolean[] = [false, true],
): Promise<void> {
  const [name, script, expected, check] = row;
  runs += 1;
  const model = `${name}, ${dialect.name}, ${runs}`;
  bench.upstream.on(model, script);
  const asked = streams.map((stream) =>
    askFor(bench, dialect, model, stream, isTimed(row) ? "timed" : "patient"),
  );
  for (const answer of await Promise.all(asked)) {
    checkExpected(answer, dialect, expected);
    checkNothingLeaked(answer, bench.upstream.url);
    check?.(answer, dialect);
  }
  // Once more where a kept connection may have been stale, and never a third time.
  expect(bench.upstream.for(model).length).toBeWithin(streams.length, 2 * streams.length + 1);
  await isAlive(bench);
}

function askFor(
  { proxy }: Bench,
  dialect: ClientDialect,
  model: string,
  stream: boolean,
  provider: "timed" | "patient",
): Promise<Answer> {
  const headers = [
    ["authorization", `Bearer ${clientKey}`],
    ["content-type", "application/json"],
  ] as const;
  const named = `${provider}-${dialect.name}/${model}`;
  const body = JSON.stringify(dialect.body(named, stream));
  return ask(proxy.url, dialect.path(named, stream), headers, body);
}

function checkExpected(answer: Answer, dialect: ClientDialect, expected: Expected): void {
  const { status, ending, body } = answer;
  const [kind = "", detail = ""] = expected.split(" ");
  if (expected === "whole") {
    expect([status, ending]).toEqual([200, "whole"]);
    expect(body).toContain("Hello");
    expect(body).not.toContain('"upstream_');
  } else if (expected === "cut") {
    expect([status, ending]).toEqual([200, "cut"]);
  } else if (expected === "broken") {
    expect([502, 200]).toContain(status);
    expect(ending).toBe(status === 200 ? "cut" : "whole");
  } else if (kind === "own") {
    expect([status, ending]).toEqual([Number(detail), "whole"]);
    expect(body).toContain("own-words");
  } else {
    const code = (detail || kind) as ErrorCode;
    const isEvent = kind === "event";
    expect([status, ending]).toEqual([isEvent ? 200 : errorTable[code].status, "whole"]);
    expect([body, dialect.tells(body, code, isEvent)]).toEqual([body, true]);
  }
}

/** All that an answer may be headed by. */
const known = new Set([
  ...["content-security-policy", "x-content-type-options", "x-frame-options", "x-xss-protection"],
  ...["cache-control", "connection", "content-length", "content-type", "date", "keep-alive"],
  ...["retry-after", "retry-after-ms", "transfer-encoding", "x-accel-buffering", "x-request-id"],
  ...["x-should-retry", "x-upstream-request-id"],
  // The proxy's own, if it sets them; not HSTS, which every fault tries to smuggle in here.
  ...["x-content-type-options", "x-frame-options", "x-xss-protection", "content-security-policy"],
]);
const limits = /^(?:x|anthropic)-ratelimit-/;

function checkNothingLeaked({ text, headers }: Answer, url: string): void {
  const names = headers.map(([name]) => name);
  expect(names.filter((name) => !known.has(name) && !limits.test(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
  for (const secret of [
    canary,
    "secret",
    "10.1.2.3",
    new URL(url).host,
    "127.0.0.1",
    "localhost",
  ]) {
    expect(text).not.toContain(secret);
  }
}

async function isAlive(bench: Bench): Promise<void> {
  for (const dialect of dialects) {
    const answer = await askFor(bench, dialect, "fine", false, "patient");
    expect([answer.status, answer.body.includes("Hello")]).toEqual([200, true]);
  }
}

/** After all rows: no exchange, connection or memory is left behind, and no word in the log. */
export async function checkNothingLeft({ upstream, proxy, before }: Bench): Promise<void> {
  // Kept connections are there to be used again.
  const others = () => measure(proxy.pid).fds - upstream.openSockets;
  await until("the connections are closed", () => others() <= before.fds + 2);
  expect(measure(proxy.pid).rssBytes - before.rssBytes).toBeLessThan(50_000_000);
  expect(proxy.stdout() + proxy.stderr()).not.toContain(canary);
  expect(proxy.stdout() + proxy.stderr()).not.toContain(clientKey);
  expect(proxy.stderr()).not.toContain('"level":"error"');
  const started = performance.now();
  expect(await proxy.stop()).toBe(0);
  // An exchange that was never told of its end would hold the drain for its 25 seconds.
  expect(performance.now() - started).toBeLessThan(3000);
}

export function measure(pid: number): { readonly fds: number; readonly rssBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const rssBytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  return { fds: readdirSync(`/proc/${pid}/fd`).length, rssBytes };
}
