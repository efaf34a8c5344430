import { connect, type Socket } from "node:net";
import { within } from "./wait.ts";

/** A client that says what it is told to, byte for byte. */
export interface RawClient {
  readonly socket: Socket;
  /** All that has arrived. */
  text(): string;
  bytes(): Uint8Array;
  send(data: string | Uint8Array): void;
  /** Waits until what has arrived satisfies the predicate, or the other side closes. */
  read(until?: (text: string) => boolean, withinMs?: number): Promise<string>;
  /** Resolves when the other side has closed; says whether it was by a reset. */
  closed(withinMs?: number): Promise<"end" | "reset">;
  /** Vanishes by RST, as a crashed client does. */
  vanish(): void;
  close(): void;
}

/** @param from loopback address to call from, so that one test's failures are not another's */
export async function openRaw(url: string, from?: string): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    ...(from !== undefined && { localAddress: from }),
  });
  const chunks: Uint8Array[] = [];
  let waiting: (() => void)[] = [];
  let end: "end" | "reset" | undefined;
  const stir = (): void => {
    const resume = waiting;
    waiting = [];
    for (const go of resume) go();
  };
  socket.on("data", (data: Buffer) => {
    chunks.push(data);
    stir();
  });
  const ended = (how: "end" | "reset") => () => {
    end ??= how;
    stir();
  };
  socket.on("end", ended("end"));
  socket.on("error", ended("reset"));
  socket.on("close", ended("end"));
  const connected = new Promise<void>((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("error", reject);
  });
  await within(`connect to ${url}`, connected);
  socket.setNoDelay(true);
  const bytes = (): Uint8Array => Buffer.concat(chunks);
  const text = (): string => Buffer.concat(chunks).toString("utf8");
  const next = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  return {
    socket,
    text,
    bytes,
    send: (data) => void socket.write(data),
    read: (until = () => false, withinMs = 5000) =>
      within(
        "read",
        (async () => {
          while (!until(text()) && end === undefined) await next();
          return text();
        })(),
        withinMs,
      ),
    closed: (withinMs = 5000) =>
      within(
        "close",
        (async () => {
          while (end === undefined) await next();
          return end;
        })(),
        withinMs,
      ),
    vanish: () => void socket.resetAndDestroy(),
    close: () => void socket.destroy(),
  };
}

/** The bytes of a request; `content-length` is added to a body unless a framing is given. */
export function requestBytes(
  method: string,
  target: string,
  headers: readonly (readonly [name: string, value: string])[],
  body = "",
): string {
  const named = new Set(headers.map(([name]) => name.toLowerCase()));
  const framed = named.has("content-length") || named.has("transfer-encoding");
  const all = [...headers];
  if (!named.has("host")) all.unshift(["Host", "127.0.0.1"]);
  if (body !== "" && !framed) all.push(["Content-Length", String(Buffer.byteLength(body))]);
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `${method} ${target} HTTP/1.1\r\n${lines}\r\n${body}`;
}

/** Sends one request on its own connection and reads the answer until the other side closes. */
export async function rawExchange(
  url: string,
  method: string,
  target: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
  body = "",
  from?: string,
): Promise<string> {
  const client = await openRaw(url, from);
  try {
    client.send(requestBytes(method, target, [...headers, ["Connection", "close"]], body));
    return await client.read();
  } finally {
    client.close();
  }
}
