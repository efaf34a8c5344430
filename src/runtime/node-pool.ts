import { Agent, type IncomingMessage, request as sendPlain } from "node:http";
import { request as sendTls, Agent as TlsAgent } from "node:https";
import type { Pool, PoolAnswer, PoolOptions, PoolRequest } from "./runtime.ts";

/** Largest head of an answer, in bytes: Node's own 16 KiB would refuse what Bun takes. */
const answerHeadBytes = 64 * 1024;

/** Most unused connections that a pool keeps. */
const mostIdle = 256;

/**
 * A pool by `node:http`. `fetch` is not used: it decodes bodies, and its pool can't be set.
 * @param proxyEnv what names a proxy, for a Node that can use one
 */
export function openNodePool(options: PoolOptions, proxyEnv: NodeJS.ProcessEnv | undefined): Pool {
  const { proxyUrl } = options;
  const named = { HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl, NO_PROXY: "" };
  const ofEnvironment = options.environmentProxy ? proxyEnv : undefined;
  const obeyed = proxyUrl === undefined ? ofEnvironment : named;
  const settings = {
    keepAlive: true,
    // Of unused connections; each request lifts it for as long as it runs.
    timeout: options.idleSeconds * 1000,
    maxFreeSockets: mostIdle,
    ...(obeyed !== undefined && { proxyEnv: obeyed }),
    ...options.tls,
  };
  // A connection of its own goes through the same proxy; `agent: false` would go around it.
  const once = { ...settings, keepAlive: false };
  let plain: Agent | undefined;
  let tls: TlsAgent | undefined;
  return {
    fetch(url, init) {
      if (!url.startsWith("https:")) {
        if (init.fresh === true) return send(url, init, sendPlain, new Agent(once));
        plain ??= new Agent(settings);
        return send(url, init, sendPlain, plain);
      }
      if (init.fresh === true) return send(url, init, sendTls, new TlsAgent(once));
      tls ??= new TlsAgent(settings);
      return send(url, init, sendTls, tls);
    },
    close() {
      plain?.destroy();
      tls?.destroy();
    },
  };
}

function send(
  url: string,
  { method, headers, body, signal }: PoolRequest,
  open: typeof sendPlain,
  agent: Agent,
): Promise<PoolAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) throw signal.reason;
    const outgoing = open(url, {
      method,
      headers,
      agent,
      timeout: 0,
      maxHeaderSize: answerHeadBytes,
      insecureHTTPParser: false,
    });
    // Cheaper than the option `signal`; it may be called when all is over.
    signal.addEventListener("abort", () => outgoing.destroy(signal.reason as Error), {
      once: true,
    });
    // Deno sends a request again by itself when a kept connection breaks, even one that we have
    // aborted or that the provider has worked on for minutes: it would be paid for twice.
    outgoing.on("socket", () => {
      outgoing.reusedSocket = false;
    });
    outgoing.on("error", reject);
    // The only sign of an answer that switches protocols.
    outgoing.on("close", () => reject(new Error("closed without an answer")));
    outgoing.on("response", (message) => {
      try {
        resolve(new NodeAnswer(message));
      } catch (error) {
        outgoing.destroy();
        reject(error);
      }
    });
    outgoing.end(body);
  });
}

/** An answer whose body is still on the wire; a `Response` would make a web stream of each. */
class NodeAnswer implements PoolAnswer {
  readonly status: number;
  readonly headers = new Headers();
  readonly #message: IncomingMessage;
  #body: ReadableStream<Uint8Array<ArrayBuffer>> | undefined = undefined;

  constructor(message: IncomingMessage) {
    this.#message = message;
    this.status = message.statusCode ?? 0;
    const { rawHeaders } = message;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      this.headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
    }
    // Heard by whoever reads the body; without a listener it would end the process.
    message.on("error", () => {});
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#body ??= toStream(this.#message);
    return this.#body;
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    const message = this.#message;
    return new Promise((resolve, reject) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      message.on("data", (chunk: Uint8Array) => {
        chunks.push(chunk);
        size += chunk.byteLength;
      });
      message.on("end", () => {
        const whole = new Uint8Array(size);
        let at = 0;
        for (const chunk of chunks) {
          whole.set(chunk, at);
          at += chunk.byteLength;
        }
        resolve(whole.buffer);
      });
      message.on("error", reject);
      message.on("close", () => reject(brokenOff()));
    });
  }
}

/** The body with back-pressure; it fails when the connection breaks before the whole is there. */
function toStream(message: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let over = false;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      const fail = (error: Error): void => {
        if (!over) controller.error(error);
        over = true;
      };
      message.on("data", ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>) => {
        if (over) return;
        // A Buffer's `slice` is no copy, and users of a Uint8Array take it for one.
        controller.enqueue(new Uint8Array(buffer, byteOffset, byteLength));
        if ((controller.desiredSize ?? 0) <= 0) message.pause();
      });
      message.on("end", () => {
        if (!over) controller.close();
        over = true;
      });
      message.on("error", fail);
      message.on("close", () => fail(brokenOff()));
    },
    pull: () => void message.resume(),
    cancel() {
      over = true;
      message.destroy();
    },
  });
}

function brokenOff(): Error {
  return Object.assign(new Error("the answer broke off"), { code: "ECONNRESET" });
}
