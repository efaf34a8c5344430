import { nosyHeaders } from "../scripts.ts";
import { sleep } from "../wait.ts";
import { apiOf, piecesOf, replyOf } from "./apis.ts";
import type { Received } from "./received.ts";
import type { Script, Wire } from "./wire.ts";

/** What a faulty answer is put together from; every head also holds what no client may see. */
export interface Parts {
  /** The whole reply, as JSON. */
  readonly reply: string;
  /** The streamed reply in one piece. */
  readonly events: string;
  /** What the stream ends with, and what comes before. */
  readonly ending: string;
  readonly beginning: string;
  /** What tells of a failure in a running stream, in the vendor's own words. */
  readonly failure: string;
  /** An error in the vendor's own words. */
  error(status: number, message?: string): string;
  /** Status line and fields of a head. */
  head(status: string, ...fields: readonly string[]): string;
  readonly json: string;
  readonly sse: string;
  readonly chunked: string;
  length(body: string | Uint8Array): string;
  /** A body as one chunk; `last` ends all. */
  chunk(body: string): string;
  readonly last: string;
}

const nosyLines = Object.entries(nosyHeaders).flatMap(([name, value]) =>
  (typeof value === "string" ? [value] : value).map((v) => `${name}: ${v}`),
);

export function partsOf(request: Received): Parts {
  const api = apiOf(request);
  const pieces = api.events === undefined ? [] : piecesOf(request);
  const from = pieces.length - (api.endPieces ?? 0);
  return {
    reply: replyOf(request),
    events: pieces.join(""),
    beginning: pieces.slice(0, from).join(""),
    ending: pieces.slice(from).join(""),
    failure: api.errorPiece?.("own-words") ?? "",
    error: (status, message = "own-words") => api.error(status, message),
    head: (status, ...fields) =>
      `HTTP/1.1 ${status}\r\n${[...fields, ...nosyLines].join("\r\n")}\r\n\r\n`,
    json: "Content-Type: application/json",
    sse: "Content-Type: text/event-stream",
    chunked: "Transfer-Encoding: chunked",
    length: (body) => `Content-Length: ${Buffer.byteLength(body)}`,
    chunk: (body) => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`,
    last: "0\r\n\r\n",
  };
}

type Make = (parts: Parts) => string | Uint8Array | readonly (string | Uint8Array)[];

/** Writes what is made of the parts, and leaves the connection open. */
export function raw(make: Make): Script {
  return async (wire, request) => writeAll(wire, make(partsOf(request)));
}

/** The same, then closes by FIN. */
export function rawEnd(make: Make): Script {
  return async (wire, request) => {
    await writeAll(wire, make(partsOf(request)));
    wire.close();
  };
}

/** The same, then, when all has arrived, a reset. */
export function rawReset(make: Make): Script {
  return async (wire, request) => {
    await writeAll(wire, make(partsOf(request)));
    await sleep(30);
    if (!wire.isReused) wire.reset();
  };
}

/** The start, and when it has surely been read, the rest; then closes by FIN. */
export function rawLater(start: Make, rest: Make): Script {
  return async (wire, request) => {
    await writeAll(wire, start(partsOf(request)));
    await sleep(100);
    if (wire.isReused) return;
    await writeAll(wire, rest(partsOf(request)));
    wire.close();
  };
}

/** The start, then the same bytes again and again until the other side has had enough. */
export function rawEndless(start: Make, again: string, everyMs: number): Script {
  return async (wire, request) => {
    await writeAll(wire, start(partsOf(request)));
    while (wire.isOpen) {
      await Promise.race([wire.raw(again), sleep(1000)]);
      await sleep(everyMs);
    }
  };
}

/** A good head of JSON with a body in its right length. */
export function jsonBody(body: (parts: Parts) => string | Uint8Array, ...fields: string[]): Script {
  return raw((p) => {
    const bytes = body(p);
    return [p.head("200 OK", p.json, p.length(bytes), ...fields), bytes];
  });
}

/** A good stream of events with a body that is made of the parts. */
export function sseBody(body: (parts: Parts) => string | Uint8Array, ...fields: string[]): Script {
  return raw((p) => {
    const bytes = body(p);
    return [p.head("200 OK", p.sse, p.length(bytes), ...fields), bytes];
  });
}

async function writeAll(
  wire: Wire,
  made: string | Uint8Array | readonly (string | Uint8Array)[],
): Promise<void> {
  const list = typeof made === "string" || made instanceof Uint8Array ? [made] : made;
  await wire.raw(Buffer.concat(list.map((each) => Buffer.from(each))));
}
