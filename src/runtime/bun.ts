import type { TlsPlan } from "../contract/listen.ts";
import type { Database as EmbeddedDatabase } from "../contract/store.ts";
import { bundle, openWorker } from "./bun-scripts.ts";
import type {
  ByteSource,
  Listener,
  ListenOptions,
  Pool,
  PoolOptions,
  Runtime,
  Transport,
} from "./runtime.ts";

/** Longest that Bun lets a connection be idle between requests, in seconds. */
const idleSeconds = 60;

/** Ours is the body limit (server.limits.body_bytes): Bun's own would answer without a dialect. */
const runtimeBodyBytes = Number.MAX_SAFE_INTEGER;

async function listen(options: ListenOptions): Promise<Listener> {
  let server = open(options, options.port, options.tls);
  const { tls } = options;
  const port = server.port ?? options.port;
  /** Listeners with an older certificate, whose connections have not ended yet. */
  const former = new Set<Bun.Server<undefined>>();
  if (tls !== undefined) {
    // Without sharing at first: another process on that port must be an error.
    await server.stop(true);
    server = open(options, port, tls, true);
  }
  return {
    host: options.host,
    port,
    async renew(next) {
      // `reload` keeps the old certificate: a second listener takes over the port.
      const old = server;
      server = open(options, port, next, true);
      former.add(old);
      void old.stop(false).finally(() => former.delete(old));
    },
    async drain() {
      await Promise.all([server, ...former].map((one) => one.stop(false)));
    },
    close() {
      for (const one of [server, ...former]) void one.stop(true);
    },
  };
}

function open(
  options: ListenOptions,
  port: number,
  tls: TlsPlan | undefined,
  reusePort = false,
): Bun.Server<undefined> {
  const server = Bun.serve({
    hostname: options.host,
    port,
    reusePort,
    idleTimeout: idleSeconds,
    maxRequestBodySize: runtimeBodyBytes,
    // Bun's error page for developers shows messages, paths and source.
    development: false,
    ...(tls !== undefined && { tls: toBunTls(tls), http2: tls.http2 }),
    fetch: (request) => options.handle(request, transport),
    error(error) {
      return new Response(null, { status: 500, headers: { ...options.onError(error) } });
    },
  });
  const transport: Transport = {
    peer: (request) => server.requestIP(request)?.address ?? "",
    holdOpen: (request) => server.timeout(request, 0),
  };
  return server;
}

/** TLS 1.2 and 1.3 as Bun wants them: a name would throw, and its types don't know the option. */
const versions = { "1.2": 0x0303, "1.3": 0x0304 } as const;

/** One entry for each name; Bun takes the first where no name fits. */
function toBunTls(plan: TlsPlan): Bun.TLSOptions[] | Bun.TLSOptions {
  const { clientCa: ca, clientAuth } = plan;
  const client = ca !== undefined && {
    ...{ ca, requestCert: true, rejectUnauthorized: clientAuth === "require" },
  };
  const entries: Bun.TLSOptions[] = plan.identities.flatMap(({ cert, key, hosts }, at) => {
    const shared = { cert, key, minVersion: versions[plan.minVersion], ciphers: plan.ciphers };
    if (at === 0) return [{ ...shared, ...client }];
    return hosts.map((serverName) => ({ ...shared, ...client, serverName }));
  });
  const [first, ...others] = entries as [Bun.TLSOptions, ...Bun.TLSOptions[]];
  if (others.length === 0) return first;
  // A list asks each for a name; nobody can ask for this one.
  return [{ ...first, serverName: "default.invalid" }, ...others];
}

function openPool(options: PoolOptions): Pool {
  const { idleSeconds: idleTimeout, proxyUrl, tls } = options;
  const session = new Bun.FetchSession({
    keepAlive: { idleTimeout },
    ...(tls !== undefined && { tls }),
    ...(proxyUrl !== undefined && { proxy: { url: proxyUrl, respectNoProxy: false } }),
  });
  const isOwn = proxyUrl !== undefined || options.environmentProxy;
  const proxy = isOwn ? undefined : false;
  return {
    fetch: (url, { method, headers, body, signal, fresh = false }) =>
      session.fetch(url, {
        method,
        headers: isLong(body) ? { ...headers, "content-length": `${body.byteLength}` } : headers,
        body: isLong(body) ? sendOnce(body) : (body as BodyInit | undefined),
        signal,
        keepalive: !fresh,
        redirect: "manual",
        decompress: false,
        timeout: false,
        proxy,
      } as BunFetchRequestInit),
    close: () => session.close(),
  };
}

