import type { Problem, StreamReader } from "./contract/plugin.ts";
import type { Usage } from "./contract/types.ts";
import { errorTable, type Refusal } from "./errors.ts";
import type { ExchangeEnd, RunningExchange } from "./exchange.ts";
import { toClientHeaders } from "./headers.ts";
import { inflate } from "./kit/inflate.ts";
import type { MaybePromise, MutableHead } from "./pipeline.ts";
import type { ActiveProvider } from "./providers.ts";
import { Relay, type RelayTap } from "./relay.ts";
import type { ByteSource } from "./runtime/runtime.ts";
import type { UpstreamAnswer } from "./upstream.ts";

/** Replies up to this length are read whole: cheaper than a stream, and a short one is a 502. */
const wholeBytes = 64 * 1024;

/** Enough of a long reply's end to hold the usage it reports. */
const tailBytes = 16 * 1024;

const inflateLimits = { bytes: 256 * 1024 * 1024, ratio: 200, ratioFloor: 1024 * 1024 };
const encoder = new TextEncoder();

/** What a reply needs of its generation. */
export interface ReplyHouse {
  readonly limits: { readonly writeStallMs: number };
  openStream(source: ByteSource): ReadableStream<Uint8Array>;
}

/** Turns a refusal into the client's answer and ends the exchange. */
export function refuse(
  x: RunningExchange,
  refusal: Refusal,
  upstream?: Response,
): MaybePromise<Response> {
  const headers = toClientHeaders(x, upstream?.headers);
  headers["content-type"] = "application/json";
  if (refusal.code === "unauthenticated") headers["www-authenticate"] = "Bearer";
  // Claude Code would send a wrong key for minutes, each time as one more failed login.
  if (isLoginFailure(refusal)) headers["x-should-retry"] = "false";
  const wait = retryAfterOf(refusal);
  if (wait !== undefined) headers["retry-after"] = String(wait);
  Object.assign(headers, refusal.headers);
  const { status } = errorTable[refusal.code];
  return send(x, { status, headers, stream: false, code: refusal.code }, (final) => {
    const shown = final ?? refusal;
    x.finish({
      kind: endKind(shown),
      status: errorTable[shown.code].status,
      code: shown.code,
      policy: shown.policy,
      upstreamStatus: upstream?.status ?? 0,
    });
    return x.method === "HEAD" ? null : x.route.dialect.error(toProblem(x, shown));
  });
}

/** Ends an exchange with a body that the house made itself. */
export function answer(
  x: RunningExchange,
  body: string | null,
  more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): MaybePromise<Response> {
  const { status = 200 } = more;
  const headers = toClientHeaders(x, undefined);
  if (body !== null) headers["content-type"] = "application/json";
  Object.assign(headers, more.headers);
  return send(x, { status, headers, stream: false, code: undefined }, (final) => {
    if (final !== undefined) return x.route.dialect.error(toProblem(x, final));
    x.finish({ kind: "success", status });
    return body;
  });
}

/** Passes a provider's answer on: usage is read as it goes by, faults are told in the dialect. */
export function passOn(
  x: RunningExchange,
  provider: ActiveProvider,
  upstream: UpstreamAnswer,
  house: ReplyHouse,
): MaybePromise<Response> {
  const { status, headers: theirs } = upstream.response;
  const { idleMs } = provider.timeouts;
  const type = theirs.get("content-type") ?? "application/json";
  const encoding = theirs.get("content-encoding");
  const headers = toClientHeaders(x, theirs);
  headers["content-type"] = type;
  const stream = readerOf(x, type);
  const isStream = stream !== undefined;
  const head: MutableHead = { status, headers, stream: isStream, code: undefined };
  // Looking at `response.body` makes a stream of it, which costs more than the whole reply.
  if (!isStream && encoding === null && isShort(theirs.get("content-length"))) {
    return passWhole(x, upstream, head, idleMs);
  }
  const source = decoded(upstream.response, encoding);
  if (source === undefined) return giveUp(x, upstream, { code: "upstream_bad_answer" });
  if (isStream) headers["x-accel-buffering"] = "no";
  const tap = stream === undefined ? tailTap(x) : streamTap(x, stream);
  const { totalAtMs } = upstream;
  const limits = { idleMs, totalAtMs, writeStallMs: house.limits.writeStallMs };
  return send(x, head, (refusal) => {
    if (refusal !== undefined) {
      upstream.cancel();
      return x.route.dialect.error(toProblem(x, refusal));
    }
    const relay = new Relay(x, source, tap, limits, ({ bytes, refusal: why, clientGone }) => {
      if (clientGone || why !== undefined) upstream.cancel();
      const ownKind = tap.failed() ? "upstream_error" : "success";
      const kind = clientGone ? "client_abort" : why === undefined ? ownKind : endKind(why);
      x.finish({
        kind,
        status,
        code: why?.code,
        bytes,
        usage: tap.usage(),
        upstreamStatus: status,
      });
    });
    return house.openStream(relay);
  });
}

