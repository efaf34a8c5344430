import { gzipSync } from "node:zlib";
import { modelList } from "./replies.ts";
import { apiOf, piecesOf, replyOf } from "./upstream/apis.ts";
import { type Coding, encode, encodedPieces } from "./upstream/codings.ts";
import { geminiModels } from "./upstream/gemini.ts";
import { rateLimitHeaders } from "./upstream/rate-limit-headers.ts";
import type { Received } from "./upstream/received.ts";
import type { ReplyOptions } from "./upstream/reply-options.ts";
import type { Headers, Script, Wire } from "./upstream/wire.ts";
import { sleep } from "./wait.ts";

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

export interface NormalOptions extends ReplyOptions {
  readonly headers?: Headers;
  readonly models?: readonly string[];
}

/** Answers as the vendor would: lists, whole replies and streams. */
export function normal(options: NormalOptions = {}): Script {
  return async (wire, request) => {
    const { headers = {} } = options;
    if (request.method === "GET") {
      const ids = options.models ?? [];
      const isGemini = request.header("x-goog-api-key") !== undefined;
      const list = isGemini ? geminiModels(ids) : modelList(ids, request.isMessages);
      return wire.whole(200, { ...jsonType, ...headers }, list);
    }
    if (!request.isStream) {
      return wire.whole(200, { ...jsonType, ...headers }, replyOf(request, options));
    }
    await begin(wire, request, headers);
    for (const event of piecesOf(request, options)) await wire.chunk(event);
    return wire.endChunks();
  };
}

/** The head of a stream, of the type that the endpoint streams in. */
export function begin(wire: Wire, request: Received, headers: Headers = {}): Promise<void> {
  const type = apiOf(request).streamType;
  return wire.stream({ ...(type !== undefined && { "content-type": type }), ...headers });
}

/** The same with what the vendor tells of its limits. */
export function withLimits(options: NormalOptions = {}): Script {
  return (wire, request) => {
    const limits = rateLimitHeaders[apiOf(request).vendor];
    return normal({ ...options, headers: { ...limits, ...options.headers } })(wire, request);
  };
}

/** A stream whose bytes come in pieces of one size, whatever they cut through. */
export function split(bytes: number, options: ReplyOptions = {}): Script {
  return async (wire, request) => {
    const all = Buffer.from(piecesOf(request, options).join(""));
    await begin(wire, request);
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
    await begin(wire, request);
    for (const event of piecesOf(request, options)) {
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
    await begin(wire, request);
    const text = "x".repeat(bytesEach);
    const [first = "", ...rest] = piecesOf(request, { text: [`tick ${text}`] });
    await wire.chunk(first);
    while (wire.isOpen) {
      await wire.chunk(rest[request.isMessages ? 1 : 0] ?? "");
      await sleep(everyMs);
    }
  };
}

/** The events before the last `without` ones, then whatever `then` does. */
function begun(request: Received, without: number): string[] {
  const events = piecesOf(request);
  return events.slice(0, events.length - without);
}

/** All but what the answer ends with. */
function unended(request: Received): string[] {
  return begun(request, apiOf(request).endPieces ?? 1);
}

/** An error of the provider itself after a good start. */
export const errorAfterStart: Script = async (wire, request) => {
  const { errorPiece } = apiOf(request);
  await begin(wire, request);
  for (const event of unended(request)) await wire.chunk(event);
  await wire.chunk(errorPiece?.("the fake upstream is overloaded") ?? "");
  await wire.endChunks();
};

/** Comments, pings, empty lines and CRLF between the events. */
export const pingsAndComments: Script = async (wire, request) => {
  const { ping } = apiOf(request);
  await begin(wire, request);
  await wire.chunk(": keep-alive\n\n");
  for (const event of piecesOf(request)) {
    if (ping !== undefined) await wire.chunk(ping);
    await wire.chunk(':\r\n\r\n: {"choices": [DONE]}\n\n');
    await wire.chunk(event.replace(/\r?\n/g, "\r\n"));
  }
  await wire.endChunks();
};

/** A clean end of the body without the terminal event. */
export const truncated: Script = truncatedAs("text/event-stream; charset=utf-8");

/** The same under another spelling of its media type. */
export function truncatedAs(type: string): Script {
  return async (wire, request) => {
    await wire.stream({ "content-type": type });
    for (const event of unended(request)) await wire.chunk(event);
    await wire.endChunks();
  };
}

/** A clean end in the middle of a line. */
export const truncatedInLine: Script = async (wire, request) => {
  await begin(wire, request);
  const events = unended(request).join("");
  await wire.chunk(events.slice(0, -15));
  await wire.endChunks();
};

export const resetMidStream: Script = async (wire, request) => {
  await begin(wire, request);
  for (const event of unended(request)) await wire.chunk(event);
  await sleep(30);
  wire.reset();
};

/** Closes a chunked body without its last chunk. */
export const endMidStream: Script = async (wire, request) => {
  await begin(wire, request);
  for (const event of unended(request)) await wire.chunk(event);
  await sleep(30);
  wire.close();
};

/** Says more bytes than it sends. */
export function shortLength(missing = 10): Script {
  return async (wire, request) => {
    const body = Buffer.from(replyOf(request));
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
  const body = replyOf(request);
  await wire.head(200, { ...jsonType, "content-length": String(Buffer.byteLength(body)) });
  await wire.raw(body.slice(0, 20));
};

export const hangMidStream: Script = async (wire, request) => {
  await begin(wire, request);
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
    const headers = { ...jsonType, ...nosyHeaders, "retry-after": retryAfter };
    return wire.whole(429, headers, apiOf(request).error(429, "slow down, upstream"));
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

/** Compresses although it was asked not to; a stream is flushed after each event. */
export function compressed(coding: Coding, options: ReplyOptions = {}): Script {
  return async (wire, request) => {
    const headers = { "content-encoding": coding };
    if (!request.isStream) {
      const body = encode(coding, replyOf(request, options));
      return wire.whole(200, { ...jsonType, ...headers }, body);
    }
    await begin(wire, request, headers);
    for (const part of await encodedPieces(coding, piecesOf(request, options))) {
      // Small chunks, so that decoders are fed in pieces.
      for (let at = 0; at < part.byteLength; at += 50) await wire.chunk(part.subarray(at, at + 50));
    }
    return wire.endChunks();
  };
}

/** A few KB that decode to a great many. */
export function bomb(megabytes: number): Script {
  const body = gzipSync(Buffer.alloc(megabytes * 1024 * 1024, 0x20));
  return async (wire, request) => {
    const headers = { "content-encoding": "gzip" };
    if (request.isStream) {
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
