import { randomUUID } from "node:crypto";
import type { ClientAddress, FindClient } from "./client-address.ts";
import type { ErrorCode } from "./contract/errors.ts";
import type { CalledRoute, Dialect } from "./contract/plugin.ts";
import type {
  Attempt,
  AttemptResult,
  Call,
  Exchange,
  Outcome,
  Principal,
} from "./contract/policy.ts";
import type { Surface, Usage } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import { toOpenHeaders } from "./kit/open-headers.ts";
import type { Live, Stoppable } from "./live.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Transport } from "./runtime/runtime.ts";

/** Where an exchange stands, decided by its route. */
export interface ExchangeRoute {
  readonly surface: Surface;
  readonly dialect: Dialect;
  readonly pipeline: Pipeline;
}

/** What the exchange needs of its house. */
export interface ExchangeHouse {
  readonly live: Live;
  readonly findClient: FindClient;
  /** Headers that every response of the house starts with. */
  readonly headers: Readonly<Record<string, string>>;
  mono(): number;
  /** The exchange has ended and holds its generation no longer. */
  release(): void;
}

/** One request from its first header to the last byte of its answer. */
export class RunningExchange implements Exchange, CalledRoute, Stoppable {
  readonly id = `req_${randomUUID()}`;
  readonly startedAtMs: number;
  readonly request: Request;
  readonly path: string;
  readonly route: ExchangeRoute;
  readonly target: string | undefined;
  principal: Principal | undefined = undefined;
  trusted = false;
  /** What policies change of the headers that the provider is sent, by lower-case name. */
  sentHeaders: Record<string, string | null> | undefined = undefined;
  call: Call | undefined = undefined;
  /** The model that serves instead of the one that was asked for. */
  instead: string | undefined = undefined;
  deadlineMs = Number.POSITIVE_INFINITY;
  deadlineCode: ErrorCode = "upstream_timeout";
  /** Why it was stopped from outside: deadline, revocation, shutdown. */
  stopped: Refusal | undefined = undefined;
  /** When something of it moved last, in coarse monotonic milliseconds. */
  movedMs = 0;
  /** What it does while nothing moves. */
  quiet: { readonly afterMs: number; tell(): void } | undefined = undefined;
  /** What is given back when it ends, at the latest. */
  held: { release(): void } | undefined = undefined;
  /** How the phase it is in can be interrupted. */
  interrupt: ((refusal: Refusal) => void) | undefined = undefined;
  readonly #house: ExchangeHouse;
  readonly #transport: Transport;
  #client: ClientAddress | undefined = undefined;
  #query: URLSearchParams | undefined = undefined;
  #openHeaders: Readonly<Record<string, string>> | undefined = undefined;
  #attempt: Attempt | undefined = undefined;
  #attemptAtMs = 0;
  #firstByteMs: number | undefined = undefined;
  #provider: string | undefined = undefined;
  #clientGone: (() => void) | undefined = undefined;
  #finished = false;

  constructor(
    request: Request,
    path: string,
    route: ExchangeRoute,
    house: ExchangeHouse,
    transport: Transport,
    target?: string,
  ) {
    this.request = request;
    this.path = path;
    this.route = route;
    this.target = target;
    this.#house = house;
    this.#transport = transport;
    this.startedAtMs = house.mono();
    house.live.add(this);
  }

  get view(): Exchange {
    return this;
  }

  get surface(): Surface {
    return this.route.surface;
  }

  get dialect(): string {
    return this.route.dialect.name;
  }

  get method(): string {
    return this.request.method;
  }

  get ip(): string {
    return this.#client?.ip ?? this.#findClient().ip;
  }

  get peer(): string {
    return this.#client?.peer ?? this.#findClient().peer;
  }

  get certificate(): string | undefined {
    return this.#transport.certificate?.(this.request);
  }

  get proxied(): boolean {
    return this.#client?.proxied ?? this.#findClient().proxied;
  }

  /** What its response starts with. */
  get houseHeaders(): Readonly<Record<string, string>> {
    const { headers } = this.#house;
    if (this.instead === undefined) return headers;
    return { ...headers, "x-cliproxy-model": this.instead.replace(/[^\x21-\x7e]/g, "?") };
  }

