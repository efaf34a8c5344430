import type { ErrorCode } from "./contract/errors.ts";
import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import { toForeignHeaders, toUpstreamHeaders, toUpstreamQuery } from "./headers.ts";
import type { Secret } from "./kit/secret.ts";
import { type ActiveProvider, type Credential, upstreamUrl } from "./providers.ts";
import { noteMeasures } from "./routing/measures.ts";
import type { PoolAnswer } from "./runtime/runtime.ts";
import type { Translated } from "./translate/request.ts";

/**
 * A stale connection fails within a round trip, and no answer is faster than that. A connection
 * that lasted longer than the fastest answer may have been working on the request, and sending it
 * again could be billed twice. Milliseconds: what is allowed anyway, for a busy machine, and at
 * most.
 */
const staleMs = { least: 100, most: 1000 };

/** What is sent in one attempt. */
export interface UpstreamCall {
  readonly provider: ActiveProvider;
  readonly credential: Credential | undefined;
  /** The credential's, as it is now. */
  readonly secret: Secret | undefined;
  readonly model: string;
  readonly body: Uint8Array;
  /** Where it goes in a dialect that is not the client's. */
  readonly translated?: Translated | undefined;
}

/** Why no usable answer came; `detail` is for the log, never for a client. */
export interface UpstreamFailure {
  readonly failed: ErrorCode;
  readonly detail: string;
}

/** An answer's head has arrived and its body is still on its way. */
export interface UpstreamAnswer {
  readonly response: PoolAnswer;
  /** Ends the request upstream; safe to call at any time. */
  cancel(): void;
  /** Monotonic milliseconds by which all of the answer must be there. */
  readonly totalAtMs: number;
}

/**
 * Sends one attempt and waits for the head of the answer.
 * @returns the answer; a failure if none came; undefined if the client or the house gave up
 */
export async function sendUpstream(
  x: RunningExchange,
  call: UpstreamCall,
): Promise<UpstreamAnswer | UpstreamFailure | undefined> {
  const { provider } = call;
  const abort = new AbortController();
  const cancel = (): void => abort.abort();
  if (x.stopped !== undefined) return undefined;
  x.onClientGone(cancel);
  const { firstByteMs, totalMs } = provider.timeouts;
  const expectedAtMs = x.expect("upstream_timeout", Math.min(firstByteMs, totalMs), cancel);
  const sentAtMs = x.nowMs();
  try {
    const send = prepare(x, call, abort.signal);
    let response: PoolAnswer;
    try {
      response = await send(false);
    } catch (error) {
      const mayBeStale = isStaleConnection(error) && x.nowMs() - sentAtMs <= staleWithin(provider);
      if (!mayBeStale || abort.signal.aborted) throw error;
      // The provider had closed the kept connection before it read the request: no byte of an
      // answer came, so it is sent once more. On a connection of its own: the next kept one may be
      // as stale as this.
      response = await send(true);
    }
    const { status } = response;
    if (!isUsable(status)) {
      cancel();
      return { failed: "upstream_bad_answer", detail: `status ${status}` };
    }
    noteAnswer(provider, x.nowMs() - sentAtMs);
    if (provider.isMeasured) noteMeasures(call, x.nowMs() - sentAtMs, response.headers);
    return { response, cancel, totalAtMs: expectedAtMs + totalMs };
  } catch (error) {
    const { stopped } = x as { stopped: Refusal | undefined };
    if (stopped?.code === "upstream_timeout") {
      return { failed: "upstream_timeout", detail: "no answer in time" };
    }
    if (stopped !== undefined || x.isClientGone) return undefined;
    const failed = isMalformed(error) ? "upstream_bad_answer" : "upstream_unreachable";
    return { failed, detail: describe(error) };
  }
}

/** The request of one attempt, ready to be sent. */
function prepare(
  x: RunningExchange,
  { provider, credential, secret, model, body, translated }: UpstreamCall,
  signal: AbortSignal,
): (fresh: boolean) => Promise<PoolAnswer> {
  const { kind, pool } = provider;
  if (kind.answer !== undefined) {
    const { surface, verb, query } = translated ?? ownTarget(x);
    const dialect = translated?.dialect.name ?? x.dialect;
    const { stream = false } = x.call ?? {};
    const request = { dialect, surface, model, verb, stream, query, body, signal };
    return async () => kind.answer?.(request) as Response | Promise<Response>;
  }
  if (pool === undefined) throw new Error(`provider ${provider.name} has no pool`);
  const headers =
    translated === undefined
      ? toUpstreamHeaders(x.request.headers, kind.defaultHeaders)
      : toForeignHeaders(x.request.headers, kind.defaultHeaders);
  for (const name in x.sentHeaders) {
    const value = x.sentHeaders[name];
    if (typeof value === "string") headers[name] = value;
    else delete headers[name];
  }
  if (credential !== undefined && secret !== undefined) {
    kind.authorize(headers, secret.expose(), credential.kind);
  }
  const { surface, verb, query } = translated ?? ownTarget(x);
  const url = upstreamUrl(provider, surface, model, verb, query);
  return (fresh) => pool.fetch(url, { method: "POST", headers, body, signal, fresh });
}

/** Where a call goes that is not translated. */
function ownTarget(x: RunningExchange) {
  return { surface: x.surface, verb: x.call?.verb, query: toUpstreamQuery(x.request.url) };
}

/**
 * A reply has a body and is for us alone: nothing else makes sense after a POST. Redirects are not
 * followed, since the credential is for this address.
 */
function isUsable(status: number): boolean {
  return (status >= 200 && status <= 203) || (status >= 400 && status <= 599);
}

/** How soon each provider has answered, at best; only one that has can leave a stale connection. */
const fastest = new WeakMap<ActiveProvider, number>();

function noteAnswer(provider: ActiveProvider, afterMs: number): void {
  const known = fastest.get(provider);
  if (known === undefined || afterMs < known) fastest.set(provider, afterMs);
}

/** Until when a broken connection may have been a stale one, in milliseconds after sending. */
function staleWithin(provider: ActiveProvider): number {
  const known = fastest.get(provider);
  return known === undefined ? -1 : Math.min(Math.max(known, staleMs.least), staleMs.most);
}

/** What a kept-alive connection that the other side has closed looks like when it is used. */
function isStaleConnection(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === "ECONNRESET" || code === "ConnectionClosed" || code === "EPIPE";
}

/** Names that runtimes and decoders give to what is no HTTP, or not in the coding it says. */
const malformed =
  /^(?:Malformed|Invalid|Unsupported|Unrequested|HPE_|Z_DATA_ERROR|ERR__ERROR|ZSTD_error)/;

function isMalformed(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return error instanceof RangeError || (typeof code === "string" && malformed.test(code));
}

/** What a body that broke says of its provider. */
export function bodyFailure(error: unknown): ErrorCode {
  return isMalformed(error) ? "upstream_bad_answer" : "upstream_truncated";
}

function describe(error: unknown): string {
  const { name, code } = (error ?? {}) as { name?: string; code?: string };
  return [name, code].filter(Boolean).join(" ") || "unknown error";
}
