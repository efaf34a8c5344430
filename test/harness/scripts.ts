import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import type { Received, Script, Wire } from "./fake-upstream.ts";
import {
  chatErrorEvent,
  chatEvents,
  chatReply,
  messageErrorEvent,
  messageEvents,
  messageReply,
  modelList,
  type ReplyOptions,
} from "./replies.ts";
import { sleep } from "./wait.ts";

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** Headers that a provider may send and that must not reach a client. */
export const nosyHeaders: Headers = {
  server: "nginx/1.25 (secret-host-17)",
  "set-cookie": ["__cf_bm=tracker; HttpOnly", "session=abc"],
  "x-internal-address": "10.1.2.3:8443",
  "openai-organization": "org-secret",
  "anthropic-organization-id": "org-secret",
  via: "1.1 edge-secret",
  "alt-svc": 'h3=":443"',
  "strict-transport-security": "max-age=1",
  "x-ratelimit-remaining-requests": "41",
  "anthropic-ratelimit-requests-remaining": "42",
  "request-id": "req_upstream_7",
};

const jsonType = { "content-type": "application/json" };

function eventsOf(request: Received, options: ReplyOptions): string[] {
  const { model = "" } = request.json;
  return request.isMessages ? messageEvents(model, options) : chatEvents(model, options);
}

function replyOf(request: Received, options: ReplyOptions): string {
  const { model = "" } = request.json;
  return request.isMessages ? messageReply(model, options) : chatReply(model, options);
}

export interface NormalOptions extends ReplyOptions {
  readonly headers?: Headers;
  readonly models?: readonly string[];
}

/** Answers as the vendor would: lists, whole replies and streams. */
export function normal(options: NormalOptions = {}): Script {
  return async (wire, request) => {
    const { headers = {} } = options;
    if (request.method === "GET") {
      const list = modelList(options.models ?? [], request.isMessages);
      return wire.whole(200, { ...jsonType, ...headers }, list);
    }
    if (request.json.stream !== true) {
      return wire.whole(200, { ...jsonType, ...headers }, replyOf(request, options));
    }
    await wire.stream(headers);
    for (const event of eventsOf(request, options)) await wire.chunk(event);
    return wire.endChunks();
  };
}

