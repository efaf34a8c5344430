import type { StreamReader } from "./contract/plugin.ts";
import type { Usage } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import { toClientHeaders } from "./headers.ts";
import { inflate } from "./kit/inflate.ts";
import { closesJson, firstByte, opensJson } from "./kit/json-form.ts";
import { joined, readOpening, wholeBytes } from "./opening.ts";
import type { MaybePromise, MutableHead } from "./pipeline.ts";
import type { ActiveProvider } from "./providers.ts";
import { type LastWords, Relay, type RelayEnd, type RelayTap } from "./relay.ts";
import { endKind, refuse, send, toProblem } from "./reply.ts";
import type { ByteSource, PoolAnswer } from "./runtime/runtime.ts";
import { bodyFailure, type UpstreamAnswer } from "./upstream.ts";

/** Enough of a long reply's end to hold the usage it reports. */
const tailBytes = 16 * 1024;

const inflateLimits = { bytes: 256 * 1024 * 1024, ratio: 200, ratioFloor: 1024 * 1024 };
const encoder = new TextEncoder();

/** What a reply needs of its generation. */
export interface ReplyHouse {
  readonly limits: {
    readonly writeStallMs: number;
    /** After how much silence an event stream gets a comment; undefined: never. */
    readonly keepaliveMs: number | undefined;
  };
  openStream(source: ByteSource, request: Request): ReadableStream<Uint8Array>;
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
  const type = theirs.get("content-type") ?? "";
  const encoding = theirs.get("content-encoding");
  const headers = toClientHeaders(x, theirs);
  const stream = readerOf(x, type);
  const isStream = stream !== undefined;
  // A body is what it looks like, and a wrong name for it goes no further.
  headers["content-type"] = toPlainType(type);
  const head: MutableHead = { status, headers, stream: isStream, code: undefined };
  // Looking at `response.body` makes a stream of it, which costs more than the whole reply.
  const isPlain = !isStream && x.call?.stream !== true && encoding === null;
  if (isPlain && isShort(theirs.get("content-length"))) {
    return passWhole(x, upstream, head, idleMs);
  }
  const source = decoded(upstream.response, encoding);
  if (source === undefined) return giveUp(x, upstream, { code: "upstream_bad_answer" });
  const { totalAtMs } = upstream;
  const passing = { x, upstream, head, source, house, idleMs, totalAtMs };
  return isStream ? passChunks(passing, streamTap(x, stream), []) : passPlain(passing);
}

const eventType = /^text\/event-stream/i;
const plainType =
  /^(?:application\/json|text\/event-stream)\s*(?:;\s*charset\s*=\s*"?[\w-]{1,20}"?\s*)?$/i;

/** A content type that may be told to clients: one of two, whatever else a provider says. */
function toPlainType(type: string): string {
  if (plainType.test(type)) return type;
  return eventType.test(type) ? "text/event-stream" : "application/json";
}

/** An answer on its way from a provider to a client. */
interface Passing {
  readonly x: RunningExchange;
  readonly upstream: UpstreamAnswer;
  readonly head: MutableHead;
  readonly source: ReadableStream<Uint8Array>;
  readonly house: ReplyHouse;
  readonly idleMs: number;
  readonly totalAtMs: number;
}

/** What is no event stream by its name: read until it shows what it is, and whole if short. */
async function passPlain(passing: Passing): Promise<Response> {
  const { x, upstream, head, source, idleMs, totalAtMs } = passing;
  let opening: Awaited<ReturnType<typeof readOpening>>;
  try {
    opening = await readOpening(x, source, idleMs, totalAtMs);
  } catch (error) {
    return broken(x, upstream, error);
  }
  const { chunks, isWhole, form } = opening;
  if (form === "events" && x.call?.stream === true) {
    head.headers["content-type"] = "text/event-stream";
    const stream = { ...passing, head: { ...head, stream: true } };
    return passChunks(stream, streamTap(x, x.route.dialect.readStream()), chunks);
  }
  if (form === "json" && !isWhole) return passChunks(passing, tailTap(x), chunks);
  return passBytes(x, upstream, head, joined(opening));
}

