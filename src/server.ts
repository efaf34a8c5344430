import { assemble, type ConfigSource } from "./assembly.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { TlsPlan } from "./contract/listen.ts";
import type { Reread } from "./credential-files.ts";
import type { Generation } from "./generation.ts";
import type { House } from "./host.ts";
import { houseGauges } from "./house-gauges.ts";
import type { Listener, Runtime, Transport } from "./runtime/runtime.ts";
import { ListenFailure, SideListeners, toUrl } from "./side-listeners.ts";

/** Most generations at once; a reload beyond that waits for old streams to end. */
const mostGenerations = 8;
/** How long the error events of streams that were cut may take to be written, in milliseconds. */
const lastWordsMs = 1000;

export interface ServerParts {
  readonly house: House;
  readonly runtime: Runtime;
  /** Reads the configuration anew. */
  source(): ConfigSource;
  /** Why a reload is refused although its configuration could be used; undefined: it is not. */
  objection?(source: ConfigSource): Promise<string | undefined>;
}

export type Started =
  | { readonly ok: true; readonly server: Server }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

export type Reloaded =
  | { readonly ok: true; readonly generation: Generation }
  | { readonly ok: false; readonly reason: string };

/** Builds the first generation and listens. */
export async function startServer(parts: ServerParts): Promise<Started> {
  const assembled = await assemble(parts.source(), parts.house, parts.runtime, true);
  if (!assembled.ok) return assembled;
  const { generation } = assembled;
  const server = new Server(parts, generation);
  try {
    await server.open();
    const loss = parts.house.state?.store.loss;
    if (loss !== undefined) {
      generation.emit({ type: "security_violation", result: `state_${loss.kind}` });
    }
    return { ok: true, server };
  } catch (error) {
    generation.retire();
    return { ok: false, problems: [cannotListen(generation, error)] };
  }
}

/** The listeners, and the generation that answers behind them. */
export class Server {
  readonly #parts: ServerParts;
  readonly #generations = new Set<Generation>();
  readonly #side: SideListeners;
  #current: Generation;
  #listener: Listener | undefined = undefined;
  #reloading: Promise<Reloaded>;

  constructor(parts: ServerParts, first: Generation) {
    this.#parts = parts;
    this.#current = first;
    this.#generations.add(first);
    this.#side = new SideListeners(parts.runtime, parts.house.log, () => this.#current.headers);
    this.#reloading = Promise.resolve({ ok: true, generation: first });
  }

