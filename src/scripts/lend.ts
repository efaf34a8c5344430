import type { PolicyHost, SecurityEvent } from "../contract/policy.ts";
import { eventTypes } from "../contract/policy.ts";
import type { ScriptHost, ScriptStore } from "../contract/script.ts";
import type { Store } from "../contract/store.ts";
import type { ScriptCounts } from "./counts.ts";

/** What of the house a policy from disk may use, guarded against what it may get wrong. */
export interface Lent {
  readonly store: ScriptStore;
  log(level: "info" | "warn" | "error", message: string, fields: unknown): void;
  emit(event: SecurityEvent): void;
  count(event: string, by: number): void;
}

/** Most lines and events of one policy in a second; what is beyond is counted. */
export const perSecond = 50;

export function lendTo(name: string, host: PolicyHost, counts: ScriptCounts): Lent {
  const budget = { second: 0, left: perSecond, dropped: 0 };
  const mayTell = (): boolean => {
    const second = Math.floor(host.clock.mono() / 1000);
    if (second !== budget.second) {
      if (budget.dropped > 0) host.log.warn("told too much", { dropped: budget.dropped });
      Object.assign(budget, { second, left: perSecond, dropped: 0 });
    }
    budget.left -= 1;
    if (budget.left < 0) budget.dropped += 1;
    return budget.left >= 0;
  };
  return {
    store: toScriptStore(host.store, host),
    log(level, message, fields) {
      if (mayTell()) host.log[level](String(message), toFields(fields));
    },
    emit(event) {
      if (!mayTell()) return;
      const wrong = wrongEvent(event);
      if (wrong === undefined) host.emit({ ...event, details: { ...event.details, policy: name } });
      else host.log.warn(`emit: ${wrong}`);
    },
    count(event, by) {
      const wrong = counts.add(name, event, by);
      if (wrong !== undefined && mayTell()) host.log.warn(`count: ${wrong}`);
    },
  };
}

function toFields(fields: unknown): Readonly<Record<string, unknown>> {
  return typeof fields === "object" && fields !== null ? { ...fields } : {};
}

function wrongEvent(event: SecurityEvent): string | undefined {
  if (typeof event !== "object" || event === null) return "is no event";
  if (!eventTypes.includes(event.type)) return `the type must be one of ${eventTypes.join(", ")}`;
  if (typeof event.result !== "string") return "the result must be text";
  const values = Object.values(event.details ?? {});
  const isFlat = values.every((value) => ["string", "number", "boolean"].includes(typeof value));
  return isFlat ? undefined : "details must be text, numbers or true and false";
}

function toScriptStore(store: Store, { clock }: PolicyHost): ScriptStore {
  return {
    async get(key) {
      return await store.get(String(key));
    },
    async put(key, value, expiresInMs) {
      const until = expiresInMs === undefined ? undefined : clock.now() + Number(expiresInMs);
      await store.put(String(key), String(value), until);
    },
    async remove(key) {
      return await store.remove(String(key));
    },
    async list(prefix) {
      const entries = await store.list(String(prefix));
      return entries.map(({ key, value }) => ({ key, value }));
    },
    async take(key, capacity, refill) {
      const bucket = { key: String(key), capacity: Number(capacity), perSecond: Number(refill) };
      if (!(bucket.capacity >= 1 && bucket.perSecond > 0)) {
        throw new Error("take needs a capacity of at least 1 and a rate above 0");
      }
      const { admitted, levels } = await store.take([bucket], [1]);
      return admitted ? 0 : Math.max(1, levels[0]?.waitMs ?? 1);
    },
  };
}

/** The host of a policy that runs in the house itself. */
export function toLocalHost(name: string, host: PolicyHost, lent: Lent): ScriptHost {
  const say =
    (level: "info" | "warn" | "error") =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      lent.log(level, message, fields);
  return {
    name,
    serving: host.facts.serving,
    providers: host.facts.providers,
    store: lent.store,
    log: { info: say("info"), warn: say("warn"), error: say("error") },
    now: () => host.clock.now(),
    emit: lent.emit,
    count: (event, by = 1) => lent.count(event, by),
  };
}
