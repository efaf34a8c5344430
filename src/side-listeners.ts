import type { PlannedListener } from "./contract/listen.ts";
import type { Logger } from "./contract/types.ts";
import type { Listener, Runtime } from "./runtime/runtime.ts";

/** A listener that can't be opened, and for which key of the configuration. */
export class ListenFailure extends Error {
  readonly planned: PlannedListener;
  override readonly cause: unknown;

  constructor(planned: PlannedListener, cause: unknown) {
    super(`can't listen for ${planned.name}`);
    this.planned = planned;
    this.cause = cause;
  }
}

interface Open {
  readonly listener: Listener;
  /** As planned: port 0 stays 0. */
  readonly host: string;
  readonly port: number;
  planned: PlannedListener;
}

/** Listeners that were opened for a generation which does not serve yet. */
export interface Preparation {
  /** Takes them over, and closes those that no longer stand in the plan. */
  adopt(): void;
  /** Closes what was opened: another generation goes on. */
  discard(): void;
}

/** These listeners speak plain HTTP, over which it must not be sent (RFC 6797, 7.2). */
function withoutHsts(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { "strict-transport-security": _, ...rest } = headers;
  return rest;
}

/**
 * The listeners of policies, such as that of the metrics. One lives through reloads as long as its
 * name, host and port stay; who answers behind it changes with the generation.
 */
export class SideListeners {
  readonly #runtime: Pick<Runtime, "listen">;
  readonly #log: Logger;
  readonly #headers: () => Readonly<Record<string, string>>;
  #open: readonly Open[] = [];

  /** @param headers set on every response of the house */
  constructor(
    runtime: Pick<Runtime, "listen">,
    log: Logger,
    headers: () => Readonly<Record<string, string>>,
  ) {
    this.#runtime = runtime;
    this.#log = log;
    this.#headers = () => withoutHsts(headers());
  }

  /** Where each can be reached, by name. */
  get urls(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      this.#open.map(({ listener, planned }) => [
        planned.name,
        toUrl(listener.host, listener.port) + planned.path,
      ]),
    );
  }

  /**
   * Opens what a plan needs and is not open yet.
   * @throws ListenFailure when one can't be opened; then nothing has changed
   */
  async prepare(plan: readonly PlannedListener[]): Promise<Preparation> {
    const made: Open[] = [];
    const discard = (): void => {
      for (const { listener } of made) listener.close();
    };
    const next: { readonly open: Open; readonly planned: PlannedListener }[] = [];
    for (const planned of plan) {
      const same = this.#open.find((open) => isSame(open, planned));
      if (same !== undefined) {
        next.push({ open: same, planned });
        continue;
      }
      try {
        const open = await this.#listen(planned);
        made.push(open);
        next.push({ open, planned });
      } catch (error) {
        discard();
        throw new ListenFailure(planned, error);
      }
    }
    return {
      discard,
      adopt: () => {
        for (const { open, planned } of next) open.planned = planned;
        const kept = next.map(({ open }) => open);
        for (const old of this.#open) if (!kept.includes(old)) old.listener.close();
        this.#open = kept;
      },
    };
  }

  close(): void {
    for (const { listener } of this.#open) listener.close();
    this.#open = [];
  }

  async #listen(planned: PlannedListener): Promise<Open> {
    const { host, port, name } = planned;
    const open: { planned: PlannedListener } = { planned };
    const listener = await this.#runtime.listen({
      host,
      port,
      tls: undefined,
      handle: async (request) => {
        const response = await open.planned.handle(request);
        for (const [key, value] of Object.entries(this.#headers())) {
          response.headers.set(key, value);
        }
        return response;
      },
      onError: (error) => {
        this.#log.error("request escaped", { listener: name, error });
        return this.#headers();
      },
    });
    return Object.assign(open, { listener, host, port });
  }
}

function isSame({ host, port, planned }: Open, other: PlannedListener): boolean {
  return planned.name === other.name && host === other.host && port === other.port;
}

/** The address to call: a listener on all interfaces is called by loopback. */
export function toUrl(host: string, port: number, scheme: "http" | "https" = "http"): string {
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `${scheme}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
