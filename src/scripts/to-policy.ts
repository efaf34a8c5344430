import * as v from "valibot";
import type { Coverage, Exchange, Hooks, Policy, PolicyHost, Stage } from "../contract/policy.ts";
import { stages } from "../contract/policy.ts";
import type { ScriptCall, ScriptHooks } from "../contract/script.ts";
import { type Surface, surfaces } from "../contract/types.ts";
import { configFault } from "../kit/config-fault.ts";
import type { ScriptCounts } from "./counts.ts";
import type { Keeper, Told } from "./keeper.ts";
import { type Lent, lendTo, toLocalHost } from "./lend.ts";
import type { Described, ScriptHook, SettingsIssue } from "./messages.ts";
import { type LoadedScript, runScript } from "./run.ts";
import { LocalExchange, toAttemptData, toCallData, toExchangeData } from "./seen.ts";
import type { ScriptRollout } from "./settings.ts";

/** A policy whose code was loaded and described itself. */
export interface DescribedScript {
  readonly name: string;
  readonly code: string;
  readonly described: Described;
  readonly keeper: Keeper;
}

/** Refuses a description that fits no policy; a sentence that says why, or undefined. */
export function wrongDescription(described: Described): string | undefined {
  const { stage, onFault, surfaces: seen, streams } = described;
  if (!stages.includes(stage as Stage)) return `stage must be one of ${stages.join(", ")}`;
  if (onFault !== "closed" && onFault !== "open") return "onFault must be closed or open";
  if (typeof streams !== "boolean") return "covers.streams must be true or false";
  const known =
    seen === "all" || (Array.isArray(seen) && seen.every((one) => surfaces.includes(one)));
  if (!known) return `covers.surfaces must be "all" or a list of ${surfaces.join(", ")}`;
  return described.summary.trim() === "" || described.summary === "undefined"
    ? "summary must say in one sentence what it does"
    : undefined;
}

/** What a policy whose description is right says that it can see. */
export function toCoverage({ surfaces: seen, streams, admin }: Described): Coverage {
  return {
    surfaces: seen as "all" | readonly Surface[],
    streams: streams as boolean,
    admin: admin === true,
  };
}

/** Makes a policy like any other of one from disk. */
export function toPolicy(
  script: DescribedScript,
  rollout: ScriptRollout,
  counts: ScriptCounts,
): Policy {
  const { name, described } = script;
  return {
    name,
    summary: described.summary,
    stage: described.stage as Stage,
    onFault: described.onFault as "closed" | "open",
    covers: toCoverage(described),
    config: { keys: {}, schema: v.strictObject({}) },
    async create(_config, host) {
      counts.offer(host);
      const lent = lendTo(name, host, counts);
      return rollout.isolate === "worker"
        ? inThread(script, rollout, host, lent)
        : inHouse(script, rollout, host, lent);
    },
  };
}

async function inThread(
  { name, keeper, described: { texts } }: DescribedScript,
  { settings }: ScriptRollout,
  host: PolicyHost,
  lent: Lent,
): Promise<Hooks> {
  const { serving, providers } = host.facts;
  const tell = (told: Told, reply: (value: unknown, failed?: string) => void): void => {
    if (told.t === "log") lent.log(told.level, told.message, told.fields);
    else if (told.t === "emit") lent.emit(told.event);
    else if (told.t === "count") lent.count(told.event, told.by);
    else answerStore(lent, told.op, told.args, reply);
  };
  const made = await keeper.create(settings, { name, serving, providers }, tell);
  if ("issues" in made) throw toFaults(name, made.issues);
  const ask = (hook: ScriptHook, ...args: readonly unknown[]) => keeper.ask(hook, args);
  const all: Required<Pick<Hooks, ScriptHook>> = {
    request: (x) => ask("request", toExchangeData(x)) as never,
    call: (x, call) => ask("call", toExchangeData(x), toCallData(call, texts)) as never,
    attempt: (x, attempt) => ask("attempt", toExchangeData(x), toAttemptData(attempt)) as never,
    attemptEnd: (x, attempt, result) =>
      ask("attemptEnd", toExchangeData(x), toAttemptData(attempt), result) as never,
    response: (x, head) => ask("response", toExchangeData(x), { ...head }) as never,
    finish: (x, outcome) => ask("finish", toExchangeData(x), outcome) as never,
    event: (event) => ask("event", event) as never,
  };
  return { ...pick(all, made, () => keeper.dispose()), texts };
}

