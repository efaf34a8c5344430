import type { Socket } from "node:net";
import type { Received } from "./received.ts";

/** What a request does to the wire. */
export type Script = (wire: Wire, request: Received) => unknown;

export type Headers = Readonly<Record<string, string | readonly string[]>>;

/** One answer on the wire; nothing is added to what a script writes. */
export class Wire {
  readonly socket: Socket;
  readonly #connection: Connection;
  readonly #request: number;

  constructor(socket: Socket, connection: Connection) {
    this.socket = socket;
    this.#connection = connection;
    this.#request = connection.requests;
  }

  /** The connection has been used again: what is done to it hits another answer. */
  get isReused(): boolean {
    return this.#connection.requests !== this.#request;
  }

  get isOpen(): boolean {
    return !this.socket.destroyed && this.socket.writable;
  }

  /** Writes raw bytes; resolves when the kernel has them. */
  raw(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (!this.isOpen) return resolve();
      this.socket.write(data, () => resolve());
    });
  }

  head(status: number, headers: Headers): Promise<void> {
    const lines = Object.entries(headers).flatMap(([name, value]) =>
      (typeof value === "string" ? [value] : value).map((v) => `${name}: ${v}\r\n`),
    );
    return this.raw(`HTTP/1.1 ${status} Scripted\r\n${lines.join("")}\r\n`);
  }

  /** A whole answer with a right content-length. */
  async whole(status: number, headers: Headers, body: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(body);
    await this.head(status, { ...headers, "content-length": String(bytes.byteLength) });
    await this.raw(bytes);
  }

  /** The head of a chunked stream, of events unless the headers say otherwise. */
  stream(headers: Headers = {}): Promise<void> {
    return this.head(200, {
      "content-type": "text/event-stream; charset=utf-8",
      ...headers,
      "transfer-encoding": "chunked",
    });
  }

  /** One chunk of a chunked body. */
  chunk(data: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(data);
    const size = Buffer.from(`${bytes.byteLength.toString(16)}\r\n`);
    return this.raw(Buffer.concat([size, bytes, Buffer.from("\r\n")]));
  }

  endChunks(): Promise<void> {
    return this.raw("0\r\n\r\n");
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  close(): void {
    this.socket.end();
  }

  /** Closes this kept-alive connection right when the next request arrives on it. */
  closeOnNext(how: "reset" | "end"): void {
    this.#connection.closeOnNext = how;
  }
}

export interface Connection {
  readonly number: number;
  /** How many have come on it so far. */
  requests: number;
  closeOnNext: "reset" | "end" | undefined;
}
