import type { AttemptVerdict, Deny, Edit, Exchange, Verdict } from "./contract/policy.ts";
import { errorTable, type Refusal } from "./errors.ts";
import { isKept } from "./kit/kept-headers.ts";
import type {
  ActivePolicy,
  MaybePromise,
  MutableExchange,
  MutableHead,
  PipelineDeps,
} from "./pipeline.ts";

export type GateHook = "request" | "call" | "attempt" | "response";
export type AnyVerdict = Verdict | AttemptVerdict;

/** A call that the core changes for a policy. */
interface EditableCall {
  /** Says what is wrong with the edit; undefined: it was applied. */
  edit(change: Edit): string | undefined;
}

/** One hook of one policy that may refuse. */
export interface Gate<A> {
  readonly policy: ActivePolicy;
  readonly hook: GateHook;
  readonly run: (x: Exchange, argument: A) => MaybePromise<AnyVerdict>;
}

/** A verdict that can't even be read is a fault, like one that was not given. */
export function apply<A>(
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
    if ("answer" in verdict && gate.hook === "call" && typeof verdict.answer.text === "string") {
      if (shadowed(gate, "answer", deps)) return undefined;
      const { text } = verdict.answer;
      return { code: "policy_fault", policy: gate.policy.name, answer: { text } };
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
  const ofCall = change.model ?? change.parameters ?? change.texts;
  if (ofCall !== undefined && gate.hook !== "call") return false;
  const inRequest = gate.hook === "request" ? gate.policy.stage : undefined;
  if (principal !== undefined && inRequest !== "identity") return false;
  if (trusted !== undefined && inRequest !== "edge") return false;
  if (headers !== undefined && gate.hook === "attempt") return false;
  const isSent = headers !== undefined && gate.hook !== "response";
  if (isSent && Object.keys(headers).some((name) => isKept(name.toLowerCase()))) return false;
  if (headers !== undefined && !Object.entries(headers).every(isHeader)) return false;
  if (shadowed(gate, "edit", deps)) return true;
  if (ofCall !== undefined) {
    const wrong = (argument as EditableCall).edit(change);
    if (wrong !== undefined) throw new TypeError(`hook call gave no good edit: ${wrong}`);
  }
  if (principal !== undefined) x.principal = principal;
  if (trusted === true) x.trusted = true;
  if (isSent) {
    x.sentHeaders ??= {};
    for (const name in headers) x.sentHeaders[name.toLowerCase()] = headers[name] ?? null;
  } else if (headers !== undefined) {
    const target = (argument as MutableHead).headers;
    for (const name in headers) {
      const value = headers[name];
      if (value === null || value === undefined) delete target[name.toLowerCase()];
      else target[name.toLowerCase()] = value;
    }
  }
  return true;
}

/** A refusal as the core carries it; headers that are none are left out. */
export function toRefusal(verdict: Deny, policy?: string): Refusal {
  return {
    code: verdict.deny,
    ...(policy !== undefined && { policy }),
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
export function fault<A>(gate: Gate<A>, error: unknown, deps: PipelineDeps): Refusal | undefined {
  const { name, mode, onFault } = gate.policy;
  deps.log.error("policy failed", { policy: name, hook: gate.hook, error });
  if (mode === "shadow") {
    deps.onShadow?.(name, gate.hook, "policy_fault");
    return undefined;
  }
  return onFault === "open" ? undefined : { code: "policy_fault", policy: name };
}

const headerName = /^[!#$%&'*+.^_`|~0-9a-zA-Z-]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

function isHeader([name, value]: [string, string | null]): boolean {
  return headerName.test(name) && (value === null || headerValue.test(String(value)));
}
