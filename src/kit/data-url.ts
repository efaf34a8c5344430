const form = /^data:([\w.+-]+\/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*);base64,/i;

/** The media type and the base64 of a `data:` address (RFC 2397); undefined when it is none. */
export function readDataUrl(
  url: string,
): { readonly mediaType: string; readonly data: string } | undefined {
  // The pattern is for the head: what follows may be megabytes.
  const head = form.exec(url.slice(0, longestHead));
  if (head === null) return undefined;
  return { mediaType: (head[1] ?? "text/plain").toLowerCase(), data: url.slice(head[0].length) };
}

/** Longest head of such an address, in characters. */
const longestHead = 256;

/** A `data:` address of base64. */
export function toDataUrl(mediaType: string, data: string): string {
  return `data:${mediaType};base64,${data}`;
}
