import * as v from "valibot";
import type { AdminCall, AdminReply } from "../../src/contract/admin.ts";
import type {
  Deny,
  Exchange,
  Hooks,
  LiveRegistry,
  Policy,
  Verdict,
} from "../../src/contract/policy.ts";
import type { Store } from "../../src/contract/store.ts";
import { type ActivePolicy, compilePipeline } from "../../src/pipeline.ts";
import {
  createLogLines,
  createStubHost,
  createStubHouse,
  type ExchangeOptions,
  type StubHost,
  startExchange,
} from "./stubs.ts";

/** Any policy: its schema's types are of no interest to a test. */
type AnyPolicy = Pick<Policy, "name" | "config"> & {
  create: (config: never, host: StubHost) => unknown;
};

/** The hooks of a configuration as YAML gives it, by local names; undefined: it is off. */
export async function hooksFor(
  policy: AnyPolicy,
  config: object,
  host: StubHost = createStubHost(),
): Promise<Hooks | undefined> {
  const settings = v.parse(policy.config.schema, config);
  return (await policy.create(settings as never, host)) as Hooks | undefined;
}

/** The same of a policy that is on. */
export async function enabled(
  policy: AnyPolicy,
  config: object,
  host: StubHost = createStubHost(),
): Promise<Hooks> {
  const hooks = await hooksFor(policy, config, host);
  if (hooks === undefined) throw new Error(`${policy.name} is off`);
  return hooks;
}

/** A host whose registry of running exchanges holds what it is given. */
export function hostWith(running: readonly Exchange[], facts = {}): StubHost & { cut: string[] } {
  const cut: string[] = [];
  const live: LiveRegistry = {
    size: running.length,
    abort(match, code) {
      const ended = running.filter(match);
      cut.push(...ended.map(({ ip }) => `${ip} ${code}`));
      return ended.length;
    },
  };
  return { ...createStubHost(facts), live, cut };
}

export function exchange(options: ExchangeOptions = {}): ReturnType<typeof startExchange> {
  return startExchange(createStubHouse(), options);
}

/** What a request hook says of an address: `pass`, `trusted`, or the code of its refusal. */
export function answerTo(hooks: Hooks, peer: string, more: ExchangeOptions = {}): string {
  return told(hooks.request?.(exchange({ peer, ...more })));
}

export function told(verdict: Verdict | Promise<Verdict> | undefined): string {
  if (typeof verdict !== "object" || verdict instanceof Promise) return String(verdict);
  if ("deny" in verdict) return verdict.deny;
  if ("answer" in verdict) return "answer";
  return verdict.edit.trusted ? "trusted" : "edit";
}

/** Walks an exchange through the request hooks of some policies, in line. */
export function walkThrough(policies: readonly ActivePolicy[], options: ExchangeOptions) {
  const pipeline = compilePipeline(policies, { log: createLogLines(), hookDeadlineMs: 5 });
  return pipeline.request(exchange(options));
}

/** A store of which some operations are others. */
export function storeWith(store: Store, over: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const own = (over as Record<PropertyKey, unknown>)[name];
      if (own !== undefined) return own;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Calls an operation of the management API as its core would. */
export async function administer(
  hooks: Hooks,
  id: string,
  call: Partial<AdminCall> = {},
): Promise<AdminReply | Deny> {
  const run = hooks.admin?.[id];
  if (run === undefined) throw new Error(`no handler ${id}`);
  return run({
    x: exchange({ peer: "127.0.0.1", surface: "admin" }),
    params: {},
    body: undefined,
    query: {},
    mismatch: () => undefined,
    ...call,
  });
}
