import type { ScriptHooks, ScriptHost, ScriptStore } from "../contract/script.ts";
import { threadPort } from "../runtime/thread.ts";
import { confine } from "./confine.ts";
import { toScriptExchange } from "./exchange-view.ts";
import { toFailure } from "./failure.ts";
import type { FromThread, ScriptHook, ThreadFacts, ToThread } from "./messages.ts";
import { scriptHooks } from "./messages.ts";
import { type LoadedScript, runScript } from "./run.ts";

/** What one thread runs: the code of one policy, and nothing of the house. */
async function main(): Promise<void> {
  const port = await threadPort();
  const send = (message: FromThread): void => port.post(message);
  const replies = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let code = "";
  let script: LoadedScript | undefined;
  let hooks: ScriptHooks = {};
  let mark: Int32Array = new Int32Array(1);
  let asked = 0;
  const ask = (op: string, args: readonly unknown[]): Promise<unknown> => {
    const id = ++asked;
    return new Promise((resolve, reject) => {
      replies.set(id, { resolve, reject });
      send({ t: "store", id, op, args });
    });
  };
  const handlers: { readonly [T in ToThread["t"]]: (m: ToThread & { t: T }) => unknown } = {
    async load({ code: source, mark: shared, granted }) {
      mark = shared;
      code = source;
      confine(granted);
      script = await runScript(source);
      send({ t: "loaded", described: script.described });
    },
    async create({ settings, facts }) {
      const made = await script?.create(settings, toHost(facts, send, ask));
      if (made === undefined) return;
      if (Array.isArray(made)) return send({ t: "issues", issues: made });
      hooks = made as ScriptHooks;
      send({ t: "created", hooks: scriptHooks.filter((name) => hooks[name] !== undefined) });
    },
    hook({ id, hook, args }) {
      Atomics.store(mark, 0, id);
      const threw = (error: unknown): void =>
        send({ t: "threw", id, failure: toFailure(error, code) });
      answer(send, threw, hooks, id, hook, args);
      Atomics.store(mark, 0, 0);
    },
    reply({ id, value, failed }) {
      const waiting = replies.get(id);
      replies.delete(id);
      if (failed === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(failed));
    },
    ping: () => send({ t: "pong", heapBytes: port.heapBytes() }),
    async dispose() {
      await hooks.dispose?.();
      send({ t: "disposed" });
    },
  };
  port.listen(async (message) => {
    const told = message as ToThread;
    try {
      await (handlers[told.t] as (m: ToThread) => unknown)(told);
    } catch (error) {
      send({ t: "failed", failure: toFailure(error, code) });
    }
  });
}

function answer(
  send: (message: FromThread) => void,
  threw: (error: unknown) => void,
  hooks: ScriptHooks,
  id: number,
  hook: ScriptHook,
  args: readonly unknown[],
): void {
  const gave = (verdict: unknown): void => {
    try {
      send({ t: "verdict", id, verdict });
    } catch (error) {
      // What can't be copied is no plain data.
      threw(error);
    }
  };
  try {
    const run = hooks[hook] as (...all: unknown[]) => unknown;
    const [first, ...rest] = args;
    const seen = hook === "event" ? first : toScriptExchange(first);
    const verdict = run.call(hooks, seen, ...rest);
    if (verdict instanceof Promise) verdict.then(gave, threw);
    else gave(verdict);
  } catch (error) {
    threw(error);
  }
}

function toHost(
  facts: ThreadFacts,
  send: (message: FromThread) => void,
  ask: (op: string, args: readonly unknown[]) => Promise<unknown>,
): ScriptHost {
  const say =
    (level: "info" | "warn" | "error") =>
    (message: string, fields: unknown = {}): void =>
      send({ t: "log", level, message: String(message), fields });
  const store: ScriptStore = {
    get: (key) => ask("get", [key]) as Promise<string | undefined>,
    put: (key, value, expiresInMs) => ask("put", [key, value, expiresInMs]) as Promise<void>,
    remove: (key) => ask("remove", [key]) as Promise<boolean>,
    list: (prefix) => ask("list", [prefix]) as ReturnType<ScriptStore["list"]>,
    take: (key, capacity, perSecond) => ask("take", [key, capacity, perSecond]) as Promise<number>,
  };
  return {
    ...facts,
    store,
    log: { info: say("info"), warn: say("warn"), error: say("error") },
    now: () => Date.now(),
    emit: (event) => send({ t: "emit", event }),
    count: (event, by = 1) => send({ t: "count", event, by }),
  };
}

await main();
