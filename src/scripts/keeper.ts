import type { Clock, Logger } from "../contract/types.ts";
import type { Thread } from "../runtime/runtime.ts";
import type { Asked } from "./asked.ts";
import { ScriptFault } from "./fault.ts";
import type {
  Described,
  FromThread,
  ScriptHook,
  SettingsIssue,
  ThreadFacts,
  ToThread,
} from "./messages.ts";
import { Watchdog } from "./watchdog.ts";

export interface KeeperParts {
  readonly name: string;
  readonly code: string;
  readonly granted: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  openThread(memoryMib: number): Thread;
  /** Bytes of memory that the process holds. */
  rssBytes(): number;
}

/** What the thread asks of the house between verdicts. */
export type Told = FromThread & { readonly t: "store" | "log" | "emit" | "count" };

/** How long a module may take to load, and `create` to build, in milliseconds. */
const startMs = 5000;
/** Most hooks that wait for a thread. */
export const mostAsked = 4096;
/** How often a hook that another one's failure interrupted is asked again. */
const mostRepeats = 2;
/** After so many failures in a row to start, the thread is tried once a second. */
const startsInARow = 3;
const pauseMs = 1000;

/**
 * Keeps one policy's thread: asks it, times it, replaces it when it hangs, dies or eats memory.
 * Whoever was waiting without being guilty is asked again of the next one.
 */
