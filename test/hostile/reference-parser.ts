/** A request as the strictest reader takes it. */
export interface ReferenceRequest {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP\/1\.([01])$/;
const fieldLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0-\x08\n-\x1f]*?)[ \t]*$/;
const sizeLine = /^([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\0-\x08\n-\x1f]*)?$/;

/**
 * Splits bytes into requests by RFC 9112 to the letter, and stops at the first that is not well
 * formed. Whatever a server takes for a request that is not among these, it was smuggled.
 * @param text Latin-1
 */
export function referenceRequests(text: string): ReferenceRequest[] {
  const requests: ReferenceRequest[] = [];
  for (let at = 0; ; ) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    if (headEnd < 0) return requests;
    const [line = "", ...lines] = text.slice(at, headEnd).split("\r\n");
    const parts = requestLine.exec(line);
    const fields = lines.map((field) => fieldLine.exec(field));
    if (parts === null || fields.includes(null)) return requests;
    const [, method = "", target = "", minor] = parts;
    const valuesOf = (name: string): string[] =>
      fields.flatMap((f) => (f?.[1]?.toLowerCase() === name ? [f[2] ?? ""] : []));
    const body = bodyOf(text, headEnd + 4, valuesOf, minor === "1");
    if (body === undefined) return requests;
    requests.push({ method, target, body: body.content });
    at = body.end;
  }
}

interface Body {
  readonly content: string;
  readonly end: number;
}

function bodyOf(
  text: string,
  start: number,
  valuesOf: (name: string) => string[],
  mayChunk: boolean,
): Body | undefined {
  const lengths = valuesOf("content-length");
  const codings = valuesOf("transfer-encoding");
  if (codings.length > 0) {
    const isChunked = codings.length === 1 && codings[0]?.toLowerCase() === "chunked";
    return isChunked && lengths.length === 0 && mayChunk ? chunkedBody(text, start) : undefined;
  }
  if (lengths.length === 0) return { content: "", end: start };
  if (lengths.length > 1 || !/^\d{1,15}$/.test(lengths[0] ?? "")) return undefined;
  const end = start + Number(lengths[0]);
  return end > text.length ? undefined : { content: text.slice(start, end), end };
}

function chunkedBody(text: string, start: number): Body | undefined {
  let content = "";
  for (let at = start; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(sizeLine.exec(text.slice(at, lineEnd))?.[1] ?? "", 16);
    if (Number.isNaN(size)) return undefined;
    at = lineEnd + 2;
    if (size === 0) return { content, end: trailersEnd(text, at) };
    if (text.slice(at + size, at + size + 2) !== "\r\n") return undefined;
    content += text.slice(at, at + size);
    at += size + 2;
  }
}

/** The body is whole before its trailers; after bad ones nothing more is a request. */
function trailersEnd(text: string, start: number): number {
  for (let at = start; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return text.length;
    if (lineEnd === at) return at + 2;
    if (!fieldLine.test(text.slice(at, lineEnd))) return text.length;
    at = lineEnd + 2;
  }
}