/** Bun copies a body of bytes, and keeps the copy until the answer has ended. */
const longBodyBytes = 128 * 1024;

function isLong(body: Uint8Array | undefined): body is Uint8Array {
  return body !== undefined && body.byteLength > longBodyBytes;
}

/** How much of a very long body is copied for the socket at a time. */
const pieceBytes = 1024 * 1024;

/** Long bodies on their way: an answer may come before all of the request is sent. */
const sending = new WeakSet<Uint8Array>();

/** A body that Bun forgets once it is sent; that costs 15 us more, too much for a short one. */
function sendOnce(body: Uint8Array): ReadableStream<Uint8Array> {
  sending.add(body);
  const cancel = (): void => void sending.delete(body);
  if (body.byteLength > pieceBytes) {
    let at = 0;
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      if (at < body.byteLength) {
        controller.enqueue(body.subarray(at, at + pieceBytes));
        at += pieceBytes;
        return;
      }
      // Asked for more, so the last piece has been copied.
      sending.delete(body);
      controller.close();
    };
    return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
  }
  return new ReadableStream({
    type: "direct",
    pull(controller: DirectController) {
      controller.write(body);
      sending.delete(body);
      controller.close();
    },
    cancel,
  } as unknown as UnderlyingDefaultSource<Uint8Array>);
}

/** What Bun was given to send it has copied: nothing of its own points into the freed memory. */
function free(bytes: Uint8Array): void {
  const buffer = bytes.buffer as ArrayBuffer & { transfer(byteLength: number): ArrayBuffer };
  if (bytes.byteLength === buffer.byteLength && !sending.has(bytes)) buffer.transfer(0);
}

/** What Bun hands to a stream of type "direct", which its types don't know. */
interface DirectController {
  write(bytes: Uint8Array): number | Promise<number>;
  flush(): void;
  close(error?: Error): void;
}

/** A direct stream with one loop costs a fifth less per chunk than one that is pulled. */
function openStream(source: ByteSource): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "direct",
    pull: (controller: DirectController) =>
      source.run({
        write(bytes) {
          const written = controller.write(bytes);
          controller.flush();
          return typeof written === "number" ? undefined : written;
        },
        close: () => controller.close(),
        cut: () => controller.close(cutError()),
      }),
    cancel: () => source.gone(),
  } as unknown as UnderlyingDefaultSource<Uint8Array>);
}

/** Bun writes it to standard error by itself, so it has neither a stack nor anything to tell. */
function cutError(): Error {
  const error = new Error("answer cut");
  error.stack = "";
  return error;
}

/**
 * Looked up when it is wanted: an import would stand in the bundle that Node loads, too. Bun keeps
 * a closed file, and its lock, for as long as statements on it are alive.
 */
function openDatabase(path: string): EmbeddedDatabase {
  const { Database } = process.getBuiltinModule("bun:sqlite") as typeof import("bun:sqlite");
  const db = new Database(path, { readwrite: true });
  const statements: { finalize(): void }[] = [];
  return {
    exec: (sql) => void db.run(sql),
    prepare(sql) {
      const statement = db.prepare(sql);
      statements.push(statement);
      return statement;
    },
    close() {
      for (const statement of statements.splice(0)) statement.finalize();
      db.close();
    },
  };
}

export const bunRuntime: Runtime = {
  name: "bun",
  version: Bun.version,
  compiled: Bun.isStandaloneExecutable,
  gaps: [],
  choosesSuites: true,
  mixesKeyKinds: true,
  dialsProxies: true,
  speaksHttp2: true,
  tellsCertificates: false,
  listen,
  openPool,
  openStream,
  free,
  bundle,
  openWorker,
  openDatabase,
};
