import type { NeutralReply, ReplyFrame } from "../contract/neutral.ts";
import type { RunningExchange } from "../exchange.ts";
import { toClientHeaders } from "../headers.ts";
import { isObject, parse } from "../kit/json-member.ts";
import { BadAnswer } from "../kit/untranslatable.ts";
import { broken, decoded, giveUp, passChunks, type ReplyHouse } from "../pass-on.ts";
import type { MaybePromise, MutableHead } from "../pipeline.ts";
import type { ActiveProvider } from "../providers.ts";
import { send, toProblem } from "../reply.ts";
import type { UpstreamAnswer } from "../upstream.ts";
import type { Translated } from "./request.ts";
import { StreamTap } from "./stream-tap.ts";
import { tidyReply, toEvents } from "./tidy-events.ts";

/** Longest reply that is translated as a whole, in bytes. */
export const maxReplyBytes = 32 * 1024 * 1024;

const eventType = /^text\/event-stream/i;

/** Gives a provider's good answer to a client of another dialect. */
export async function passBack(
  x: RunningExchange,
  provider: ActiveProvider,
  upstream: UpstreamAnswer,
  house: ReplyHouse,
  translated: Translated,
): Promise<Response> {
  const { headers: theirs } = upstream.response;
  const { idleMs } = provider.timeouts;
  const source = decoded(upstream.response, theirs.get("content-encoding"));
  if (source === undefined) return giveUp(x, upstream, { code: "upstream_bad_answer" });
  const headers = { ...toClientHeaders(x, theirs), ...translated.headers };
  const frame = toFrame(x, translated);
  const isStream = x.call?.stream === true;
  const form = isStream && translated.from.verbs !== undefined ? formOf(x) : "events";
  headers["content-type"] =
    isStream && form === "events" ? "text/event-stream" : "application/json";
  const head: MutableHead = { status: 200, headers, stream: isStream, code: undefined };
  if (isStream && eventType.test(theirs.get("content-type") ?? "")) {
    const { totalAtMs } = upstream;
    const passing = { x, upstream, head, source, house, idleMs, totalAtMs };
    return passChunks(passing, new StreamTap(x, translated, frame, form), []);
  }
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readWhole(x, source, idleMs, upstream.totalAtMs);
  } catch (error) {
    return broken(x, upstream, error);
  }
  if (bytes === undefined) return giveUp(x, upstream, { code: "upstream_bad_answer" });
  return passWhole(x, upstream, head, translated, frame, form, bytes);
}

/** Google's clients ask for events by the query, else a stream is one JSON array. */
export function formOf(x: RunningExchange): "events" | "json" {
  return x.query("alt") === "sse" || x.query("$alt") === "sse" ? "events" : "json";
}

function toFrame(x: RunningExchange, { request }: Translated): ReplyFrame {
  const id = x.id.replace(/^req_|-/g, "");
  return { request, id, created: Math.floor(Date.now() / 1000) };
}

/** A body up to the limit; undefined when it is longer. */
async function readWhole(
  x: RunningExchange,
  source: ReadableStream<Uint8Array>,
  idleMs: number,
  totalAtMs: number,
): Promise<Uint8Array | undefined> {
  const reader = source.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    x.extend("upstream_timeout", idleMs, totalAtMs);
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > maxReplyBytes) return undefined;
    chunks.push(value);
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

function passWhole(
  x: RunningExchange,
  upstream: UpstreamAnswer,
  head: MutableHead,
  translated: Translated,
  frame: ReplyFrame,
  form: "events" | "json",
  bytes: Uint8Array,
): MaybePromise<Response> {
  let text: string;
  try {
    const reply = readReply(translated, frame, bytes);
    text = head.stream
      ? asStream(reply, translated, frame, form)
      : JSON.stringify(translated.from.writeReply(reply, frame));
  } catch (error) {
    if (!(error instanceof BadAnswer)) throw error;
    return giveUp(x, upstream, { code: "upstream_bad_answer" });
  }
  return send(x, head, (refusal) => {
    if (refusal !== undefined) return x.route.dialect.error(toProblem(x, refusal));
    const usage = translated.dialect.readUsage(bytes);
    x.markFirstByte();
    const { byteLength } = bytes;
    const upstreamStatus = upstream.response.status;
    x.finish({ kind: "success", status: 200, bytes: byteLength, usage, upstreamStatus });
    return text;
  });
}

function readReply({ to, request }: Translated, { id }: ReplyFrame, bytes: Uint8Array) {
  const content = parse(new TextDecoder().decode(bytes));
  if (!isObject(content)) throw new BadAnswer("a reply that is no JSON object");
  const unwraps = to.limits.custom_tool !== undefined;
  return tidyReply(to.readReply(content, request), request, id, unwraps);
}

export function asStream(
  reply: NeutralReply,
  { from }: Pick<Translated, "from">,
  frame: ReplyFrame,
  form: "events" | "json",
): string {
  const writer = from.writeEvents(frame, form);
  return (
    toEvents(reply)
      .map((event) => writer.write(event))
      .join("") + writer.end()
  );
}
