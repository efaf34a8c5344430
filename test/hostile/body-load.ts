import { clientKey, type RunningProxy } from "../harness/proxy.ts";
import { openRaw, type RawClient } from "../harness/raw.ts";
import { chat } from "./wire-case.ts";

export const MiB = 1024 * 1024;

/** The defaults of server.limits, as docs/limits.md has them. */
export const defaults = {
  concurrentRequests: 2048,
  bodyBytes: 32 * MiB,
  bodyBytesInFlight: 64 * MiB,
} as const;

/** Sends a call of exactly so many bytes on a connection of its own. */
export async function sendBody(
  proxy: RunningProxy,
  model: string,
  bytes: number,
  isChunked = false,
): Promise<RawClient> {
  const start = `{"model":"${model}","stream":true,"messages":[{"role":"user","content":"`;
  const end = '"}]}';
  const body = Buffer.alloc(bytes, "a");
  body.write(start);
  body.write(end, bytes - end.length);
  const client = await openRaw(proxy.url);
  const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes}`;
  client.send(
    `POST ${chat} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${clientKey}\r\n${framing}\r\n\r\n`,
  );
  if (!isChunked) {
    client.send(body);
    return client;
  }
  for (let at = 0; at < bytes; at += 65_536) {
    const piece = body.subarray(at, at + 65_536);
    client.send(`${piece.byteLength.toString(16)}\r\n`);
    client.send(piece);
    client.send("\r\n");
  }
  client.send("0\r\n\r\n");
  return client;
}

/** The status of the answer, once its head is there; an empty string when there was none. */
export async function statusOf(client: RawClient, withinMs = 20_000): Promise<string> {
  const text = await client.read((t) => t.includes("\r\n\r\n"), withinMs);
  return text.slice(9, 12);
}
