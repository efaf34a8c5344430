import type { ErrorCode } from "./contract/errors.ts";
import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import { toUpstreamHeaders, toUpstreamQuery } from "./headers.ts";
import { type ActiveProvider, type Credential, upstreamUrl } from "./providers.ts";
import type { PoolAnswer } from "./runtime/runtime.ts";

/**
 * A stale connection fails at once. One that breaks after more milliseconds than this may have
 * been working on the request, and sending it again could be billed twice.
 */
const staleMs = 1000;

/** What is sent in one attempt. */
export interface UpstreamCall {
  readonly provider: ActiveProvider;
  readonly credential: Credential | undefined;
  readonly model: string;
  readonly body: Uint8Array;
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
  const sentAtMs = x.expect("upstream_timeout", Math.min(firstByteMs, totalMs), cancel);
  try {
    const send = prepare(x, call, abort.signal);
    let response: PoolAnswer;
    try {
      response = await send();
    } catch (error) {
      const isLate = x.nowMs() - sentAtMs > staleMs;
      const mayBeStale = !isLate && isReused(provider) && isStaleConnection(error);
      if (!mayBeStale || abort.signal.aborted) throw error;
      // The provider had closed the kept connection before it read the request: no byte of an
      // answer came, so it is sent once more, on whatever connection is next.
      response = await send();
    }
    if (response.status >= 300 && response.status < 400) {
      cancel();
      return { failed: "upstream_bad_answer", detail: `redirect ${response.status}` };
    }
    answered.add(provider);
    return { response, cancel, totalAtMs: sentAtMs + totalMs };
  } catch (error) {
    const { stopped } = x as { stopped: Refusal | undefined };
    if (stopped?.code === "upstream_timeout") {
      return { failed: "upstream_timeout", detail: "no answer in time" };
    }
    if (stopped !== undefined || x.isClientGone) return undefined;
    return { failed: "upstream_unreachable", detail: describe(error) };
  }
}

/** The request of one attempt, ready to be sent. */
function prepare(
  x: RunningExchange,
  { provider, credential, model, body }: UpstreamCall,
  signal: AbortSignal,
): () => Promise<PoolAnswer> {
  const { kind, pool } = provider;
  if (kind.answer !== undefined) {
    const { dialect, surface } = x;
    const { stream = false, verb } = x.call ?? {};
    const query = toUpstreamQuery(x.request.url);
    const request = { dialect, surface, model, verb, stream, query, body, signal };
    return async () => kind.answer?.(request) as Response | Promise<Response>;
  }
  if (pool === undefined) throw new Error(`provider ${provider.name} has no pool`);
  const headers = toUpstreamHeaders(x.request.headers, kind.defaultHeaders);
  if (credential !== undefined) kind.authorize(headers, credential.secret.expose());
  const url = upstreamUrl(provider, x.surface, model, x.call?.verb, toUpstreamQuery(x.request.url));
  const init = { method: "POST", headers, body, signal };
  return () => pool.fetch(url, init);
}

/** Providers that have answered: only they can have left a connection to use again. */
const answered = new WeakSet<ActiveProvider>();

function isReused(provider: ActiveProvider): boolean {
  return answered.has(provider);
}

/** What a kept-alive connection that the other side has closed looks like when it is used. */
function isStaleConnection(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === "ECONNRESET" || code === "ConnectionClosed" || code === "EPIPE";
}

function describe(error: unknown): string {
  const { name, code } = (error ?? {}) as { name?: string; code?: string };
  return [name, code].filter(Boolean).join(" ") || "unknown error";
}