function passWhole(
  x: RunningExchange,
  upstream: UpstreamAnswer,
  head: MutableHead,
  idleMs: number,
): Promise<Response> {
  const { status } = head;
  x.extend("upstream_timeout", idleMs, upstream.totalAtMs);
  return upstream.response.arrayBuffer().then(
    (bytes) =>
      send(x, head, (refusal) => {
        if (refusal !== undefined) return x.route.dialect.error(toProblem(x, refusal));
        const usage = x.route.dialect.readUsage(new Uint8Array(bytes));
        const { byteLength } = bytes;
        x.finish({ kind: "success", status, bytes: byteLength, usage, upstreamStatus: status });
        return bytes;
      }),
    () => {
      if (!x.isClientGone || x.stopped !== undefined) {
        return giveUp(x, upstream, x.stopped ?? { code: "upstream_truncated" });
      }
      x.finish({ kind: "client_abort", status, upstreamStatus: status });
      return new Response(null, { status: 499 });
    },
  );
}

/** Ends an answer that can't be passed on. */
function giveUp(
  x: RunningExchange,
  { response, cancel }: UpstreamAnswer,
  refusal: Refusal,
): MaybePromise<Response> {
  cancel();
  return refuse(x, refusal, response);
}

/** Shows the head to the response hooks, then builds the answer with what `body` returns. */
export function send(
  x: RunningExchange,
  head: MutableHead,
  body: (refusal: Refusal | undefined) => BodyInit | null,
): MaybePromise<Response> {
  const refusal = x.route.pipeline.response(x, head);
  if (refusal instanceof Promise) return refusal.then((late) => build(x, head, late, body));
  return build(x, head, refusal, body);
}

function build(
  x: RunningExchange,
  head: MutableHead,
  refusal: Refusal | undefined,
  body: (refusal: Refusal | undefined) => BodyInit | null,
): Response {
  const { headers } = head;
  if (refusal === undefined) return new Response(body(undefined), { status: head.status, headers });
  headers["content-type"] = "application/json";
  const { status } = errorTable[refusal.code];
  const content = body(refusal);
  x.finish({ kind: endKind(refusal), status, code: refusal.code, policy: refusal.policy });
  return new Response(content, { status, headers });
}

export function toProblem(x: RunningExchange, refusal: Refusal): Problem {
  const { status, message } = errorTable[refusal.code];
  const wait = retryAfterOf(refusal);
  return {
    code: refusal.code,
    status,
    message: refusal.message ?? message,
    requestId: x.id,
    ...(wait !== undefined && { retryAfterSeconds: wait }),
  };
}

/** Whole seconds. */
function retryAfterOf({ retryAfterSeconds: seconds }: Refusal): number | undefined {
  return seconds === undefined ? undefined : Math.max(1, Math.ceil(seconds));
}

function endKind(refusal: Refusal): ExchangeEnd["kind"] {
  const { code } = refusal;
  if (code === "policy_fault" || code === "internal") return "fault";
  if (code.startsWith("upstream_")) return "upstream_error";
  if (code === "revoked" || code === "shutting_down" || code === "client_stalled") return "aborted";
  return "denied";
}

function isLoginFailure({ code }: Refusal): boolean {
  return code === "unauthenticated" || code === "too_many_failures";
}

function isShort(length: string | null): boolean {
  return length !== null && Number(length) <= wholeBytes;
}

/** The body as plain bytes; undefined when its coding is not known. */
function decoded(
  response: Response,
  encoding: string | null,
): ReadableStream<Uint8Array> | undefined {
  const body = response.body ?? new Response("").body;
  if (body === null) return undefined;
  if (encoding === null || encoding === "" || encoding === "identity") return body;
  return inflate(body, encoding, inflateLimits);
}

interface UsageTap extends RelayTap {
  usage(): Usage | undefined;
  /** The provider itself told the client of a failure. */
  failed(): boolean;
}

/** What reads a reply as it streams by; undefined: it is no stream. */
function readerOf(x: RunningExchange, type: string): StreamReader | undefined {
  if (/^text\/event-stream/i.test(type)) return x.route.dialect.readStream();
  return x.call?.stream === true ? x.route.dialect.readJsonStream?.() : undefined;
}

/** Watches a stream; one that ends early gets an error in its dialect. */
function streamTap(x: RunningExchange, reader: StreamReader): UsageTap {
  let failed = false;
  const words = (refusal: Refusal): Uint8Array | undefined => {
    const text = reader.fail(toProblem(x, refusal));
    return text === undefined ? undefined : encoder.encode(text);
  };
  return {
    push: (chunk) => reader.push(chunk),
    end() {
      const how = reader.end();
      failed = how === "error";
      return how === "truncated" ? (words({ code: "upstream_truncated" }) ?? "cut") : undefined;
    },
    broken: (refusal) => (refusal.code === "client_stalled" ? undefined : words(refusal)),
    usage: () => reader.usage,
    failed: () => failed,
  };
}

/** Keeps the end of a long JSON reply, where its usage stands. */
function tailTap(x: RunningExchange): UsageTap {
  let tail = new Uint8Array();
  return {
    push(chunk) {
      if (chunk.byteLength >= tailBytes) {
        tail = chunk.slice(chunk.byteLength - tailBytes);
        return;
      }
      const joined = new Uint8Array(tail.byteLength + chunk.byteLength);
      joined.set(tail);
      joined.set(chunk, tail.byteLength);
      tail = joined.length > tailBytes ? joined.slice(joined.length - tailBytes) : joined;
    },
    end: () => undefined,
    broken: () => undefined,
    usage: () => x.route.dialect.readUsage(tail),
    failed: () => false,
  };
}
