import type { TlsPlan } from "../contract/listen.ts";
import type { OpenDatabase } from "../contract/store.ts";

/** What only the runtime can do; each runtime implements it once, nothing else names one. */
export interface Runtime {
  readonly name: string;
  readonly version: string;
  /** True for the single executable. */
  readonly compiled: boolean;
  /** Whether its TLS obeys a list of cipher suites. */
  readonly choosesSuites: boolean;
  /** Whether names may have certificates with another kind of key than the first one's. */
  readonly mixesKeyKinds: boolean;
  /** Whether a pool can be told its proxy. */
  readonly dialsProxies: boolean;
  /** Whether a listener knows HTTP/2. */
  readonly speaksHttp2: boolean;
  /** Whether a listener tells whose certificate a client has shown. */
  readonly tellsCertificates: boolean;
  /** What it can't do as the others do, here and now. */
  readonly gaps: readonly RuntimeGap[];
  /**
   * Listens on an address.
   * @throws what the system says of the address, with its `code`
   */
  listen(options: ListenOptions): Promise<Listener>;
  /** A `fetch` with a keep-alive pool of its own, without redirects, time limit or decoding. */
  openPool(options: PoolOptions): Pool;
  /** A response body that a loop writes, with the back-pressure of the client who asked. */
  openStream(source: ByteSource, request: Request): ReadableStream<Uint8Array>;
  /** Takes the memory of bytes back that nobody reads any more; absent: only a collector may. */
  readonly free?: (bytes: Uint8Array) => void;
  /** Makes one module of a file and all that it imports, but for the runtime's own modules. */
  bundle(options: BundleOptions): Promise<Bundled>;
  /** Starts a thread that runs `src/scripts/worker.ts`, with an empty environment. */
  openWorker(memoryMib: number): Thread;
  /** Its embedded SQLite; undefined where it has none. */
  readonly openDatabase: OpenDatabase | undefined;
}

/** Something that a runtime leaves undone; it is told at start and in the plan. */
export interface RuntimeGap {
  /** The key of the configuration, or the variable, that asks for it. */
  readonly key: string;
  /** What happens instead, as the end of a sentence that begins with the key. */
  readonly what: string;
}

export interface ByteSource {
  /** Called once, when the client is ready for the body; must not reject. */
  run(sink: ByteSink): Promise<void>;
  /** The client has gone. */
  gone(): void;
}

export interface ByteSink {
  /** Returns a promise while the client's buffer is full: wait for it before the next write. */
  write(bytes: Uint8Array): Promise<unknown> | undefined;
  close(): void;
  /** Cuts the connection, so that nobody takes what was written for the whole. */
  cut(): void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Undefined: plain HTTP. */
  readonly tls: TlsPlan | undefined;
  handle(request: Request, transport: Transport): Response | Promise<Response>;
  /** What escaped `handle`; the client gets a bare 500 with the headers that it returns. */
  onError(error: unknown): Readonly<Record<string, string>>;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /**
   * Serves new connections by other certificates or rules; those that are open stay as they are.
   * @throws when they can't be used: then nothing has changed
   */
  renew(tls: TlsPlan): Promise<void>;
  /** No new connections; resolves when the open requests have ended. */
  drain(): Promise<void>;
  /** Cuts what is left. */
  close(): void;
}

/** What a request's connection can tell and take. */
export interface Transport {
  peer(request: Request): string;
  /** Common name of the certificate that the client showed and the listener has verified. */
  certificate?(request: Request): string | undefined;
  /** Stops the runtime's idle timer, which would cut a silent stream. */
  holdOpen(request: Request): void;
}

export interface PoolOptions {
  /** Seconds an unused connection is kept. */
  readonly idleSeconds: number;
  /** False: a proxy named by the environment is not used, as for loopback. */
  readonly environmentProxy: boolean;
  /** Goes before what the environment says, also for hosts that are exempt there. */
  readonly proxyUrl?: string | undefined;
  readonly tls?: PoolTls | undefined;
}

/** TLS of connections to one provider; all PEM. */
export interface PoolTls {
  /** In place of the authorities that the runtime trusts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface Pool {
  fetch(url: string, init: PoolRequest): Promise<PoolAnswer>;
  close(): void;
}

/** The parts of a `Response` that are read of a provider's answer. */
export type PoolAnswer = Pick<Response, "status" | "headers" | "body" | "arrayBuffer">;

export interface PoolRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal;
  /** On a connection of its own, not on a kept one. */
  readonly fresh?: boolean;
}

export interface BundleOptions {
  readonly entry: string;
  /** Paths in messages and stacks are relative to it. */
  readonly root: string;
  /** Modules that are no files, by specifier, as JavaScript. */
  readonly modules: Readonly<Record<string, string>>;
  /** Reads a file that is part of it; a throw refuses the bundle. */
  read(path: string): string;
}

export type Bundled =
  | { readonly ok: true; readonly code: string }
  | { readonly ok: false; readonly failures: readonly BundleFailure[] };

/** Something that is wrong with a source file. */
export interface BundleFailure {
  readonly message: string;
  /** Undefined: nothing in a file. */
  readonly at:
    | { readonly file: string; readonly line: number; readonly column: number }
    | undefined;
}

/** A thread that takes and gives plain data; it may die at any time. */
export interface Thread {
  post(message: unknown): void;
  /** Called for each message, in order. */
  onMessage: (message: unknown) => void;
  /** Called once, when it has ended by itself or by a failure that nobody caught. */
  onEnd: (reason: string) => void;
  /** Ends it, whatever it is doing; `onEnd` is not called. */
  kill(): void;
}
