import type {
  Attempt,
  AttemptResult,
  AttemptVerdict,
  Call,
  Deny,
  Edit,
  Exchange,
  Hooks,
  ListedModel,
  Outcome,
  Principal,
  ResponseHead,
  SecurityEvent,
  Stage,
  Verdict,
} from "./contract/policy.ts";
import { stages } from "./contract/policy.ts";
import type { Logger, MaybePromise } from "./contract/types.ts";
import { errorTable, type Refusal } from "./errors.ts";

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
export type MutableExchange = Exchange & { principal: Principal | undefined; trusted: boolean };

export type { MaybePromise };

/** Head of a response while the hooks edit it. */
export interface MutableHead extends ResponseHead {
  readonly headers: Record<string, string>;
}

/** All hooks of one generation for one surface, as flat arrays. */
export interface Pipeline {
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

type GateHook = "request" | "call" | "attempt" | "response";
type AnyVerdict = Verdict | AttemptVerdict;

interface Gate<A> {
  readonly policy: ActivePolicy;
  readonly hook: GateHook;
  readonly run: (x: Exchange, argument: A) => MaybePromise<AnyVerdict>;
}

function gates<A>(line: readonly ActivePolicy[], hook: GateHook): Gate<A>[] {
  const found: Gate<A>[] = [];
  for (const policy of line) {
    const run = policy.hooks[hook] as Gate<A>["run"] | undefined;
    if (run !== undefined) found.push({ policy, hook, run: run.bind(policy.hooks) as typeof run });
  }
  return found;
}

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
    if (isPromise(verdict)) {
      return within(verdict, deps.hookDeadlineMs)
        .then(
          (late) => apply(gate, late, x, argument, deps),
          (error) => fault(gate, error, deps),
        )
        .then((stopped) => stopped ?? walk(line, i + 1, x, argument, deps));
    }
    const stopped = apply(gate, verdict, x, argument, deps);
    if (stopped !== undefined) return stopped;
  }
  return undefined;
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
    if (isPromise(verdict)) {
      return within(verdict, deps.hookDeadlineMs)
        .then(
          (late) => apply(gate, late, x, head, deps),
          (error) => fault(gate, error, deps),
        )
        .then((late) => walkAll(line, i + 1, x, head, refusal ?? late, deps));
    }
    const refused = apply(gate, verdict, x, head, deps);
    refusal ??= refused;
  }
  return refusal;
}

/** A verdict that can't even be read is a fault, like one that was not given. */
function apply<A>(
  gate: Gate<A>,
  verdict: AnyVerdict,
  x: MutableExchange,
  argument: A,
  deps: PipelineDeps,
): Refusal | undefined {
  try {
    return judge(gate, verdict, x, argument, deps);
  } catch (error) {
    return fault(gate, error, deps);
  }
}

function judge<A>(
  gate: Gate<A>,
  verdict: AnyVerdict,
  x: MutableExchange,
  argument: A,
  deps: PipelineDeps,
): Refusal | undefined {
  if (verdict === "pass") return undefined;
  if (verdict === "skip" && gate.hook === "attempt") {
    if (shadowed(gate, "skip", deps)) return undefined;
    return { code: "all_skipped", policy: gate.policy.name, tryNext: true };
  }
  if (typeof verdict === "object" && "skip" in verdict && gate.hook === "attempt") {
    if (!Object.hasOwn(errorTable, verdict.skip.deny)) return noVerdict(gate, deps);
    if (shadowed(gate, "skip", deps)) return undefined;
    return { ...toRefusal(verdict.skip, gate.policy.name), tryNext: true };
  }
  if (typeof verdict === "object" && verdict !== null) {
    if ("deny" in verdict && Object.hasOwn(errorTable, verdict.deny)) {
      return shadowed(gate, verdict.deny, deps) ? undefined : toRefusal(verdict, gate.policy.name);
    }
    if ("edit" in verdict && edit(gate, verdict.edit, x, argument, deps)) return undefined;
  }
  return noVerdict(gate, deps);
}

function noVerdict<A>(gate: Gate<A>, deps: PipelineDeps): Refusal | undefined {
  return fault(gate, new TypeError(`hook ${gate.hook} gave no verdict`), deps);
}

/** Applies an edit where its stage and hook allow one; false: they don't. */
function edit<A>(
  gate: Gate<A>,
  change: Edit,
  x: MutableExchange,
  argument: A,
  deps: PipelineDeps,
): boolean {
  if (typeof change !== "object" || change === null) return false;
  const { principal, trusted, headers } = change;
  const inRequest = gate.hook === "request" ? gate.policy.stage : undefined;
  if (principal !== undefined && inRequest !== "identity") return false;
  if (trusted !== undefined && inRequest !== "edge") return false;
  if (headers !== undefined && gate.hook !== "response") return false;
  if (headers !== undefined && !Object.entries(headers).every(isHeader)) return false;
  if (shadowed(gate, "edit", deps)) return true;
  if (principal !== undefined) x.principal = principal;
  if (trusted === true) x.trusted = true;
  if (headers !== undefined) {
    const target = (argument as MutableHead).headers;
    for (const name in headers) {
      const value = headers[name];
      if (value === null || value === undefined) delete target[name.toLowerCase()];
      else target[name.toLowerCase()] = value;
    }
  }
  return true;
}

function toRefusal(verdict: Deny, policy: string): Refusal {
  return {
    code: verdict.deny,
    policy,
    ...(verdict.message !== undefined && { message: verdict.message }),
    ...(verdict.retryAfterSeconds !== undefined && {
      retryAfterSeconds: verdict.retryAfterSeconds,
    }),
    ...(verdict.headers !== undefined && {
      headers: Object.fromEntries(Object.entries(verdict.headers).filter(isHeader)),
    }),
  };
}

function shadowed<A>(gate: Gate<A>, code: string, deps: PipelineDeps): boolean {
  if (gate.policy.mode !== "shadow") return false;
  deps.onShadow?.(gate.policy.name, gate.hook, code);
  return true;
}

/** Faults close: what a broken gate would have said is not known. */
function fault<A>(gate: Gate<A>, error: unknown, deps: PipelineDeps): Refusal | undefined {
  const { name, mode, onFault } = gate.policy;
  deps.log.error("policy failed", { policy: name, hook: gate.hook, error });
  if (mode === "shadow") {
    deps.onShadow?.(name, gate.hook, "policy_fault");
    return undefined;
  }
  return onFault === "open" ? undefined : { code: "policy_fault", policy: name };
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

const headerName = /^[!#$%&'*+.^_`|~0-9a-zA-Z-]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

function isHeader([name, value]: [string, string | null]): boolean {
  return headerName.test(name) && (value === null || headerValue.test(String(value)));
}