async function inHouse(
  script: DescribedScript,
  rollout: ScriptRollout,
  host: PolicyHost,
  lent: Lent,
): Promise<Hooks> {
  const { name, described } = script;
  const { texts } = described;
  const { settings } = rollout;
  refuseThreadLimits(name, rollout);
  // The thread was only to see what the code says of itself.
  await script.keeper.dispose();
  const loaded: LoadedScript = await runScript(script.code);
  const made = await loaded.create(settings, toLocalHost(name, host, lent));
  if (Array.isArray(made)) throw toFaults(name, made as readonly SettingsIssue[]);
  const hooks = made as ScriptHooks;
  const see = (x: Exchange): LocalExchange => new LocalExchange(x);
  const all: Required<Pick<Hooks, ScriptHook>> = {
    request: (x) => hooks.request?.(see(x)) as never,
    call: (x, call) => hooks.call?.(see(x), toCallData(call, texts) as ScriptCall) as never,
    attempt: (x, attempt) => hooks.attempt?.(see(x), toAttemptData(attempt)) as never,
    attemptEnd: (x, attempt, result) => hooks.attemptEnd?.(see(x), toAttemptData(attempt), result),
    response: (x, head) =>
      hooks.response?.(see(x), { ...head, headers: { ...head.headers } }) as never,
    finish: (x, outcome) => hooks.finish?.(see(x), outcome),
    event: (event) => hooks.event?.(event),
  };
  const present = (Object.keys(all) as ScriptHook[]).filter((hook) => hooks[hook] !== undefined);
  return { ...pick(all, present, () => hooks.dispose?.()), texts };
}

/** In the house nothing can time or measure it: a limit would be a promise that nobody keeps. */
function refuseThreadLimits(name: string, { deadline, memory }: ScriptRollout): void {
  const given = [deadline !== undefined && "deadline", memory !== undefined && "memory_mib"];
  const faults = given
    .filter((key) => key !== false)
    .map((key) => {
      const mend = "remove it, or set isolate: worker";
      return configFault(`policies.${name}.${key}`, "has no effect with isolate: none", mend);
    });
  if (faults.length > 0) throw new AggregateError(faults, `the settings of ${name} are wrong`);
}

function pick(
  all: Required<Pick<Hooks, ScriptHook>>,
  present: readonly ScriptHook[],
  dispose: () => void | Promise<void>,
): Hooks {
  return { ...Object.fromEntries(present.map((hook) => [hook, all[hook]])), dispose };
}

function answerStore(
  { store }: Lent,
  op: string,
  args: readonly unknown[],
  reply: (value: unknown, failed?: string) => void,
): void {
  const operations = store as unknown as Record<
    string,
    (...all: readonly unknown[]) => Promise<unknown>
  >;
  const operation = Object.hasOwn(operations, op) ? operations[op] : undefined;
  if (operation === undefined) {
    reply(undefined, `the store has no ${op}`);
    return;
  }
  operation(...args).then(
    (value) => reply(value),
    (error) => reply(undefined, error instanceof Error ? error.message : String(error)),
  );
}

function toFaults(name: string, issues: readonly SettingsIssue[]): Error {
  const faults = issues.map(({ path, message }) => {
    const at = ["policies", name, ...path].join(".");
    return configFault(at, message, "see the `config` schema of the policy");
  });
  return new AggregateError(faults, `the settings of ${name} are wrong`);
}
