import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Certificate } from "./certificates.ts";
import { onCleanup } from "./cleanup.ts";
import { normal } from "./scripts.ts";
import { headOf, parseRequest, type Received } from "./upstream/received.ts";
import { type StrictRules, strictAnswer } from "./upstream/strict.ts";
import { type Connection, type Script, Wire } from "./upstream/wire.ts";
import { until, within } from "./wait.ts";

export type { Received } from "./upstream/received.ts";
export type { Script, Wire } from "./upstream/wire.ts";

/** An upstream that does anything on the wire, and remembers all it was sent. */
export class FakeUpstream {
  readonly received: Received[] = [];
  /** Model ids of its list. */
  models: readonly string[] = ["fake-1", "fake-2"];
  /** Set: what the vendor would not take is answered by its 400 before any script is asked. */
  strict: StrictRules | undefined = undefined;
  /** Set: what answers a POST as soon as its head is there, whatever of its body is to come. */
  early: Script | undefined = undefined;
  connections = 0;
  readonly #byModel = new Map<string, Script>();
  readonly #queue: Script[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #scheme: "http" | "https";

  /** @param certificate speaks TLS by it */
  constructor(certificate?: Certificate) {
    const accept = (socket: Socket): void => this.#accept(socket);
    this.#scheme = certificate === undefined ? "http" : "https";
    this.#server =
      certificate === undefined ? createServer(accept) : createTlsServer(certificate, accept);
    // A client that does not like the certificate hangs up in the handshake.
    this.#server.on("tlsClientError", () => {});
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("upstream is closed");
    return `${this.#scheme}://127.0.0.1:${address.port}`;
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
    return this.received.filter((r) => r.method === "POST" && r.model === model);
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
    const connection: Connection = {
      number: this.connections,
      requests: 0,
      closeOnNext: undefined,
    };
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
      const head = this.early && headOf(buffer, connection.number);
      if (this.early !== undefined && head?.method === "POST" && connection.requests === 0) {
        // What comes of the body is read by nobody.
        socket.pause();
        this.#run(this.early, new Wire(socket, connection), head);
        return;
      }
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
    connection.requests += 1;
    if (connection.closeOnNext !== undefined) {
      request.dropped = true;
      if (connection.closeOnNext === "reset") socket.resetAndDestroy();
      else socket.end();
      return;
    }
    const refusal = this.strict && strictAnswer(request, this.strict);
    const script = refusal ?? this.#queue.shift() ?? this.#byModel.get(modelOf(request));
    const run = script ?? normal({ models: this.models });
    this.#run(run, new Wire(socket, connection), request);
  }

  #run(script: Script, wire: Wire, request: Received): void {
    Promise.resolve(script(wire, request)).catch((error: unknown) => {
      console.error("script failed", error);
      wire.socket.destroy();
    });
  }
}

/** A body that is no JSON has no model. */
function modelOf(request: Received): string {
  try {
    return request.model;
  } catch {
    return "";
  }
}

export async function startUpstream(certificate?: Certificate): Promise<FakeUpstream> {
  const upstream = new FakeUpstream(certificate);
  await upstream.listen();
  onCleanup(() => upstream.close());
  return upstream;
}
