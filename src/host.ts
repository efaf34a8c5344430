import type { EventType, Gauge, HostFacts, PolicyHost, SecurityEvent } from "./contract/policy.ts";
import type { Clock, Logger } from "./contract/types.ts";
import type { Live } from "./live.ts";
import type { TokenKeepers } from "./oauth/token-keepers.ts";
import type { HeldState } from "./state.ts";

/** What outlives generations: the process has one. */
export interface House {
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: Live;
  /** By policy and key; see `PolicyHost.keep`. */
  readonly kept: Map<string, unknown>;
  /** Opened by the first configuration; a reload can't change it. */
  state: HeldState | undefined;
  /** Bytes of request bodies in flight. */
  readonly budget: { held: number };
  /** Readings of the process, beside those of the policies. */
  readonly gauges: Gauge[];
  /** Lines for the terminal of whoever started the process; never for a log. */
  readonly announcements: Announcement[];
  /** New requests are refused; running ones finish. */
  draining: boolean;
  /** Access tokens that are refreshed. */
  readonly tokens: TokenKeepers;
  /** Reads the credential files again, for the configuration that serves. */
  rereadCredentials: () => Promise<void>;
  /** The last reload was refused: the generation before it still serves. */
  reloadRejected: boolean;
}

/** Something to show once; `secret` only where no log can catch it. */
export interface Announcement {
  readonly title: string;
  readonly path: string;
  readonly secret: string | undefined;
}

/** What the policies of one generation share. */
export interface Bench {
  readonly facts: HostFacts;
  readonly gauges: Gauge[];
  emit(event: SecurityEvent): void;
  hears(type: EventType): boolean;
}

const gaugeName = /^cliproxy_[a-z][a-z0-9_]{1,80}$/;

/** What the house lends to one policy of one generation. */
export function lend(
  house: House,
  policy: string,
  bench: Bench,
  mode: "enforce" | "shadow",
): PolicyHost {
  const { clock, log, live, kept, announcements, state } = house;
  const { facts, gauges, emit, hears } = bench;
  if (state === undefined) throw new Error("the state is not open yet");
  return {
    clock,
    log: log.child(policy),
    facts,
    live,
    emit,
    hears,
    gauge(name, help, labels, read) {
      if (!gaugeName.test(name)) throw new Error(`${name} is no name for a gauge`);
      if ([...house.gauges, ...gauges].some((other) => other.name === name)) {
        throw new Error(`the gauge ${name} is offered twice`);
      }
      gauges.push({ name, help, labels, read });
    },
    gauges: () => [...house.gauges, ...gauges],
    keep<T>(key: string, make: () => T): T {
      const name = `${policy}\0${key}`;
      if (!kept.has(name)) kept.set(name, make());
      return kept.get(name) as T;
    },
    store: state.store.namespace(mode === "shadow" ? `${policy}:shadow` : policy),
    announce: (announcement) => void announcements.push(announcement),
    credentials: {
      tokenOf: (file) => house.tokens.get(file.replace(/\.json$/, "")),
      reread: () => house.rereadCredentials(),
    },
  };
}
