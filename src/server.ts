import { assemble, type ConfigSource } from "./assembly.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Generation } from "./generation.ts";
import type { House } from "./host.ts";
import type { Listener, Runtime, Transport } from "./runtime/runtime.ts";

/** Most generations at once; a reload beyond that waits for old streams to end. */
const mostGenerations = 8;
/** How long the error events of streams that were cut may take to be written, in milliseconds. */
const lastWordsMs = 1000;

export interface ServerParts {
  readonly house: House;
  readonly runtime: Runtime;
  /** Reads the configuration anew. */
  source(): ConfigSource;
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
  try {
    const server = new Server(parts, generation);
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
  #current: Generation;
  #listener: Listener;
  #reloading: Promise<Reloaded>;

  constructor(parts: ServerParts, first: Generation) {
    this.#parts = parts;
    this.#current = first;
    this.#generations.add(first);
    this.#listener = this.#listen(first);
    this.#reloading = Promise.resolve({ ok: true, generation: first });
  }

  get current(): Generation {
    return this.#current;
  }

  /** The address that clients call. */
  get url(): string {
    const { host, port } = this.#listener;
    const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
    return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
  }

  /** Builds a new generation and swaps it in; a bad one leaves the old one serving. */
  reload(): Promise<Reloaded> {
    // One after the other: what a running reload has read may be old already.
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  async #reload(): Promise<Reloaded> {
    const { house, runtime, source } = this.#parts;
    for (const generation of this.#generations) {
      if (generation !== this.#current && generation.running === 0) {
        this.#generations.delete(generation);
      }
    }
    if (this.#generations.size >= mostGenerations) {
      return this.#reject(`${mostGenerations} generations still have running requests`);
    }
    try {
      const assembled = await assemble(source(), house, runtime, true);
      if (!assembled.ok) {
        return this.#reject(assembled.problems.map(toLine).join("; "));
      }
      const next = assembled.generation;
      try {
        return this.#adopt(next);
      } catch (error) {
        next.retire();
        return this.#reject(toLine(cannotListen(next, error)));
      }
    } catch (error) {
      return this.#reject(error instanceof Error ? error.message : String(error));
    }
  }

  #adopt(next: Generation): Reloaded {
    const old = this.#current;
    const moved = next.server.host !== old.server.host || next.server.port !== old.server.port;
    const listener = moved ? this.#listen(next) : this.#listener;
    this.#generations.add(next);
    this.#current = next;
    this.#parts.house.reloadRejected = false;
    old.retire();
    if (moved) {
      void this.#listener.drain();
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
    const closed = this.#listener.drain().catch(() => {});
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, lastWordsMs))]);
    this.#listener.close();
    return { cut };
  }

  #listen({ server }: Generation): Listener {
    return this.#parts.runtime.listen({
      host: server.host,
      port: server.port,
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

function toLine({ file, line, column, path, message, mend }: ConfigProblem): string {
  return `${file}:${line}:${column} ${path}: ${message}${mend === "" ? "" : ` (mend: ${mend})`}`;
}

function cannotListen({ server, problemAt }: Generation, error: unknown): ConfigProblem {
  const { code, message } = error as { code?: string; message?: string };
  const where = `${server.host}:${server.port}`;
  if (code === "EADDRINUSE") {
    return problemAt(
      "server.port",
      `${where} is in use`,
      "choose another port, or end what uses it",
    );
  }
  const reason = code ?? message ?? "unknown error";
  return problemAt("server.host", `can't listen on ${where}: ${reason}`, "choose another address");
}
