import { Buffer } from "node:buffer";
import { openRaw } from "../harness/raw.ts";
import { sleep } from "../harness/wait.ts";
import { splitReplies, type WireReply } from "./replies.ts";
import type { Verdict, WireCase } from "./wire-case.ts";

/** The honest request that follows: whoever answers it shows that the framing still holds. */
const sentinel = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const sentinelBody = '{"status":"ok","reload":"ok"}';

/** Longer than an answer takes on a busy machine, when one is to come. */
const patienceMs = 5000;
/** How long silence counts as waiting, where it is expected. */
const silenceMs = 300;

export interface Conversation {
  /** Names the models of this conversation. */
  readonly mark: string;
  readonly verdict: Verdict;
  readonly replies: readonly WireReply[];
  /** Bytes that were no answer. */
  readonly rest: string;
}

let conversations = 0;

/** Failed logins are counted by address, and slowed. */
function addressOf(conversation: number): string {
  return `127.0.${1 + (conversation >> 7)}.${1 + (conversation & 127)}`;
}

/**
 * Has the conversation of a case, with the sentinel behind it.
 * @param pipelined the sentinel is in the same write; else it is sent after the answer
 */
export async function converse(
  url: string,
  { id, bytes, safe }: WireCase,
  pipelined: boolean,
): Promise<Conversation> {
  conversations += 1;
  const mark = `${id}-${conversations}`;
  const request = bytes(mark);
  const client = await openRaw(url, addressOf(conversations));
  let over = false;
  const closed = client.closed(60_000).then(
    () => {
      over = true;
    },
    () => {},
  );
  const heads = request.startsWith("HEAD ") ? 1 : 0;
  const split = () => splitReplies(Buffer.from(client.bytes()).toString("latin1"), heads);
  /** Interim answers are no answers. */
  const finals = () => split().replies.filter(({ status }) => status >= 200);
  const isAnswered = () => finals().length > 0;
  const isEchoed = () => finals().some(({ body }) => body === sentinelBody);
  try {
    client.send(Buffer.from(request + (pipelined ? sentinel : ""), "latin1"));
    const mayWait = safe.includes("waits");
    const mayStay = safe.some((verdict) => verdict.endsWith("swallows"));
    const first = client
      .read(pipelined && !mayStay ? isEchoed : isAnswered, patienceMs)
      .catch(() => "");
    await (mayWait ? Promise.race([first, sleep(silenceMs)]) : first);
    if (!pipelined && isAnswered() && !over) {
      client.send(sentinel);
      await client.read(isEchoed, mayStay ? silenceMs : patienceMs).catch(() => "");
    }
    if (!isEchoed() && isAnswered()) await Promise.race([closed, sleep(silenceMs)]);
    const { rest } = split();
    const replies = finals();
    const echoed = replies.at(-1)?.body === sentinelBody;
    const own = echoed ? replies.slice(0, -1) : replies;
    const statuses = own.map(({ status }) => status).join(" ");
    if (own.length === 0) return { mark, verdict: over ? "closed" : "waits", replies, rest };
    const end = echoed ? "open" : over ? "closed" : "swallows";
    return { mark, verdict: `${statuses} ${end}` as Verdict, replies, rest };
  } finally {
    client.close();
  }
}
