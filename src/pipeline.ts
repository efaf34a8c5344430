import type {
  Attempt,
  AttemptResult,
  Call,
  Exchange,
  Hooks,
  ListedModel,
  Outcome,
  Principal,
  ResponseHead,
  SecurityEvent,
  Stage,
} from "./contract/policy.ts";
import { stages } from "./contract/policy.ts";
import type { Logger, MaybePromise } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import { type AnyVerdict, apply, fault, type Gate, type GateHook } from "./verdict.ts";

/** A policy that its configuration turned on. */
export interface ActivePolicy {
  readonly name: string;
  readonly stage: Stage;
  readonly onFault: "closed" | "open";
  readonly mode: "enforce" | "shadow";
  readonly hooks: Hooks;
}

export interface PipelineDeps {
  readonly log: Logger;
  /** Longest that an asynchronous gate hook may take, in milliseconds. */
  readonly hookDeadlineMs: number;
  /** A verdict that shadow mode discarded. */
  onShadow?(policy: string, hook: string, code: string): void;
}

/** An exchange that the pipeline may write into. */
export type MutableExchange = Exchange & {
  principal: Principal | undefined;
  trusted: boolean;
  /** Headers that policies set or remove on the way to the provider, by lower-case name. */
  sentHeaders?: Record<string, string | null> | undefined;
};

export type { MaybePromise };

/** Head of a response while the hooks edit it. */
export interface MutableHead extends ResponseHead {
  readonly headers: Record<string, string>;
}

/** All hooks of one generation for one surface, as flat arrays. */
export interface Pipeline {
  /** Whether a hook `call` reads the texts of the body. */
  readonly readsTexts: boolean;
  request(x: MutableExchange): MaybePromise<Refusal | undefined>;
  call(x: MutableExchange, call: Call): MaybePromise<Refusal | undefined>;
  attempt(x: MutableExchange, attempt: Attempt): MaybePromise<Refusal | undefined>;
  attemptEnd(x: Exchange, attempt: Attempt, result: AttemptResult): void;
  /** Tells the policies that admitted an attempt that a later one in line has refused it. */
  withdraw(x: Exchange, attempt: Attempt, refusal: Refusal): void;
  /** Whether every policy lets a model be listed. */
  lists(x: Exchange, model: ListedModel): boolean;
  /** Edits `head.headers`; a refusal stands for the whole response. */
  response(x: MutableExchange, head: MutableHead): MaybePromise<Refusal | undefined>;
  finish(x: Exchange, outcome: Outcome): void;
  event(event: SecurityEvent): void;
}

/** Order in line: stage, then name. */
export function inLine<T extends { readonly stage: Stage; readonly name: string }>(
  policies: readonly T[],
): T[] {
  return [...policies].sort(
    (a, b) => stages.indexOf(a.stage) - stages.indexOf(b.stage) || (a.name < b.name ? -1 : 1),
  );
}

/** Compiles policies into flat arrays, so that a request allocates nothing to walk them. */
export function compilePipeline(active: readonly ActivePolicy[], deps: PipelineDeps): Pipeline {
  const line = inLine(active);
  const back = [...line].reverse();
  const request = gates<undefined>(line, "request");
  const call = gates<Call>(line, "call");
  const attempt = gates<Attempt>(line, "attempt");
  const response = gates<MutableHead>(back, "response");
  const attemptEnd = tellers(back, "attemptEnd", deps);
  const withdrawn = new Map(
    line.map(({ name }, i) => {
      const admitted = line.slice(0, i).filter(({ hooks }) => hooks.attempt !== undefined);
      return [name, tellers(admitted.reverse(), "attemptEnd", deps)];
    }),
  );
  const finish = tellers(back, "finish", deps);
  const event = tellers(line, "event", deps);
  const listers = line.filter(({ hooks, mode }) => hooks.lists !== undefined && mode !== "shadow");
  return {
    readsTexts: line.some(({ hooks }) => hooks.texts === true && hooks.call !== undefined),
    request: (x) => walk(request, 0, x, undefined, deps),
    call: (x, facts) => walk(call, 0, x, facts, deps),
    attempt: (x, a) => walk(attempt, 0, x, a, deps),
    response: (x, head) => walkAll(response, 0, x, head, undefined, deps),
    attemptEnd(x, a, result) {
      for (const tell of attemptEnd) tell(x, a, result);
    },
    withdraw(x, a, { policy = "" }) {
      for (const tell of withdrawn.get(policy) ?? []) tell(x, a, unsent);
    },
    lists: (x, model) => listers.every((policy) => isListed(policy, x, model, deps)),
    finish(x, outcome) {
      for (const tell of finish) tell(x, outcome, undefined);
    },
    event(e) {
      for (const tell of event) tell(e, undefined, undefined);
    },
  };
}

const unsent: AttemptResult = {
  kind: "unsent",
  status: 0,
  usage: undefined,
  bytes: 0,
  durationMs: 0,
};

