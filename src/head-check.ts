import type { Refusal } from "./errors.ts";

/**
 * What a runtime's parser lets pass, although two readers could take it for two things. Checked
 * before any policy: each of them may rely on one well-formed Host and on one framing.
 */

/** RFC 3986, 3.2.2, without what no name of a host has: percents, commas and other marks. */
const hostPattern = /^(?:[a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::(\d{1,5}))?$/i;

const close = { connection: "close" } as const;

const badHost: Refusal = {
  code: "bad_request",
  message: "The Host header must be given once, as a name or an address with an optional port.",
  headers: close,
};
const badLength: Refusal = {
  code: "bad_request",
  message: "Content-Length must be given once, as a whole number.",
  headers: close,
};
const badCoding: Refusal = {
  code: "bad_request",
  message: "Transfer-Encoding must be `chunked` alone, without Content-Length.",
  headers: close,
};
/** After CONNECT the parser takes all that follows for a tunnel: only the end is safe. */
const noSuchMethod: Refusal = {
  code: "method_not_allowed",
  headers: { allow: "GET, HEAD, POST, PUT, PATCH, DELETE", ...close },
};

/** Most clients send the same Host again and again. */
let lastGoodHost: string | undefined;

/**
 * Judges a request's head (RFC 9112, 3.2 and 6.3); where a field is given twice, its values arrive
 * joined by a comma.
 * @param needsHost false: none at all will do, as in HTTP/1.0
 * @returns why it is refused; undefined when it is sound
 */
export function checkHead({ method, headers }: Request, needsHost: boolean): Refusal | undefined {
  if (method === "CONNECT" || method === "TRACE") return noSuchMethod;
  const host = headers.get("host");
  if (host === null) {
    if (needsHost) return badHost;
  } else if (host !== lastGoodHost) {
    if (!isHost(host)) return badHost;
    lastGoodHost = host;
  }
  const length = headers.get("content-length");
  if (length !== null && !isLength(length)) return badLength;
  const coding = headers.get("transfer-encoding");
  if (coding === null) return undefined;
  return length === null && coding.toLowerCase() === "chunked" ? undefined : badCoding;
}

function isHost(host: string): boolean {
  const found = hostPattern.exec(host);
  return found !== null && Number(found[1] ?? 0) <= 65_535;
}

/** Beyond 15 digits a number is no longer exact. */
function isLength(length: string): boolean {
  return /^\d{1,15}$/.test(length);
}
