import {
  createServer,
  type IncomingMessage,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { getRequestListener, RequestError } from "@hono/node-server";
import { toNodeTls } from "./node-tls.ts";
import type { ByteSource, Listener, ListenOptions, Transport } from "./runtime.ts";

/** Longest that a connection is idle between requests, in milliseconds; Bun's is the same. */
const idleMs = 60_000;

/** How often a draining listener looks for connections that have fallen idle, in milliseconds. */
const sweepMs = 50;

/** Most fields of a head, as Bun has it; beyond 1000, Node would drop the rest and say nothing. */
const mostFields = 198;

/** What the parser decides before a request is ours: as near to Bun's as Node lets it be. */
const parserLimits: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  // Looked at every 2 s: a head that doesn't end is closed within 14 s, also one never begun.
  headersTimeout: 12_000,
  connectionsCheckingInterval: 2000,
  // Ours is `server.limits.body_timeout`: Node's would cut uploads that it allows.
  requestTimeout: 0,
  keepAliveTimeout: idleMs,
  insecureHTTPParser: false,
  requireHostHeader: true,
};

/** The connection behind each request, for what a `Request` can't tell or do. */
const wires = new WeakMap<Request, Wire>();

interface Wire {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

const transport: Transport = {
  peer: (request) => wires.get(request)?.incoming.socket.remoteAddress ?? "",
  certificate(request) {
    const socket = wires.get(request)?.incoming.socket as Partial<TLSSocket> | undefined;
    if (socket?.authorized !== true) return undefined;
    const { CN: name } = socket.getPeerCertificate?.().subject ?? {};
    return typeof name === "string" && name !== "" ? name : undefined;
  },
  holdOpen: (request) => void wires.get(request)?.incoming.socket.setTimeout(0),
};

/**
 * Listens by `node:http`.
 * @throws what the system says of the address, with its `code`
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { host, port, handle, onError } = options;
  const toRequests = getRequestListener(
    (request, wire) => {
      wires.set(request, wire as Wire);
      return handle(request, transport);
    },
    {
      errorHandler(error) {
        const isTheirs = error instanceof RequestError;
        if (isTheirs) return new Response(null, { status: 400 });
        return new Response(null, { status: 500, headers: { ...onError(error) } });
      },
    },
  );
  const answer = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    // The names and the values.
    if (incoming.rawHeaders.length > 2 * mostFields) {
      outgoing.writeHead(431, { connection: "close" }).end();
      return;
    }
    void toRequests(incoming, outgoing);
  };
  const secure = options.tls && toNodeTls(options.tls);
  const server =
    secure === undefined
      ? createServer(parserLimits, answer)
      : createTlsServer({ ...parserLimits, ...secure.options }, answer);
  // Not an option of the constructor: between two bytes of a request or an answer.
  server.timeout = idleMs;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: host.replace(/^\[|\]$/g, ""), port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", onError);
  return {
    host,
    port: (server.address() as AddressInfo).port,
    async renew(tls) {
      secure?.renew(server as TlsServer, tls);
    },
    async drain() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Those that are busy now fall idle later, and would hold it open until they time out.
      const sweep = setInterval(() => server.closeIdleConnections(), sweepMs);
      await closed;
      clearInterval(sweep);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A web stream that a loop writes into; it holds one chunk until the client's socket takes it. */
export function openStream(source: ByteSource, request: Request): ReadableStream<Uint8Array> {
  let running = false;
  let over = false;
  let taken: (() => void) | undefined;
  const resume = (): void => {
    taken?.();
    taken = undefined;
  };
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (running) return resume();
      running = true;
      void source.run({
        write(bytes) {
          if (over) return undefined;
          controller.enqueue(bytes);
          if ((controller.desiredSize ?? 0) > 0) return undefined;
          return new Promise<void>((resolve) => {
            taken = resolve;
          });
        },
        close() {
          if (over) return;
          over = true;
          controller.close();
          // What is still to be read may not wait for ever.
          wires.get(request)?.incoming.socket.setTimeout(idleMs);
        },
        cut() {
          over = true;
          // A plain end would look complete to a client of HTTP/1.0.
          wires.get(request)?.incoming.socket.resetAndDestroy();
        },
      });
    },
    cancel() {
      over = true;
      source.gone();
      resume();
    },
  });
}
