import type { GenericSchema, InferOutput } from "valibot";
import type {
  Attempt,
  AttemptResult,
  AttemptVerdict,
  Coverage,
  Outcome,
  Principal,
  ResponseHead,
  SecurityEvent,
  Stage,
  Verdict,
} from "./policy.ts";
import type { TextPart } from "./text.ts";
import type { Surface } from "./types.ts";

/** A policy from the directory of policies; its name is that of its file. */
export interface ScriptPolicy<S extends GenericSchema = GenericSchema> {
  /** One sentence for the plan. */
  readonly summary: string;
  /** Its place in line; ties by name. */
  readonly stage: Stage;
  /** What a throw, a deadline or a non-verdict does: 503, or go on; closed when absent. */
  readonly onFault?: "closed" | "open";
  /** What it can see; all surfaces, streamed or not, when absent. */
  readonly covers?: Partial<Coverage>;
  /** Its hook `call` is shown the texts of the body; absent: no time is spent on them. */
  readonly texts?: boolean;
  /** Of its settings below `policies.<name>`, a strict object; absent: it has none. */
  readonly config?: S;
  /** Builds the hooks of one generation. */
  create(config: InferOutput<S>, host: ScriptHost): ScriptHooks | Promise<ScriptHooks>;
}

/** Hooks of a policy from disk; each may answer at once or by a promise. */
export interface ScriptHooks {
  /** Headers only, before the body is read. */
  request?(x: ScriptExchange): Verdict | Promise<Verdict>;
  /** Facts of the body; nothing has been sent yet. */
  call?(x: ScriptExchange, call: ScriptCall): Verdict | Promise<Verdict>;
  /** Once per upstream attempt. */
  attempt?(x: ScriptExchange, attempt: ScriptAttempt): AttemptVerdict | Promise<AttemptVerdict>;
  /** Exactly once for each attempt that `attempt` let pass. */
  attemptEnd?(x: ScriptExchange, attempt: ScriptAttempt, result: AttemptResult): void;
  /** Before the first byte goes out; also on denials and errors. */
  response?(x: ScriptExchange, head: ResponseHead): Verdict | Promise<Verdict>;
  /** Exactly once, whatever happened. */
  finish?(x: ScriptExchange, outcome: Outcome): void;
  /** What another policy or the core told. */
  event?(event: SecurityEvent): void;
  /** After the last exchange of its generation. */
  dispose?(): void | Promise<void>;
}

/** One request as a policy from disk sees it: without any credential. */
export interface ScriptExchange {
  readonly id: string;
  readonly surface: Surface;
  readonly dialect: string;
  readonly method: string;
  /** Without query. */
  readonly path: string;
  /** The true client address, canonical. */
  readonly ip: string;
  /** The address is on a trust list. */
  readonly trusted: boolean;
  readonly principal: Principal | undefined;
  /** By lower-case name; those that carry credentials or cookies are left out. */
  readonly headers: Readonly<Record<string, string>>;
  header(name: string): string | null;
}

/** What the body says. */
export interface ScriptCall {
  readonly model: string;
  readonly stream: boolean;
  /** Upper bound of output tokens that the client asked for; 0 where there is no output. */
  readonly maxTokens: number | undefined;
  readonly bodyBytes: number;
  /** Estimated from the bytes of the body. */
  readonly inputTokens: number;
  /** All texts of the body; undefined, a fault to read, unless the policy says `texts: true`. */
  readonly texts: readonly TextPart[];
}

/** One try at one provider; which credential it uses is not told. */
export type ScriptAttempt = Omit<Attempt, "credentialId">;

/** What the house lends to a policy from disk. */
export interface ScriptHost {
  readonly name: string;
  /** False in `check` and `policies plan`: change nothing outside. */
  readonly serving: boolean;
  /** Names of the configured providers. */
  readonly providers: readonly string[];
  readonly log: ScriptLog;
  readonly store: ScriptStore;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Tells whoever listens, such as the audit log; never put a secret or a prompt in it. */
  emit(event: SecurityEvent): void;
  /**
   * Adds to the counter `cliproxy_policy_events_total{policy, event}`.
   * @param event of at most 32 different ones, `[a-z0-9_]`, 1 to 48 characters
   */
  count(event: string, by?: number): void;
}

export interface ScriptLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** State of this policy alone: it outlives reloads, and restarts where the store is durable. */
export interface ScriptStore {
  get(key: string): Promise<string | undefined>;
  /** @param expiresInMs milliseconds until it is forgotten; absent: it stays */
  put(key: string, value: string, expiresInMs?: number): Promise<void>;
  /** Returns whether there was one. */
  remove(key: string): Promise<boolean>;
  /** All whose keys begin so. */
  list(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]>;
  /**
   * Takes one from a bucket that refills evenly.
   * @returns milliseconds to wait; 0: taken
   */
  take(key: string, capacity: number, perSecond: number): Promise<number>;
}