  #findClient(): ClientAddress {
    const peer = this.#transport.peer(this.request);
    this.#client = this.#house.findClient(peer, (name) => this.header(name));
    return this.#client;
  }

  header(name: string): string | null {
    return this.request.headers.get(name);
  }

  openHeaders(): Readonly<Record<string, string>> {
    this.#openHeaders ??= toOpenHeaders(this.request.headers);
    return this.#openHeaders;
  }

  query(name: string): string | null {
    this.#query ??= new URLSearchParams(rawQuery(this.request.url));
    return this.#query.get(name);
  }

  /** Monotonic milliseconds. */
  nowMs(): number {
    return this.#house.mono();
  }

  /**
   * Sets what happens next and by when, from the coarse clock; `interrupt` is called at most once.
   * @returns now, in monotonic milliseconds
   */
  expect(code: ErrorCode, withinMs: number, interrupt: (refusal: Refusal) => void): number {
    const nowMs = this.#house.live.coarseMs;
    this.deadlineCode = code;
    this.deadlineMs = nowMs + withinMs;
    this.interrupt = interrupt;
    return nowMs;
  }

  /** Moves the deadline of the running phase, from the coarse clock, but never past `latestMs`. */
  extend(code: ErrorCode, withinMs: number, latestMs: number): void {
    const nowMs = this.#house.live.coarseMs;
    this.movedMs = nowMs;
    this.deadlineCode = code;
    this.deadlineMs = Math.min(nowMs + withinMs, latestMs);
  }

  stop(refusal: Refusal): void {
    if (this.stopped !== undefined || this.#finished) return;
    this.stopped = refusal;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.interrupt?.(refusal);
  }

  /** The runtime's idle timer would cut a model that thinks. */
  holdOpen(): void {
    this.#transport.holdOpen(this.request);
  }

  /** Calls back, within a tick, if the client leaves before the exchange has ended. */
  onClientGone(cancel: () => void): void {
    this.#clientGone = cancel;
  }

  /** The client has left. A listener would cost 5 us a request; the runtime remembers it anyway. */
  get isClientGone(): boolean {
    return this.request.signal.aborted;
  }

  beat(nowMs: number): void {
    const { quiet } = this;
    if (quiet !== undefined && nowMs - this.movedMs >= quiet.afterMs) {
      this.movedMs = nowMs;
      quiet.tell();
    }
    if (this.deadlineMs <= nowMs) this.stop({ code: this.deadlineCode });
    else if (this.#clientGone !== undefined && this.isClientGone) {
      const cancel = this.#clientGone;
      this.#clientGone = undefined;
      cancel();
    }
  }

  beginAttempt(attempt: Attempt): void {
    this.#attempt = attempt;
    this.#attemptAtMs = this.#house.mono();
    this.#provider = attempt.provider;
  }

  /** The first byte of a reply is being passed on; later calls do nothing. */
  markFirstByte(): void {
    this.#firstByteMs ??= this.#house.mono() - this.startedAtMs;
  }

  get attempt(): Attempt | undefined {
    return this.#attempt;
  }

  /** Ends the admitted attempt, if one runs: exactly once for each. */
  endAttempt({ kind, status, usage, bytes, cause, askedWaitMs }: AttemptEnd): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#attempt = undefined;
    const startedMs = this.#attemptAtMs;
    const durationMs = this.#house.mono() - startedMs;
    const firstByteMs =
      this.#firstByteMs === undefined
        ? undefined
        : this.startedAtMs + this.#firstByteMs - startedMs;
    // Not by a spread: this is made for every attempt.
    const told = { kind, status, usage, bytes, durationMs, firstByteMs, askedWaitMs };
    const result: AttemptResult = cause === undefined ? told : { ...told, cause };
    this.route.pipeline.attemptEnd(this, attempt, result);
  }

  /** All has been told; nothing more will be asked of it. */
  get isFinished(): boolean {
    return this.#finished;
  }

  /** Ends the exchange: exactly once, later calls do nothing. */
  finish(end: ExchangeEnd): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#clientGone = undefined;
    const attempt = this.#attempt;
    if (attempt !== undefined) {
      this.endAttempt({
        kind: attemptKind(end),
        status: end.upstreamStatus ?? 0,
        usage: end.usage,
        bytes: end.bytes ?? 0,
      });
    }
    this.#house.live.remove(this);
    this.held?.release();
    this.interrupt = undefined;
    this.quiet = undefined;
    this.route.pipeline.finish(this, {
      kind: end.kind,
      status: end.status,
      code: end.code,
      policy: end.policy,
      provider: this.#provider,
      model: this.call?.model,
      usage: end.usage,
      bytes: end.bytes ?? 0,
      durationMs: this.#house.mono() - this.startedAtMs,
      firstByteMs: this.#firstByteMs,
    });
    this.#house.release();
  }
}

/** How an attempt ended, as far as its caller knows. */
type AttemptEnd = Omit<AttemptResult, "durationMs" | "firstByteMs">;

/** How an exchange ended; what is absent did not come to be. */
export interface ExchangeEnd {
  readonly kind: Outcome["kind"];
  readonly status: number;
  readonly code?: ErrorCode | undefined;
  readonly policy?: string | undefined;
  readonly usage?: Usage | undefined;
  readonly bytes?: number;
  readonly upstreamStatus?: number;
}

function attemptKind(end: ExchangeEnd): AttemptResult["kind"] {
  if (end.kind === "success") return "ok";
  if (end.code === "upstream_timeout") return "timeout";
  return end.kind === "client_abort" || end.kind === "aborted" ? "aborted" : "failed";
}

/** The query of a URL with its `?`, or an empty string. */
export function rawQuery(url: string): string {
  const at = url.indexOf("?");
  return at < 0 ? "" : url.slice(at).replace(/#.*$/, "");
}
