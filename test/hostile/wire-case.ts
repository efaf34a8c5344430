import { clientKey } from "../harness/proxy.ts";

/** One conversation that no honest client starts. */
export interface WireCase {
  /** Number of the list in the plan, with a letter where it has several. */
  readonly id: string;
  readonly name: string;
  /** What is written, as Latin-1; `mark` names the models of one conversation. */
  readonly bytes: (mark: string) => string;
  /** Every verdict that is safe; which one the runtime chooses is pinned elsewhere. */
  readonly safe: readonly Verdict[];
  /** Most requests that may reach the provider. */
  readonly upstream: 0 | 1;
}

/**
 * Statuses of the answers, then what became of the connection. `swallows`: what follows is taken
 * for the rest of the body; `waits`: neither answered nor closed, since more is believed to come.
 */
export type Verdict = `${number} ${End}` | `${number} ${number} ${End}` | "closed" | "waits";
type End = "open" | "closed" | "swallows";

/** A case as its table has it. */
export type Row = readonly [
  id: string,
  name: string,
  bytes: (mark: string) => string,
  safe: readonly Verdict[],
  upstream?: 0 | 1,
];

export function toCase([id, name, bytes, safe, upstream = 0]: Row): WireCase {
  return { id, name, bytes, safe, upstream };
}

export const key = `Authorization: Bearer ${clientKey}`;
export const host = "Host: 127.0.0.1";
export const chunkedLine = "Transfer-Encoding: chunked";
export const chat = "/v1/chat/completions";

const messages = [{ role: "user", content: "hello" }];

/** A body that the provider sees under the name of its case. */
export function bodyOf(model: string): string {
  return JSON.stringify({ model, messages });
}

/** Model names of a conversation: of its own request, and of one hidden in it. */
export function ownModel(id: string): string {
  return `own-${id}`;
}
export function hiddenModel(id: string): string {
  return `hidden-${id}`;
}

/** A request head of the lines as they are given, and what follows it. */
export function head(line: string, lines: readonly string[], rest = ""): string {
  return `${[line, ...lines].join("\r\n")}\r\n\r\n${rest}`;
}

/** A call with the case's own model, with more head lines, framed by its length. */
export function call(id: string, ...lines: readonly string[]): string {
  const body = bodyOf(ownModel(id));
  const length = `Content-Length: ${body.length}`;
  return head(`POST ${chat} HTTP/1.1`, [host, key, ...lines, length], body);
}

/** A whole request that must never be taken for one. */
export function hidden(id: string): string {
  const body = bodyOf(hiddenModel(id));
  const length = `Content-Length: ${body.length}`;
  return head(`POST ${chat} HTTP/1.1`, [host, key, length], body);
}

export function chunk(data: string): string {
  return `${data.length.toString(16)}\r\n${data}\r\n`;
}

/** A call in chunks, the wire form of its body given whole. */
export function chunkedCall(body: string): string {
  return head(`POST ${chat} HTTP/1.1`, [host, key, chunkedLine], body);
}

/** A body in one honest chunk, without the last one. */
export function ownChunk(id: string): string {
  return chunk(bodyOf(ownModel(id)));
}

export const refused: readonly Verdict[] = ["400 closed"];
/** A refusal by us: the connection may stay, since the parser is sure of the framing. */
export const denied = (...statuses: readonly number[]): readonly Verdict[] =>
  statuses.flatMap((status) => [`${status} open`, `${status} closed`] as const);