/** A stream whose bytes come in pieces of one size, whatever they cut through. */
export function split(bytes: number, options: ReplyOptions = {}): Script {
  return async (wire, request) => {
    const all = Buffer.from(eventsOf(request, options).join(""));
    await wire.stream();
    for (let at = 0; at < all.byteLength; at += bytes) {
      await wire.chunk(all.subarray(at, at + bytes));
      // A turn of the loop, so that the pieces stay pieces.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await wire.endChunks();
  };
}

/** A stream with a pause before each event. */
export function paced(everyMs: number, options: ReplyOptions = {}): Script {
  return async (wire, request) => {
    await wire.stream();
    for (const event of eventsOf(request, options)) {
      await sleep(everyMs);
      if (!wire.isOpen) return;
      await wire.chunk(event);
    }
    await wire.endChunks();
  };
}

/** A stream that goes on until its client leaves. */
export function endless(everyMs: number, bytesEach = 0): Script {
  return async (wire, request) => {
    await wire.stream();
    const text = "x".repeat(bytesEach);
    const [first = "", ...rest] = eventsOf(request, { text: [`tick ${text}`] });
    await wire.chunk(first);
    while (wire.isOpen) {
      await wire.chunk(rest[request.isMessages ? 1 : 0] ?? "");
      await sleep(everyMs);
    }
  };
}

/** The events before the last `without` ones, then whatever `then` does. */
function begun(request: Received, without: number): string[] {
  const events = eventsOf(request, {});
  return events.slice(0, events.length - without);
}

/** An error of the provider itself after a good start. */
export const errorAfterStart: Script = async (wire, request) => {
  await wire.stream();
  for (const event of begun(request, 3)) await wire.chunk(event);
  const words = request.isMessages ? messageErrorEvent : chatErrorEvent;
  await wire.chunk(words("the fake upstream is overloaded"));
  await wire.endChunks();
};

/** Comments, pings, empty lines and CRLF between the events. */
export const pingsAndComments: Script = async (wire, request) => {
  await wire.stream();
  await wire.chunk(": keep-alive\n\n");
  for (const event of eventsOf(request, {})) {
    if (request.isMessages) await wire.chunk('event: ping\ndata: {"type": "ping"}\n\n');
    await wire.chunk(':\r\n\r\n: {"choices": [DONE]}\n\n');
    await wire.chunk(event.replaceAll("\n", "\r\n"));
  }
  await wire.endChunks();
};

/** A clean end of the body without the terminal event. */
export const truncated: Script = truncatedAs("text/event-stream; charset=utf-8");

/** The same under another spelling of its media type. */
export function truncatedAs(type: string): Script {
  return async (wire, request) => {
    await wire.stream({ "content-type": type });
    for (const event of begun(request, 3)) await wire.chunk(event);
    await wire.endChunks();
  };
}

/** A clean end in the middle of a line. */
export const truncatedInLine: Script = async (wire, request) => {
  await wire.stream();
  const events = begun(request, 3).join("");
  await wire.chunk(events.slice(0, -15));
  await wire.endChunks();
};

export const resetMidStream: Script = async (wire, request) => {
  await wire.stream();
  for (const event of begun(request, 3)) await wire.chunk(event);
  await sleep(30);
  wire.reset();
};

/** Closes a chunked body without its last chunk. */
export const endMidStream: Script = async (wire, request) => {
  await wire.stream();
  for (const event of begun(request, 3)) await wire.chunk(event);
  await sleep(30);
  wire.close();
};

/** Says more bytes than it sends. */
export function shortLength(missing = 10): Script {
  return async (wire, request) => {
    const body = Buffer.from(replyOf(request, {}));
    await wire.head(200, { ...jsonType, "content-length": String(body.byteLength + missing) });
    await wire.raw(body);
    wire.close();
  };
}

export const garbage: Script = async (wire) => {
  await wire.raw("SSH-2.0-OpenSSH_9.2\r\nnot http at all\r\n\r\n");
  wire.close();
};

export const hangBeforeHead: Script = () => {};

/** The head and half of a short body, then silence. */
export const hangInWhole: Script = async (wire, request) => {
  const body = replyOf(request, {});
  await wire.head(200, { ...jsonType, "content-length": String(Buffer.byteLength(body)) });
  await wire.raw(body.slice(0, 20));
};

export const hangMidStream: Script = async (wire, request) => {
  await wire.stream();
  for (const event of begun(request, 4)) await wire.chunk(event);
};

/** A drip that never ends: alive by the idle timer, dead by the total one. */
export function drip(everyMs: number): Script {
  return async (wire) => {
    await wire.stream();
    while (wire.isOpen) {
      await wire.chunk(": drip\n\n");
      await sleep(everyMs);
    }
  };
}

export function errorReply(status: number, body: string, headers: Headers = {}): Script {
  return (wire) => wire.whole(status, { ...jsonType, ...headers }, body);
}

export function rateLimited(retryAfter: string): Script {
  return (wire, request) => {
    const error = request.isMessages
      ? { type: "error", error: { type: "rate_limit_error", message: "slow down, upstream" } }
      : {
          error: { message: "slow down, upstream", type: "requests", code: "rate_limit_exceeded" },
        };
    const headers = { ...jsonType, ...nosyHeaders, "retry-after": retryAfter };
    return wire.whole(429, headers, JSON.stringify(error));
  };
}

export const html500: Script = (wire) =>
  wire.whole(
    500,
    { "content-type": "text/html", ...nosyHeaders },
    "<html><h1>Oops</h1> at /srv/secret/app.py on 10.1.2.3</html>",
  );

/** Repeats the credential that it was sent, as some vendors do in part. */
export const leaky401: Script = (wire, request) => {
  const key = request.header("authorization") ?? request.header("x-api-key") ?? "";
  const error = { error: { message: `Incorrect API key provided: ${key}`, type: "invalid" } };
  return wire.whole(401, jsonType, JSON.stringify(error));
};

/** An error about the request that repeats the credential. */
export const leaky400: Script = (wire, request) => {
  const key = (request.header("authorization") ?? request.header("x-api-key") ?? "").split(" ");
  const error = { error: { message: `bad request with ${key.at(-1)}`, type: "invalid" } };
  return wire.whole(400, jsonType, JSON.stringify(error));
};

export function redirect(location: string, status = 307): Script {
  return (wire) => wire.whole(status, { location }, "");
}

const coders = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
} as const;

/** Compresses although it was asked not to. */
export function compressed(coding: keyof typeof coders): Script {
  return async (wire, request) => {
    const encode = coders[coding];
    const headers = { "content-encoding": coding };
    if (request.json.stream !== true) {
      return wire.whole(200, { ...jsonType, ...headers }, encode(replyOf(request, {})));
    }
    const bytes = encode(eventsOf(request, {}).join(""));
    await wire.stream(headers);
    for (let at = 0; at < bytes.byteLength; at += 50) {
      await wire.chunk(bytes.subarray(at, at + 50));
    }
    return wire.endChunks();
  };
}

/** A few KB that decode to a great many. */
export function bomb(megabytes: number): Script {
  const body = gzipSync(Buffer.alloc(megabytes * 1024 * 1024, 0x20));
  return async (wire, request) => {
    const headers = { "content-encoding": "gzip" };
    if (request.json.stream === true) {
      await wire.stream(headers);
      await wire.chunk(body);
      return wire.endChunks();
    }
    return wire.whole(200, { ...jsonType, ...headers }, body);
  };
}

export function unknownCoding(wire: Wire): Promise<void> {
  return wire.whole(200, { ...jsonType, "content-encoding": "x-rot13" }, "uryyb");
}

/** Answers well, then closes the kept-alive connection right when the next request arrives. */
export function stale(how: "reset" | "end"): Script {
  return async (wire, request) => {
    await normal()(wire, request);
    wire.closeOnNext(how);
  };
}

/** Closes without a byte of an answer. */
export function dropAtOnce(how: "reset" | "end"): Script {
  return (wire) => (how === "reset" ? wire.reset() : wire.close());
}
