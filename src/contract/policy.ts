import type { GenericSchema, InferInput, InferOutput } from "valibot";
import type { AdminHandler, AdminOperation } from "./admin.ts";
import type { ErrorCode } from "./errors.ts";
import type { Finding, FindingKind } from "./finding.ts";
import type { CredentialsInUse, Gauge, HostFacts, ReadGauge } from "./host.ts";
import type { ListenPlan } from "./listen.ts";
import type { Store } from "./store.ts";
import type { TextEdit, TextPart } from "./text.ts";
import type { Clock, Logger, Surface, Usage } from "./types.ts";

export type { CredentialsInUse, Gauge, HostFacts, ReadGauge, TokenStatus } from "./host.ts";

/** The stages of the straight way, top-down; a response walks them back, bottom-up. */
export const stages = [
  "observe",
  "edge",
  "identity",
  "admit",
  "spend",
  "guard",
  "credential",
] as const;
export type Stage = (typeof stages)[number];

/** One security concern: what it claims of the configuration, its place in line, its hooks. */
export interface Policy<S extends GenericSchema = GenericSchema> {
  /** File name and label in log, metric and audit, kebab-case. */
  readonly name: string;
  /** One sentence for the plan and the README. */
  readonly summary: string;
  /** Its place in line; ties by name. */
  readonly stage: Stage | ((config: InferOutput<S>) => Stage);
  /** What a throw, a deadline or a non-verdict does: 503, or go on (only without a gate hook). */
  readonly onFault: "closed" | "open";
  readonly covers: Coverage;
  /** Without it the house is open: shadow and off are start-up errors. */
  readonly required?: boolean;
  readonly config: Claims<S>;
  /** Operations that it adds to the management API. */
  readonly admin?: readonly AdminOperation[];
  /** What its `findings` may tell, by id: for docs/doctor.md and `doctor --explain`. */
  readonly findingKinds?: Readonly<Record<string, FindingKind>>;
  /** Builds the hooks of one generation; undefined: not enabled by this configuration. */
  create(config: InferOutput<S>, host: PolicyHost): Hooks | undefined | Promise<Hooks | undefined>;
}

/** The keys of the configuration that one owner reads, and how they are checked. */
export interface Claims<S extends GenericSchema = GenericSchema> {
  /** Local name to YAML path; `*` stands for each child of a map, or of a list by its `id`. */
  readonly keys: { readonly [K in keyof InferInput<S>]-?: string };
  /** A strict object schema over the local names. */
  readonly schema: S;
}

/** What a policy can see. */
export interface Coverage {
  /** Surfaces of models. */
  readonly surfaces: "all" | readonly Surface[];
  /** Whether it can see a streamed reply. */
  readonly streams: boolean;
  /** Whether its hooks run on the management API too. */
  readonly admin?: boolean;
}

/** Hooks walk all stages in order; each may answer at once or by a promise. */
export interface Hooks {
  /** Headers only, before the body is read. */
  request?(x: Exchange): Verdict | Promise<Verdict>;
  /** Facts of the body; nothing has been sent yet. */
  call?(x: Exchange, call: Call): Verdict | Promise<Verdict>;
  /** Its `call` reads the texts of the body: else nothing is spent on them. */
  readonly texts?: boolean;
  /** Once per upstream attempt. */
  attempt?(x: Exchange, attempt: Attempt): AttemptVerdict | Promise<AttemptVerdict>;
  /**
   * Exactly once for each attempt that began, or that the policy's own `attempt` let pass: with
   * `unsent` where a later policy in line refused it.
   */
  attemptEnd?(x: Exchange, attempt: Attempt, result: AttemptResult): void;
  /** Whether a model is listed for whoever asks; a throw hides it. */
  lists?(x: Exchange, model: ListedModel): boolean;
  /** Bottom-up, before the first byte goes out; also on denials and errors. */
  response?(x: Exchange, head: ResponseHead): Verdict | Promise<Verdict>;
  /** Bottom-up, exactly once, whatever happened. */
  finish?(x: Exchange, outcome: Outcome): void;
  /** What another policy or the core told by `host.emit`. */
  event?(event: SecurityEvent): void;
  /** Types that `event` is told; absent: all. Events that nobody hears need not be made. */
  readonly hears?: readonly EventType[];
  /** Adds listeners of its own; they open when the generation begins to serve. */
  listen?(plan: ListenPlan): void;
  /** Its generation serves from now on; that of a rejected reload never hears it. */
  adopted?(): void;
  /** Set on every response of the house, health and errors included. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Credential files have changed, and were read again. */
  credentialsRead?(): void;
  /** Handlers of its management operations, by id. */
  readonly admin?: Readonly<Record<string, AdminHandler>>;
  /** What `doctor` should know; asked after `create`, before anything serves. */
  findings?(): readonly Finding[];
  /** After the last exchange of its generation. */
  dispose?(): void | Promise<void>;
}

