import type { Attempt, AttemptResult } from "../../src/contract/policy.ts";

/** Why something is left alone. */
export type Reason = "credential" | "limit" | "failures" | "unreachable" | "operator";

/** What is left alone: a provider, one of its credentials, or that for one model. */
export interface Scope {
  readonly provider: string;
  readonly credential?: string | undefined;
  readonly model?: string | undefined;
}

export interface Cooling extends Scope {
  readonly reason: Reason;
  /** Milliseconds since the epoch. */
  readonly untilMs: number;
  /** How often in a row: each time it lasts longer. */
  readonly step: number;
}

interface Entry extends Cooling {
  /** The attempt that finds out whether it is over; nobody else is let through meanwhile. */
  probe: Attempt | undefined;
  probeAtMs: number;
}

interface Trouble {
  readonly count: number;
  readonly lastMs: number;
}

/** First length of each kind of cool-down, in milliseconds; each further one doubles it. */
const firstMs: Readonly<Record<Reason, number>> = {
  credential: 60_000,
  limit: 1000,
  failures: 10_000,
  unreachable: 10_000,
  operator: 60_000,
};

/** Longest that what fails without a word is left alone, in milliseconds. */
const longestFaultMs = 120_000;
/** So many failures in a row, none older than this, open the circuit. */
const tolerated = { failures: 5, withinMs: 60_000 };
/** A probe that is not over by then has got lost; milliseconds. */
const probeMs = 60_000;
/** Least wait while a probe runs, in milliseconds. */
const probeWaitMs = 1000;
/** Most entries: clients make names of models up where a provider has no list. */
export const mostEntries = 4096;

/** Who is left alone, and until when. Times are of the wall clock: they outlive the process. */
export class CooldownBoard {
  readonly #entries = new Map<string, Entry>();
  readonly #troubles = new Map<string, Trouble>();

  /** No entry: nothing has to be looked up. */
  get isClear(): boolean {
    return this.#entries.size === 0 && this.#troubles.size === 0;
  }

  /**
   * Judges an attempt, which becomes the probe of what is just over.
   * @param longestMs of any cool-down: a clock that stepped back must not prolong one
   * @returns the entry that holds it back and how long, in milliseconds; undefined: it may go
   */
  judge(
    attempt: Attempt,
    nowMs: number,
    longestMs: number,
  ): { readonly entry: Cooling; readonly waitMs: number } | undefined {
    const over: Entry[] = [];
    for (const key of keysOf(attempt)) {
      const entry = this.#entries.get(key);
      if (entry === undefined) continue;
      const leftMs = Math.min(entry.untilMs - nowMs, longestMs);
      if (leftMs > 0) return { entry, waitMs: leftMs };
      const isProbed = entry.probe !== undefined && Math.abs(nowMs - entry.probeAtMs) < probeMs;
      if (isProbed) return { entry, waitMs: probeWaitMs };
      over.push(entry);
    }
    for (const entry of over) {
      entry.probe = attempt;
      entry.probeAtMs = nowMs;
    }
    return undefined;
  }

