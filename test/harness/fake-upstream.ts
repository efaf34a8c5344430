import { createServer, type Server, type Socket } from "node:net";
import { onCleanup } from "./cleanup.ts";
import { normal } from "./scripts.ts";
import { until, within } from "./wait.ts";

/** What a request does to the wire. */
export type Script = (wire: Wire, request: Received) => unknown;

/** A request as it came off the wire, for assertions. */
export class Received {
  readonly connection: number;
  readonly method: string;
  /** With query. */
  readonly target: string;
  /** In order, names as they were spelled. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** The connection was closed instead of an answer, because a script asked for a stale one. */
  dropped = false;
  /** When the client went away, by `performance.now()`. */
  goneAtMs: number | undefined = undefined;

  constructor(connection: number, head: string, body: Uint8Array) {
    const [line = "", ...fields] = head.split("\r\n");
    const [method = "", target = ""] = line.split(" ");
    this.connection = connection;
    this.method = method;
    this.target = target;
    this.headers = fields.map((field) => {
      const at = field.indexOf(":");
      return [field.slice(0, at), field.slice(at + 1).trim()] as const;
    });
    this.body = body;
  }

  header(name: string): string | undefined {
    return this.headers.find(([n]) => n.toLowerCase() === name)?.[1];
  }

  get path(): string {
    return this.target.split("?")[0] ?? "";
  }

  get text(): string {
    return new TextDecoder().decode(this.body);
  }

  get isMessages(): boolean {
    return this.path.endsWith("/messages") || this.header("anthropic-version") !== undefined;
  }

  get json(): { readonly model?: string; readonly stream?: boolean } {
    return this.body.byteLength === 0 ? {} : JSON.parse(this.text);
  }

  /** Resolves when the client has gone away. */
  gone(withinMs = 5000): Promise<void> {
    return until("the upstream sees its client go", () => this.goneAtMs !== undefined, withinMs);
  }
}

/** One answer on the wire; nothing is added to what a script writes. */
export class Wire {
  readonly socket: Socket;
  readonly #connection: Connection;

  constructor(socket: Socket, connection: Connection) {
    this.socket = socket;
    this.#connection = connection;
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

  head(
    status: number,
    headers: Readonly<Record<string, string | readonly string[]>>,
  ): Promise<void> {
    const lines = Object.entries(headers).flatMap(([name, value]) =>
      (typeof value === "string" ? [value] : value).map((v) => `${name}: ${v}\r\n`),
    );
    return this.raw(`HTTP/1.1 ${status} Scripted\r\n${lines.join("")}\r\n`);
  }

  /** A whole answer with a right content-length. */
  async whole(
    status: number,
    headers: Readonly<Record<string, string | readonly string[]>>,
    body: string | Uint8Array,
  ): Promise<void> {
    const bytes = Buffer.from(body);
    await this.head(status, { ...headers, "content-length": String(bytes.byteLength) });
    await this.raw(bytes);
  }

  /** The head of a chunked event stream. */
  stream(headers: Readonly<Record<string, string | readonly string[]>> = {}): Promise<void> {
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

interface Connection {
  readonly number: number;
  closeOnNext: "reset" | "end" | undefined;
}

/** An upstream that does anything on the wire, and remembers all it was sent. */
export class FakeUpstream {
  readonly received: Received[] = [];
  /** Model ids of its list. */
  models: readonly string[] = ["fake-1", "fake-2"];
  connections = 0;
  readonly #byModel = new Map<string, Script>();
  readonly #queue: Script[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("upstream is closed");
    return `http://127.0.0.1:${address.port}`;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  /** What every request for a model does. */
  on(model: string, script: Script): this {
    this.#byModel.set(model, script);
    return this;
  }

  /** What the next requests do, one each, before scripts by model are asked. */
  queue(...scripts: readonly Script[]): this {
    this.#queue.push(...scripts);
    return this;
  }

  /** The requests for a model, in order. */
  for(model: string): Received[] {
    return this.received.filter((r) => r.method === "POST" && r.json.model === model);
  }

  /** Waits until a number of requests for a model have come; the last of them. */
  async arrived(model: string, count = 1, withinMs = 5000): Promise<Received> {
    await until(`${count} requests for ${model}`, () => this.for(model).length >= count, withinMs);
    return this.for(model)[count - 1] as Received;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await within(
      "upstream closes",
      new Promise<void>((resolve) => this.#server.close(() => resolve())),
    );
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    const connection: Connection = { number: this.connections, closeOnNext: undefined };
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    const mine: Received[] = [];
    const gone = (): void => {
      const now = performance.now();
      for (const request of mine) request.goneAtMs ??= now;
    };
    socket.on("error", gone);
    socket.on("end", gone);
    socket.on("close", () => {
      gone();
      this.#sockets.delete(socket);
    });
    let buffer: Buffer = Buffer.alloc(0);
    socket.on("data", (data: Buffer) => {
      buffer = buffer.byteLength === 0 ? data : Buffer.concat([buffer, data]);
      for (;;) {
        const parsed = parseRequest(buffer, connection.number);
        if (parsed === undefined) return;
        buffer = buffer.subarray(parsed.length);
        mine.push(parsed.request);
        this.#serve(socket, connection, parsed.request);
      }
    });
  }

  #serve(socket: Socket, connection: Connection, request: Received): void {
    this.received.push(request);
    if (connection.closeOnNext !== undefined) {
      request.dropped = true;
      if (connection.closeOnNext === "reset") socket.resetAndDestroy();
      else socket.end();
      return;
    }
    const script = this.#queue.shift() ?? this.#byModel.get(request.json.model ?? "");
    const list = this.models;
    const run = script ?? normal({ models: list });
    Promise.resolve(run(new Wire(socket, connection), request)).catch((error: unknown) => {
      console.error("script failed", error);
      socket.destroy();
    });
  }
}

export async function startUpstream(): Promise<FakeUpstream> {
  const upstream = new FakeUpstream();
  await upstream.listen();
  onCleanup(() => upstream.close());
  return upstream;
}

/** The first whole request of a buffer, by content-length or chunks. */
function parseRequest(
  buffer: Buffer,
  connection: number,
): { readonly request: Received; readonly length: number } | undefined {
  const headEnd = buffer.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = buffer.subarray(0, headEnd).toString("latin1");
  const start = headEnd + 4;
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const end = buffer.indexOf("0\r\n\r\n", start);
    if (end < 0) return undefined;
    const request = new Received(connection, head, buffer.subarray(start, end));
    return { request, length: end + 5 };
  }
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (buffer.byteLength < start + length) return undefined;
  const body = Buffer.from(buffer.subarray(start, start + length));
  return { request: new Received(connection, head, body), length: start + length };
}