export class Keeper {
  readonly #parts: KeeperParts;
  readonly #asked = new Map<number, Asked>();
  readonly #watchdog: Watchdog;
  readonly #limits = { deadlineMs: 250, memoryMib: 128 };
  #tell: (told: Told, reply: (value: unknown, failed?: string) => void) => void = () => {};
  #thread: Thread | undefined = undefined;
  #mark: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  #settings: unknown = undefined;
  #facts: ThreadFacts | undefined = undefined;
  #next = 0;
  #ready = false;
  #failures = 0;
  #resumeAtMs = 0;
  #starting: Promise<void> | undefined = undefined;
  #step: ((message: FromThread) => void) | undefined = undefined;
  #disposed = false;
  /** Threads that were replaced so far. */
  replaced = 0;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#watchdog = new Watchdog(parts, this.#limits, {
      oldest: () => this.#asked.values().next().value,
      ping: () => this.#post({ t: "ping" }),
      giveUp: (reason) => this.#replace(reason),
      expire: (asked) => this.#expire(asked),
    });
  }

  /** How long a hook may take, in milliseconds, and how much its thread may hold, in MiB. */
  limit(deadlineMs: number | undefined, memoryMib: number | undefined): void {
    if (deadlineMs !== undefined) this.#limits.deadlineMs = deadlineMs;
    if (memoryMib !== undefined) this.#limits.memoryMib = memoryMib;
  }

  /**
   * Starts the thread and loads the code.
   * @throws ScriptFault when the code fails
   */
  async load(): Promise<Described> {
    const loaded = await this.#open();
    if (loaded.t !== "loaded") throw toFault(loaded);
    return loaded.described;
  }

  /**
   * Builds the hooks; what the thread tells later goes to `tell`.
   * @returns the hooks there are, or what is wrong with the settings
   * @throws ScriptFault when the code fails
   */
  async create(
    settings: unknown,
    facts: ThreadFacts,
    tell: (told: Told, reply: (value: unknown, failed?: string) => void) => void,
  ): Promise<readonly ScriptHook[] | { readonly issues: readonly SettingsIssue[] }> {
    this.#settings = settings;
    this.#facts = facts;
    this.#tell = tell;
    const made = await this.#await({ t: "create", settings, facts });
    if (made.t === "issues") return { issues: made.issues };
    if (made.t !== "created") throw toFault(made);
    this.#ready = true;
    return made.hooks;
  }

  /** Asks a hook; rejects with a ScriptFault when there will be no answer. */
  ask(hook: ScriptHook, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#disposed || this.#asked.size >= mostAsked) {
        const why = this.#disposed ? "has ended" : `has ${mostAsked} hooks waiting`;
        reject(new ScriptFault(`policy ${this.#parts.name} ${why}`));
        return;
      }
      this.#next = (this.#next % 0x7fff_ffff) + 1;
      const id = this.#next;
      const atMs = this.#parts.clock.mono();
      const asked: Asked = { id, hook, args, resolve, reject, atMs, repeats: 0 };
      this.#asked.set(id, asked);
      if (this.#ready) {
        this.#watchdog.wake();
        this.#send(asked);
      } else void this.#restart();
    });
  }

  /** Lets the policy say goodbye, for a moment, and ends its thread. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#watchdog.stop();
    for (const asked of this.#asked.values()) {
      asked.reject(new ScriptFault(`policy ${this.#parts.name} has ended`));
    }
    this.#asked.clear();
    if (this.#ready) await this.#sayGoodbye();
    this.#watchdog.stop();
    this.#thread?.kill();
  }

  /** Under guard: what runs away in a hook that nobody waits for would go on until the deadline. */
  async #sayGoodbye(): Promise<void> {
    const atMs = this.#parts.clock.mono();
    const none = (): void => {};
    const goodbye = { id: 0, hook: "dispose", args: [], resolve: none, reject: none } as const;
    this.#asked.set(goodbye.id, { ...goodbye, atMs, repeats: 0 });
    this.#watchdog.wake();
    await this.#await({ t: "dispose" }).catch(() => undefined);
    this.#asked.clear();
  }

  #send({ id, hook, args }: Asked): void {
    if (hook === "dispose") return;
    try {
      this.#post({ t: "hook", id, hook, args });
    } catch (error) {
      this.#settle(id)?.reject(error as Error);
    }
  }

  #post(message: ToThread): void {
    this.#thread?.post(message);
  }

  #settle(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    return asked;
  }

  /** Opens a thread and loads the code; resolves with what it says. */
  #open(): Promise<FromThread> {
    const thread = this.#parts.openThread(this.#limits.memoryMib);
    this.#thread = thread;
    this.#mark = new Int32Array(new SharedArrayBuffer(4));
    thread.onMessage = (message) => this.#hear(thread, message as FromThread);
    thread.onEnd = (reason) => {
      if (this.#thread === thread) this.#replace(reason);
    };
    const { code, granted } = this.#parts;
    return this.#await({ t: "load", code, mark: this.#mark, granted });
  }

  /** Sends what has one answer, and waits for that. */
  #await(message: ToThread): Promise<FromThread> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#step = undefined;
        reject(new ScriptFault(`took longer than ${startMs} ms to ${message.t}`));
      }, startMs);
      this.#step = (answer) => {
        clearTimeout(timer);
        this.#step = undefined;
        resolve(answer);
      };
      this.#post(message);
    });
  }

  #hear(thread: Thread, message: FromThread): void {
    if (thread !== this.#thread) return;
    switch (message.t) {
      case "verdict":
        this.#watchdog.heard();
        this.#settle(message.id)?.resolve(message.verdict);
        break;
      case "threw":
        this.#watchdog.heard();
        this.#settle(message.id)?.reject(ScriptFault.of(message.failure));
        break;
      case "pong":
        this.#watchdog.pong(message.heapBytes);
        break;
      case "store": {
        const { id } = message;
        const reply = (value: unknown, failed?: string): void => {
          if (thread === this.#thread) this.#post({ t: "reply", id, value, failed });
        };
        this.#tell(message, reply);
        break;
      }
      case "log":
      case "emit":
      case "count":
        this.#tell(message, () => {});
        break;
      default:
        if (this.#step !== undefined) this.#step(message);
        else if (message.t === "failed") this.#replace(message.failure.message);
    }
  }

  /** One hook is late, but its thread is well: others need not suffer. */
  #expire({ id, hook }: Asked): void {
    const { deadlineMs } = this.#limits;
    this.#settle(id)?.reject(new ScriptFault(`${hook} took longer than ${deadlineMs} ms`));
  }

  /** Ends the thread; the guilty fails, the others are asked again of the next one. */
  #replace(reason: string): void {
    const { log, name } = this.#parts;
    this.#thread?.kill();
    this.#thread = undefined;
    this.#ready = false;
    // A thread that starts owes nothing yet.
    this.#watchdog.stop();
    const step = this.#step;
    step?.({ t: "failed", failure: { message: reason, stack: "" } });
    if (this.#disposed || step !== undefined) return;
    this.replaced += 1;
    log.error("thread of a policy was replaced", { policy: name, reason });
    const guilty = Atomics.load(this.#mark, 0);
    for (const asked of [...this.#asked.values()]) {
      asked.repeats += 1;
      const isGuilty = asked.id === guilty || (guilty === 0 && this.#asked.size === 1);
      if (!isGuilty && asked.repeats <= mostRepeats) continue;
      this.#settle(asked.id)?.reject(new ScriptFault(reason));
    }
    if (this.#asked.size > 0) void this.#restart();
  }

  /** Starts anew, with the settings that were good before, and asks what waits. */
  #restart(): Promise<void> {
    this.#starting ??= this.#startAnew().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  #refuseAll(error: Error): void {
    for (const id of [...this.#asked.keys()]) this.#settle(id)?.reject(error);
  }

  async #startAnew(): Promise<void> {
    const { clock, name } = this.#parts;
    if (clock.mono() < this.#resumeAtMs) {
      // No try, so no failure: else whoever asks often puts the next try off for ever.
      this.#refuseAll(new ScriptFault(`policy ${name} can't be started`));
      return;
    }
    try {
      await this.load();
      if (this.#facts === undefined) return;
      await this.create(this.#settings, this.#facts, this.#tell);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      if (this.#failures >= startsInARow) this.#resumeAtMs = clock.mono() + pauseMs;
      this.#thread?.kill();
      this.#refuseAll(error as Error);
      return;
    }
    for (const asked of [...this.#asked.values()]) {
      asked.atMs = clock.mono();
      this.#send(asked);
    }
    this.#watchdog.wake();
  }
}

function toFault(message: FromThread): ScriptFault {
  if (message.t === "failed") return ScriptFault.of(message.failure);
  return new ScriptFault(`answered ${message.t} out of turn`);
}