  /**
   * Listens; call it once, before all else.
   * @throws when the address can't be listened on
   */
  async open(): Promise<void> {
    const first = this.#current;
    const { house, runtime } = this.#parts;
    const prepared = await this.#side.prepare(first.listeners);
    try {
      this.#listener = await this.#listen(first);
    } catch (error) {
      prepared.discard();
      throw error;
    }
    prepared.adopt();
    house.gauges.push(...houseGauges(house, runtime, () => this.#countServing()));
    house.rereadCredentials = async () => {
      if (this.#current.rereadCredentials().needsReload) await this.reload();
    };
    first.adopted();
  }

  get current(): Generation {
    return this.#current;
  }

  /** The address that clients call. */
  get url(): string {
    const { host, port } = this.#listener ?? this.#current.server;
    return toUrl(host, port, this.#current.tls === undefined ? "http" : "https");
  }

  /** Where else it listens, by what is behind it. */
  get sideUrls(): Readonly<Record<string, string>> {
    return this.#side.urls;
  }

  /** Credential files have changed: no request waits for that, and no stream ends. */
  rereadCredentials(): Reread {
    const { emit, rereadCredentials } = this.#current;
    const reread = rereadCredentials();
    if (reread.changed) {
      emit({ type: "config_change", result: "applied", details: { what: "credentials" } });
    }
    return reread;
  }

  /** Builds a new generation and swaps it in; a bad one leaves the old one serving. */
  reload(): Promise<Reloaded> {
    // One after the other: what a running reload has read may be old already.
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  async #reload(): Promise<Reloaded> {
    const { house, runtime, source } = this.#parts;
    this.#forget();
    if (this.#generations.size >= mostGenerations) {
      return this.#reject(`${mostGenerations} generations still have running requests`);
    }
    try {
      const config = source();
      const objection = await this.#parts.objection?.(config);
      if (objection !== undefined) return this.#reject(objection);
      const assembled = await assemble(config, house, runtime, true);
      if (!assembled.ok) {
        return this.#reject(assembled.problems.map(toLine).join("; "));
      }
      const next = assembled.generation;
      try {
        return await this.#adopt(next);
      } catch (error) {
        next.retire();
        return this.#reject(toLine(cannotListen(next, error)));
      }
    } catch (error) {
      return this.#reject(error instanceof Error ? error.message : String(error));
    }
  }

  async #adopt(next: Generation): Promise<Reloaded> {
    const old = this.#current;
    if ((next.tls === undefined) !== (old.tls === undefined)) {
      throw Object.assign(new Error("TLS can't be turned on or off while it serves: restart"), {
        key: "server.tls.enabled",
      });
    }
    const prepared = await this.#side.prepare(next.listeners);
    const moved = next.server.host !== old.server.host || next.server.port !== old.server.port;
    let listener = this.#listener;
    try {
      if (moved) listener = await this.#listen(next);
      else if (next.tls !== undefined && !sameTls(next.tls, old.tls)) {
        await listener?.renew(next.tls);
      }
    } catch (error) {
      prepared.discard();
      throw error;
    }
    prepared.adopt();
    this.#generations.add(next);
    this.#current = next;
    this.#parts.house.reloadRejected = false;
    next.adopted();
    old.retire();
    if (moved) {
      void this.#listener?.drain();
      this.#listener = listener;
    }
    next.emit({ type: "config_change", result: "applied", details: { generation: next.number } });
    return { ok: true, generation: next };
  }

  #reject(reason: string): Reloaded {
    this.#parts.house.reloadRejected = true;
    this.#current.emit({ type: "config_change", result: "rejected" });
    return { ok: false, reason };
  }

  /** Refuses new requests, lets running ones finish, then tells what is left why it ends. */
  async drain(): Promise<{ readonly cut: number }> {
    const { live } = this.#parts.house;
    this.#parts.house.draining = true;
    const finished = await live.settled(this.#current.server.drainTimeout);
    const cut = finished ? 0 : live.abort(() => true, "shutting_down");
    if (cut > 0) await live.settled(lastWordsMs);
    // Last: until then whoever comes is told 503, and `/readyz` says so to load balancers.
    const closed = this.#listener?.drain().catch(() => {});
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, lastWordsMs))]);
    this.#listener?.close();
    this.#side.close();
    await this.end();
    return { cut };
  }

  /** Disposes all generations: what they have still to write is written when this resolves. */
  async end(): Promise<void> {
    this.#parts.house.tokens.close();
    await Promise.all([...this.#generations].map((generation) => generation.end()));
  }

  #countServing(): number {
    this.#forget();
    return this.#generations.size;
  }

  /** Drops the generations whose last exchange has ended. */
  #forget(): void {
    for (const generation of this.#generations) {
      if (generation !== this.#current && generation.running === 0) {
        this.#generations.delete(generation);
      }
    }
  }

  #listen({ server, tls }: Generation): Promise<Listener> {
    return this.#parts.runtime.listen({
      host: server.host,
      port: server.port,
      tls,
      handle: (request, transport) => this.#handle(request, transport),
      onError: (error) => {
        this.#parts.house.log.error("request escaped", { error });
        return this.#current.headers;
      },
    });
  }

  #handle(request: Request, transport: Transport): Response | Promise<Response> {
    return this.#current.fetch(request, transport);
  }
}

function sameTls(one: TlsPlan, other: TlsPlan | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function toLine({ file, line, column, path, message, mend }: ConfigProblem): string {
  return `${file}:${line}:${column} ${path}: ${message}${mend === "" ? "" : ` (mend: ${mend})`}`;
}

function cannotListen({ server, problemAt }: Generation, error: unknown): ConfigProblem {
  const [at, cause] =
    error instanceof ListenFailure
      ? [{ ...error.planned, hostKey: error.planned.portKey }, error.cause]
      : [{ ...server, portKey: "server.port", hostKey: "server.host" }, error];
  const { code, message, key } = cause as { code?: string; message?: string; key?: string };
  if (key !== undefined) return problemAt(key, message ?? "can't change", "restart the proxy");
  const where = `${at.host}:${at.port}`;
  if (code === "EADDRINUSE") {
    return problemAt(at.portKey, `${where} is in use`, "choose another port, or end what uses it");
  }
  const reason = code ?? message ?? "unknown error";
  return problemAt(at.hostKey, `can't listen on ${where}: ${reason}`, "choose another address");
}