function gates<A>(line: readonly ActivePolicy[], hook: GateHook): Gate<A>[] {
  const found: Gate<A>[] = [];
  for (const policy of line) {
    const run = policy.hooks[hook] as Gate<A>["run"] | undefined;
    if (run !== undefined) found.push({ policy, hook, run: run.bind(policy.hooks) as typeof run });
  }
  return found;
}

/** Without closures: one that a loop could make costs its variables in each turn, made or not. */
function walk<A>(
  line: readonly Gate<A>[],
  from: number,
  x: MutableExchange,
  argument: A,
  deps: PipelineDeps,
): MaybePromise<Refusal | undefined> {
  for (let i = from; i < line.length; i++) {
    const gate = line[i] as Gate<A>;
    let verdict: MaybePromise<AnyVerdict>;
    try {
      verdict = gate.run(x, argument);
    } catch (error) {
      const failed = fault(gate, error, deps);
      if (failed !== undefined) return failed;
      continue;
    }
    if (verdict === "pass") continue;
    if (isPromise(verdict)) return walkOn(line, i, verdict, x, argument, deps);
    const stopped = apply(gate, verdict, x, argument, deps);
    if (stopped !== undefined) return stopped;
  }
  return undefined;
}

/** The rest of a walk, behind a gate that answers late. */
async function walkOn<A>(
  line: readonly Gate<A>[],
  at: number,
  verdict: Promise<AnyVerdict>,
  x: MutableExchange,
  argument: A,
  deps: PipelineDeps,
): Promise<Refusal | undefined> {
  const stopped = await settle(line[at] as Gate<A>, verdict, x, argument, deps);
  return stopped ?? walk(line, at + 1, x, argument, deps);
}

/** A response is shown to every policy, even after one refused it. */
function walkAll(
  line: readonly Gate<MutableHead>[],
  from: number,
  x: MutableExchange,
  head: MutableHead,
  earlier: Refusal | undefined,
  deps: PipelineDeps,
): MaybePromise<Refusal | undefined> {
  let refusal = earlier;
  for (let i = from; i < line.length; i++) {
    const gate = line[i] as Gate<MutableHead>;
    let verdict: MaybePromise<AnyVerdict>;
    try {
      verdict = gate.run(x, head);
    } catch (error) {
      const failed = fault(gate, error, deps);
      refusal ??= failed;
      continue;
    }
    if (verdict === "pass") continue;
    if (isPromise(verdict)) return walkAllOn(line, i, verdict, x, head, refusal, deps);
    const refused = apply(gate, verdict, x, head, deps);
    refusal ??= refused;
  }
  return refusal;
}

async function walkAllOn(
  line: readonly Gate<MutableHead>[],
  at: number,
  verdict: Promise<AnyVerdict>,
  x: MutableExchange,
  head: MutableHead,
  earlier: Refusal | undefined,
  deps: PipelineDeps,
): Promise<Refusal | undefined> {
  const refusal = await settle(line[at] as Gate<MutableHead>, verdict, x, head, deps);
  return walkAll(line, at + 1, x, head, earlier ?? refusal, deps);
}

/** What a late verdict comes to. */
async function settle<A>(
  gate: Gate<A>,
  verdict: Promise<AnyVerdict>,
  x: MutableExchange,
  argument: A,
  deps: PipelineDeps,
): Promise<Refusal | undefined> {
  try {
    return apply(gate, await within(verdict, deps.hookDeadlineMs), x, argument, deps);
  } catch (error) {
    return fault(gate, error, deps);
  }
}

/** What a broken policy would have hidden is not known. */
function isListed(
  { name, hooks }: ActivePolicy,
  x: Exchange,
  model: ListedModel,
  deps: PipelineDeps,
): boolean {
  try {
    return hooks.lists?.(x, model) === true;
  } catch (error) {
    deps.log.error("policy failed", { policy: name, hook: "lists", error });
    return false;
  }
}

type Teller = (a: unknown, b: unknown, c: unknown) => void;

/** Hooks that only listen: one that fails must not keep the others from being told. */
function tellers(
  line: readonly ActivePolicy[],
  hook: "attemptEnd" | "finish" | "event",
  deps: PipelineDeps,
): Teller[] {
  const found: Teller[] = [];
  for (const policy of line) {
    const hear = policy.hooks[hook] as Teller | undefined;
    if (hear === undefined) continue;
    const bound = hear.bind(policy.hooks);
    const hears = hook === "event" ? policy.hooks.hears : undefined;
    const failed = (error: unknown): void =>
      deps.log.error("policy failed", { policy: policy.name, hook, error });
    found.push((a, b, c) => {
      if (hears !== undefined && !hears.includes((a as SecurityEvent).type)) return;
      try {
        const late = bound(a, b, c) as unknown;
        if (isPromise(late)) late.catch(failed);
      } catch (error) {
        failed(error);
      }
    });
  }
  return found;
}

function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && "then" in value;
}

/** A hook that never answers is a fault, not a wait. */
function within<T>(promise: Promise<T>, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Error(`hook took longer than ${deadlineMs} ms`));
    const timer = setTimeout(late, deadlineMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
