import type { Clock } from "../contract/types.ts";
import type { RunningExchange } from "../exchange.ts";
import type { Candidate } from "./candidate.ts";

/** Headers by which coding agents and SDKs tell their sessions. */
const sessionHeaders = [
  ...["x-claude-code-session-id", "session-id", "session_id", "x-session-id"],
  ...["x-session-affinity", "x-conversation-id"],
];
/** Longest name of a session that is looked at, in characters. */
const longestName = 128;
/** Most sessions that are kept; the stalest goes first. */
const mostSessions = 10_000;

interface Bound {
  readonly way: string;
  readonly untilMs: number;
}

/** Which way served a session last. */
export class Affinity {
  readonly #bound = new Map<string, Bound>();
  readonly #clock: Pick<Clock, "mono">;
  readonly #ttlMs: number;

  constructor(clock: Pick<Clock, "mono">, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /** Puts the way that served a session last in front, if it is still one of the ways. */
  prefer(x: RunningExchange, ways: readonly Candidate[]): readonly Candidate[] {
    const session = sessionOf(x);
    const bound = session === undefined ? undefined : this.#bound.get(session);
    if (bound === undefined || bound.untilMs <= this.#clock.mono()) return ways;
    const at = ways.findIndex((way) => keyOf(way) === bound.way);
    if (at <= 0) return ways;
    return [ways[at] as Candidate, ...ways.slice(0, at), ...ways.slice(at + 1)];
  }

  bind(x: RunningExchange, way: Candidate): void {
    const session = sessionOf(x);
    if (session === undefined) return;
    // Deleted and set again: the map's order is then the order of the last request.
    this.#bound.delete(session);
    this.#bound.set(session, { way: keyOf(way), untilMs: this.#clock.mono() + this.#ttlMs });
    if (this.#bound.size <= mostSessions) return;
    const stalest = this.#bound.keys().next().value;
    if (stalest !== undefined) this.#bound.delete(stalest);
  }
}

/** Of one client and one model: nobody can steer the sessions of others. */
function sessionOf(x: RunningExchange): string | undefined {
  for (const name of sessionHeaders) {
    const value = x.request.headers.get(name);
    if (value === null || value === "" || value.length > longestName) continue;
    return `${x.principal?.keyId ?? ""}\0${x.call?.model ?? ""}\0${value}`;
  }
  return undefined;
}

function keyOf({ provider, credential, model }: Candidate): string {
  return `${provider.name}\0${credential?.id ?? ""}\0${model}`;
}
