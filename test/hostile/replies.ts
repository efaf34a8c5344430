/** One answer as it stood on the wire. */
export interface WireReply {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/**
 * Splits what a connection sent into answers, strictly: what is no whole answer is `rest`.
 * @param heads how many of the first answers have no body, because HEAD asked
 */
export function splitReplies(
  text: string,
  heads = 0,
): { readonly replies: readonly WireReply[]; readonly rest: string } {
  const replies: WireReply[] = [];
  let at = 0;
  for (;;) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    const status = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n/.exec(text.slice(at, at + 100))?.[1];
    if (headEnd < 0 || status === undefined) return { replies, rest: text.slice(at) };
    const head = text.slice(at, headEnd).toLowerCase();
    const start = headEnd + 4;
    const hasBody = replies.length >= heads && !/^(?:1\d\d|204|304)$/.test(status);
    const end = hasBody ? bodyEnd(text, start, head) : start;
    if (end === undefined) return { replies, rest: text.slice(at) };
    replies.push({ status: Number(status), head, body: text.slice(start, end) });
    at = end;
  }
}

function bodyEnd(text: string, start: number, head: string): number | undefined {
  if (head.includes("\r\ntransfer-encoding: chunked")) {
    const last = text.indexOf("\r\n0\r\n\r\n", start - 2);
    return last < 0 ? undefined : last + 7;
  }
  const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
  return text.length < start + length ? undefined : start + length;
}