/** Relays a body to the client. */
export function passChunks(
  { x, upstream, head, source, house, idleMs, totalAtMs }: Passing,
  tap: UsageTap,
  opening: readonly Uint8Array[],
): MaybePromise<Response> {
  const { status } = head;
  if (head.stream) head.headers["x-accel-buffering"] = "no";
  const isEvents = head.stream && eventType.test(head.headers["content-type"] ?? "");
  const { writeStallMs, keepaliveMs } = house.limits;
  const limits = {
    ...{ idleMs, totalAtMs, writeStallMs },
    keepaliveMs: isEvents ? keepaliveMs : undefined,
  };
  return send(x, head, (refusal) => {
    if (refusal !== undefined) {
      upstream.cancel();
      return x.route.dialect.error(toProblem(x, refusal));
    }
    const onEnd = ({ bytes, refusal: why, clientGone }: RelayEnd): void => {
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
    };
    return house.openStream(new Relay(x, source, tap, limits, onEnd, opening), x.request);
  });
}

function passWhole(
  x: RunningExchange,
  upstream: UpstreamAnswer,
  head: MutableHead,
  idleMs: number,
): Promise<Response> {
  x.extend("upstream_timeout", idleMs, upstream.totalAtMs);
  return upstream.response.arrayBuffer().then(
    (bytes) => passBytes(x, upstream, head, new Uint8Array(bytes)),
    (error) => broken(x, upstream, error),
  );
}

/** A whole reply, if it is one. */
function passBytes(
  x: RunningExchange,
  upstream: UpstreamAnswer,
  head: MutableHead,
  bytes: Uint8Array<ArrayBuffer>,
): MaybePromise<Response> {
  if (!opensJson(firstByte(bytes))) return giveUp(x, upstream, { code: "upstream_bad_answer" });
  // Without a length, a connection that broke looks like one that was closed.
  if (!closesJson(bytes)) return giveUp(x, upstream, { code: "upstream_truncated" });
  const { status } = head;
  return send(x, head, (refusal) => {
    if (refusal !== undefined) return x.route.dialect.error(toProblem(x, refusal));
    const usage = x.route.dialect.readUsage(bytes);
    const { byteLength } = bytes;
    x.markFirstByte();
    x.finish({ kind: "success", status, bytes: byteLength, usage, upstreamStatus: status });
    return bytes;
  });
}

/** A body that broke before anything of it went out. */
export function broken(
  x: RunningExchange,
  upstream: UpstreamAnswer,
  error: unknown,
): MaybePromise<Response> {
  if (!x.isClientGone || x.stopped !== undefined) {
    return giveUp(x, upstream, x.stopped ?? { code: bodyFailure(error) });
  }
  const { status } = upstream.response;
  x.finish({ kind: "client_abort", status, upstreamStatus: status });
  return new Response(null, { status: 499 });
}

/** Ends an answer that can't be passed on. */
export function giveUp(
  x: RunningExchange,
  { response, cancel }: UpstreamAnswer,
  refusal: Refusal,
): MaybePromise<Response> {
  cancel();
  return refuse(x, refusal, response);
}

function isShort(length: string | null): boolean {
  return length !== null && Number(length) <= wholeBytes;
}

/** The body as plain bytes; undefined when its coding is not known. */
export function decoded(
  response: PoolAnswer,
  encoding: string | null,
): ReadableStream<Uint8Array> | undefined {
  const body = response.body ?? new Response("").body;
  if (body === null) return undefined;
  if (encoding === null || encoding === "" || encoding === "identity") return body;
  return inflate(body, encoding, inflateLimits);
}

/** What watches a reply go by, and knows what it cost. */
export interface UsageTap extends RelayTap {
  usage(): Usage | undefined;
  /** The provider itself told the client of a failure. */
  failed(): boolean;
}

/** What reads a reply as it streams by; undefined: it is no stream. */
function readerOf(x: RunningExchange, type: string): StreamReader | undefined {
  if (eventType.test(type)) return x.route.dialect.readStream();
  return x.call?.stream === true ? x.route.dialect.readJsonStream?.() : undefined;
}

/** Watches a stream; one that ends early gets an error in its dialect. */
function streamTap(x: RunningExchange, reader: StreamReader): UsageTap {
  let failed = false;
  // What the dialect calls complete is complete, however its connection ends; and an error of the
  // provider's own needs no second one behind it.
  const judge = (refusal: Refusal): LastWords => {
    const how = reader.end();
    failed = how === "error";
    if (how !== "truncated") return "complete";
    const text = reader.fail(toProblem(x, refusal));
    return text === undefined ? "cut" : encoder.encode(text);
  };
  return {
    push: (chunk) => reader.push(chunk),
    end: () => judge({ code: "upstream_truncated" }),
    broken: (refusal) => (refusal.code === "client_stalled" ? "cut" : judge(refusal)),
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
    end: () => (closesJson(tail) ? "complete" : "cut"),
    broken: () => "cut",
    usage: () => x.route.dialect.readUsage(tail),
    failed: () => false,
  };
}