/** Plain data, so that it survives being bundled twice. */
export type Verdict = "pass" | Deny | Answer | { readonly edit: Edit };

/** Only from `call` of a conversation: the answer is the policy's own, and nobody else is asked. */
export interface Answer {
  /** What the model would have said, in the client's dialect, streamed or not as it was asked. */
  readonly answer: { readonly text: string };
}

/** `skip` tries the next candidate; its refusal is told if there is none. */
export type AttemptVerdict = "pass" | "skip" | { readonly skip: Deny } | Deny;

/** A refusal: the code decides status and wording, the client's dialect its shape. */
export interface Deny {
  readonly deny: ErrorCode;
  /** Replaces the table's sentence; must say how to mend it and hold no secret. */
  readonly message?: string;
  /** Whole seconds, at least 1. */
  readonly retryAfterSeconds?: number;
  /** Further response headers, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Changes are told, not made: the core applies them. */
export interface Edit {
  /** Only from stage `identity`, in `request`. */
  readonly principal?: Principal;
  /** Only from stage `edge`, in `request`: the address is on a trust list. */
  readonly trusted?: true;
  /**
   * Value to set, or null to remove: from `response` of what the client is told, from `request` and
   * `call` of what the provider is told. Credentials and what is for one hop only are no edit.
   */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Only from `call`: the model that is asked for; later policies see it. */
  readonly model?: string;
  /**
   * Only from `call`: top-level members of the body, or null to remove one; never `model`,
   * `stream`, or what holds the conversation.
   */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Only from `call`: texts of the body; later policies see them. */
  readonly texts?: readonly TextEdit[];
}

/** Who is calling. */
export interface Principal {
  /** Id of the client key, safe to log. */
  readonly keyId: string;
  readonly userId: string;
}

/** One request, read-only; the same object in every hook. */
export interface Exchange {
  readonly id: string;
  readonly surface: Surface;
  readonly dialect: string;
  readonly method: string;
  /** Without query. */
  readonly path: string;
  /** The true client address, canonical. */
  readonly ip: string;
  /** The other end of the socket, canonical. */
  readonly peer: string;
  /** The peer is one of `server.trusted_proxies`: only then is what it forwards believed. */
  readonly proxied: boolean;
  /** The address is on a trust list: limits by address let it pass, and nothing else does. */
  readonly trusted: boolean;
  /** Monotonic milliseconds. */
  readonly startedAtMs: number;
  readonly principal: Principal | undefined;
  /** Common name of the client's certificate, verified; undefined: none, or it is not told. */
  readonly certificate: string | undefined;
  /** Known from the hook `call` on; undefined before, and where there is no body to read. */
  readonly call: Call | undefined;
  header(name: string): string | null;
  /** All headers by lower-case name, but for those that carry credentials or cookies. */
  openHeaders(): Readonly<Record<string, string>>;
  /** First value of a query parameter, decoded. */
  query(name: string): string | null;
}

/** What the body says, known without parsing the whole. */
export interface CallFacts {
  readonly model: string;
  readonly stream: boolean;
  /** Upper bound of output tokens that the client asked for; 0 where there is no output. */
  readonly maxTokens: number | undefined;
  readonly bodyBytes: number;
  /** What the path asks for where that is not the surface alone, e.g. `batchEmbedContents`. */
  readonly verb?: string;
}

export interface Call extends CallFacts {
  /** Estimate from the bytes of the body, made when it is first asked for. */
  inputTokens(): number;
  /**
   * All texts of the body, in a list of the caller's own.
   * @throws Error where no policy has `texts`
   */
  texts(): readonly TextPart[];
}

/** One try at one provider with one credential. */
export interface Attempt {
  /** From 0. */
  readonly index: number;
  readonly provider: string;
  readonly credentialId: string;
  /** The name the provider knows it by. */
  readonly model: string;
}

/** `limit` and `transient` may pass, `credential` is about who asks, `request` about what. */
export type AttemptCause = "credential" | "limit" | "transient" | "request";

export interface AttemptResult {
  /** `refused`: the provider answered with an error; `unsent`: another policy let nothing out. */
  readonly kind: "ok" | "refused" | "failed" | "timeout" | "aborted" | "unsent";
  /** Status of the provider's answer; 0 when none came. */
  readonly status: number;
  /** What a refusal is about: absent for other kinds, and where another token is tried at once. */
  readonly cause?: AttemptCause;
  /** How long the provider asks to be left alone, in milliseconds. */
  readonly askedWaitMs?: number | undefined;
  readonly usage: Usage | undefined;
  /** Bytes of the reply that were passed on. */
  readonly bytes: number;
  readonly durationMs: number;
  /** From its start until the first byte of its reply was passed on; absent: none was. */
  readonly firstByteMs?: number | undefined;
}

/** A model in a list, by the name that clients give it. */
export interface ListedModel {
  readonly id: string;
  readonly provider: string;
}

export interface ResponseHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly stream: boolean;
  /** Set on a refusal. */
  readonly code: ErrorCode | undefined;
}