  /**
   * Takes in how an attempt ended.
   * @param longestMs of any cool-down
   * @returns what is left alone now; undefined: nothing new
   */
  note(
    attempt: Attempt,
    result: AttemptResult,
    nowMs: number,
    longestMs: number,
  ): Cooling | undefined {
    const { kind, cause } = result;
    if (kind === "ok" || cause === "request") {
      this.#succeed(attempt);
      return undefined;
    }
    const before = this.#release(attempt);
    if (kind === "unsent" || kind === "aborted") return undefined;
    if (kind === "refused" && cause === undefined) return undefined;
    const failure = toFailure(attempt, result);
    const asked = result.askedWaitMs;
    const isTold = failure.reason === "credential" || failure.reason === "limit" || asked;
    if (!isTold && before === undefined && !this.#isTooMuch(failure, nowMs)) return undefined;
    const known = this.#entries.get(keyOf(failure));
    // Those that were under way when the limit was hit must not make it last longer.
    const isKnown = known !== undefined && known.untilMs > nowMs && asked === undefined;
    if (isKnown) return undefined;
    const step = Math.max(before?.step ?? 0, known?.step ?? 0) + 1;
    const isFault = failure.reason === "failures" || failure.reason === "unreachable";
    const most = isFault && asked === undefined ? Math.min(longestFaultMs, longestMs) : longestMs;
    const usualMs = firstMs[failure.reason] * 2 ** Math.min(step - 1, 20);
    const untilMs = nowMs + Math.min(asked ?? usualMs, most);
    return this.set({ ...failure, untilMs, step });
  }

  /** Puts an entry in force. */
  set(cooling: Cooling): Cooling {
    const key = keyOf(cooling);
    const known = this.#entries.get(key);
    if (known !== undefined && known.untilMs >= cooling.untilMs) return known;
    this.#entries.delete(key);
    this.#entries.set(key, { ...cooling, probe: undefined, probeAtMs: 0 });
    if (this.#entries.size > mostEntries) {
      const stalest = this.#entries.keys().next().value;
      if (stalest !== undefined) this.#entries.delete(stalest);
    }
    return cooling;
  }

  /** Ends what lies within a scope; returns what that was. */
  recover(scope: Scope, which: (entry: Cooling) => boolean = () => true): readonly Cooling[] {
    const ended = this.list().filter((entry) => isWithin(entry, scope) && which(entry));
    for (const entry of ended) this.#entries.delete(keyOf(entry));
    for (const key of this.#troubles.keys()) {
      if (key.split("\0")[0] === scope.provider) this.#troubles.delete(key);
    }
    return ended;
  }

  list(): readonly Cooling[] {
    return [...this.#entries.values()].map(({ probe: _, probeAtMs: __, ...entry }) => entry);
  }

  #isTooMuch(failure: Scope & { readonly reason: Reason }, nowMs: number): boolean {
    const key = keyOf(failure);
    const known = this.#troubles.get(key);
    const isRecent = known !== undefined && Math.abs(nowMs - known.lastMs) < tolerated.withinMs;
    const count = (isRecent ? known.count : 0) + 1;
    this.#troubles.delete(key);
    if (count >= tolerated.failures) return true;
    this.#troubles.set(key, { count, lastMs: nowMs });
    if (this.#troubles.size > mostEntries) {
      const stalest = this.#troubles.keys().next().value;
      if (stalest !== undefined) this.#troubles.delete(stalest);
    }
    return false;
  }

  #succeed(attempt: Attempt): void {
    if (this.isClear) return;
    for (const key of keysOf(attempt)) {
      this.#troubles.delete(key);
      const entry = this.#entries.get(key);
      // One that was under way when another hit the limit says nothing of what comes now.
      if (entry !== undefined && entry.probe === attempt) this.#entries.delete(key);
    }
  }

  /** Ends the probe that an attempt was; returns what it was to find out. */
  #release(attempt: Attempt): Cooling | undefined {
    let probed: Entry | undefined;
    for (const key of keysOf(attempt)) {
      const entry = this.#entries.get(key);
      if (entry === undefined || entry.probe !== attempt) continue;
      entry.probe = undefined;
      probed = entry;
    }
    return probed;
  }
}

/** Whom a failure is about. */
function toFailure(
  { provider, credentialId: credential, model }: Attempt,
  { kind, cause, status }: AttemptResult,
): Scope & { readonly reason: Reason } {
  if (cause === "credential") return { provider, credential, reason: "credential" };
  if (cause === "limit") return { provider, credential, model, reason: "limit" };
  const isSilent = kind === "failed" && status === 0;
  if (isSilent) return { provider, reason: "unreachable" };
  return { provider, credential, model, reason: "failures" };
}

export function keyOf({ provider, credential, model }: Scope): string {
  if (credential === undefined && model === undefined) return provider;
  const of = `${provider}\0${credential ?? ""}`;
  return model === undefined ? of : `${of}\0${model}`;
}

function keysOf({ provider, credentialId, model }: Attempt): readonly string[] {
  const of = `${provider}\0${credentialId}`;
  return [provider, of, `${of}\0${model}`];
}

function isWithin(entry: Scope, { provider, credential, model }: Scope): boolean {
  if (entry.provider !== provider) return false;
  if (credential !== undefined && entry.credential !== credential) return false;
  return model === undefined || entry.model === model;
}