export interface Outcome {
  readonly kind: "success" | "denied" | "fault" | "upstream_error" | "client_abort" | "aborted";
  readonly status: number;
  readonly code: ErrorCode | undefined;
  /** The policy that denied or failed. */
  readonly policy: string | undefined;
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly usage: Usage | undefined;
  readonly bytes: number;
  readonly durationMs: number;
  /** From the start until the first byte of a reply was passed on; undefined: none was. */
  readonly firstByteMs: number | undefined;
}

/** What can happen that somebody may have to know. */
export const eventTypes = [
  "auth_success",
  "auth_failure",
  "token_refresh",
  "config_change",
  "provider_request",
  "security_violation",
  "suspicious_activity",
] as const;
export type EventType = (typeof eventTypes)[number];

/** What audit and metrics hear; never a secret, never a prompt. */
export interface SecurityEvent {
  readonly type: EventType;
  readonly result: string;
  readonly provider?: string;
  readonly userId?: string;
  readonly ip?: string;
  readonly requestId?: string;
  readonly details?: Readonly<Record<string, string | number | boolean>>;
}

/** What the house lends to a policy. */
export interface PolicyHost {
  readonly log: Logger;
  readonly clock: Clock;
  /** What of the rest of the configuration a policy may know. */
  readonly facts: HostFacts;
  readonly live: LiveRegistry;
  emit(event: SecurityEvent): void;
  /** Whether any policy listens to events of that type: ask before making a frequent one. */
  hears(type: EventType): boolean;
  /**
   * Offers a reading to whoever exports metrics; call it in `create`.
   * @param name `cliproxy_…`, its unit last
   * @param help one sentence
   * @param labels names; their values must come from a small, closed set
   * @param read called at a scrape: tells each series by `set`
   * @throws Error when the name is malformed or taken
   */
  gauge(name: string, help: string, labels: readonly string[], read: ReadGauge): void;
  /** All readings that the house and the policies of this generation offer. */
  gauges(): readonly Gauge[];
  /** Shows something made at first start: the secret goes to a terminal only, the path anywhere. */
  announce(made: { title: string; path: string; secret: string | undefined }): void;
  /** State that outlives a reload, by policy name and key. */
  keep<T>(key: string, make: () => T): T;
  /** State that others can't touch; in shadow mode it is not the one of enforcement. */
  readonly store: Store;
  readonly credentials: CredentialsInUse;
}

/** Running exchanges of all generations. */
export interface LiveRegistry {
  readonly size: number;
  /** Ends matching exchanges with an error in their dialect; returns how many. */
  abort(match: (x: Exchange) => boolean, code: ErrorCode): number;
}

/** Gives a policy its types; returns it unchanged. */
export function definePolicy<const S extends GenericSchema>(policy: Policy<S>): Policy<S> {
  return policy;
}
