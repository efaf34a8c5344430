import {
  type AttemptResult,
  type EventType,
  type Exchange,
  eventTypes,
  type Outcome,
  type SecurityEvent,
} from "../../src/contract/policy.ts";
import type { Usage } from "../../src/contract/types.ts";
import { type Family, Histogram, type Sample } from "./family.ts";
import { TopAddresses } from "./top-addresses.ts";

const durationBounds = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
];
const firstTokenBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128];

/** Most values of a label that comes from configurations: they change as long as we run. */
export const mostValues = 100;

/** Codes that say: somebody is over a limit. */
const overLimit: ReadonlySet<string> = new Set([
  "rate_limited",
  "provider_limited",
  "quota_exceeded",
  "too_many_failures",
]);

/** All counters of the process: plain numbers, which a scrape turns into text. */
export class Counts {
  readonly #requests = new Map<string, Map<string, number>>();
  readonly #durations = new Map<string, Histogram>();
  readonly #firstTokens = new Map<string, Histogram>();
  readonly #errors = new Map<string, number>();
  readonly #attempts = new Map<string, Map<string, number>>();
  readonly #tokens = new Map<string, number[]>();
  readonly #authFailures = new Map<string, number>();
  readonly #overLimit = new TopAddresses();
  readonly #events = new Map<string, number>(eventTypes.map((type) => [type, 0]));
  readonly #configChanges = new Map<string, number>([
    ["applied", 0],
    ["rejected", 0],
    ["other", 0],
  ]);

  readonly #refreshes = new Map<string, Map<string, number>>();

  /** Those of the guide are there from the first scrape. */
  expectProviders(names: readonly string[]): void {
    for (const name of names) increase(this.#authFailures, name, 0);
  }

  /** @param home whom a client meant that got no further than its login */
  finish(x: Exchange, outcome: Outcome, home: string): void {
    const { surface } = x;
    const { code, firstByteMs, provider } = outcome;
    increase(inner(this.#requests, surface), outcome.kind, 1);
    histogram(this.#durations, surface, durationBounds).observe(outcome.durationMs / 1000);
    if (firstByteMs !== undefined && provider !== undefined) {
      histogram(this.#firstTokens, provider, firstTokenBounds).observe(firstByteMs / 1000);
    }
    if (code === undefined) return;
    increase(this.#errors, code, 1);
    if (overLimit.has(code)) this.#overLimit.add(x.ip);
    if (code === "unauthenticated" || code === "too_many_failures") {
      increase(this.#authFailures, home, 1);
    }
  }

  attemptEnd(provider: string, { kind, usage }: AttemptResult): void {
    increase(inner(this.#attempts, provider), kind, 1);
    increase(this.#events, "provider_request", 1);
    if (usage !== undefined) this.#addTokens(provider, usage);
  }

  event({ type, result, provider = "none" }: SecurityEvent): void {
    increase(this.#events, type, 1);
    if (type === "token_refresh") increase(inner(this.#refreshes, provider), result, 1);
    if (type !== "config_change") return;
    increase(this.#configChanges, this.#configChanges.has(result) ? result : "other", 1);
  }

  #addTokens(provider: string, usage: Usage): void {
    let tokens = this.#tokens.get(provider);
    if (tokens === undefined) {
      if (this.#tokens.size >= mostValues) return;
      tokens = [0, 0, 0, 0];
      this.#tokens.set(provider, tokens);
    }
    (tokens[0] as number) += usage.inputTokens;
    (tokens[1] as number) += usage.outputTokens;
    (tokens[2] as number) += usage.cachedTokens;
    (tokens[3] as number) += usage.reasoningTokens;
  }

  families(): readonly Family[] {
    const tokens = [...this.#tokens].flatMap(([provider, numbers]) =>
      tokenTypes.map((type, i) => ({ labels: { provider, type }, value: numbers[i] ?? 0 })),
    );
    const byAddress = this.#overLimit
      .samples()
      .map(([ip, value]) => ({ labels: { ip }, value }) satisfies Sample);
    return [
      counter("auth_failures_total", "Total authentication failures", [
        ...one("provider", this.#authFailures),
      ]),
      counter("rate_limit_violations_total", "Total rate limit violations", byAddress),
      counter("security_events_total", "Total security events", one("event_type", this.#events)),
      counter("requests_total", "Requests by surface and outcome.", [
        ...two("surface", "outcome", this.#requests),
      ]),
      counter("errors_total", "Answers with an error, by its code.", one("code", this.#errors)),
      counter("provider_requests_total", "Attempts at providers, by result.", [
        ...two("provider", "result", this.#attempts),
      ]),
      counter("tokens_total", "Tokens as the providers report them.", tokens),
      counter("config_changes_total", "Changes of the configuration, by result.", [
        ...one("result", this.#configChanges),
      ]),
      counter("token_refreshes_total", "Refreshes of access tokens, by result.", [
        ...two("provider", "result", this.#refreshes),
      ]),
      spread("request_duration_seconds", "Time of whole requests.", "surface", this.#durations),
      spread(
        "first_token_seconds",
        "Time until the first byte of a reply was passed on.",
        "provider",
        this.#firstTokens,
      ),
    ];
  }
}

const tokenTypes = ["input", "output", "cached", "reasoning"] as const;

/** Types whose events it needs to be told; the rest it sees by itself. */
export const heardTypes: readonly EventType[] = eventTypes.filter((t) => t !== "provider_request");

function increase(counts: Map<string, number>, key: string, by: number): void {
  const known = counts.get(key);
  if (known !== undefined) counts.set(key, known + by);
  else if (counts.size < mostValues) counts.set(key, by);
  else counts.set("other", (counts.get("other") ?? 0) + by);
}

function inner(counts: Map<string, Map<string, number>>, key: string): Map<string, number> {
  const known = counts.get(key);
  if (known !== undefined) return known;
  const name = counts.size < mostValues ? key : "other";
  const fresh = counts.get(name) ?? new Map<string, number>();
  counts.set(name, fresh);
  return fresh;
}

function histogram(all: Map<string, Histogram>, key: string, bounds: readonly number[]): Histogram {
  const known = all.get(key);
  if (known !== undefined) return known;
  const name = all.size < mostValues ? key : "other";
  const fresh = all.get(name) ?? new Histogram(bounds);
  all.set(name, fresh);
  return fresh;
}

function counter(name: string, help: string, values: readonly Sample[]): Family {
  return { name: `cliproxy_${name}`, help, type: "counter", values };
}

function one(label: string, counts: ReadonlyMap<string, number>): readonly Sample[] {
  return [...counts].map(([key, value]) => ({ labels: { [label]: key }, value }));
}

function two(
  first: string,
  second: string,
  counts: ReadonlyMap<string, ReadonlyMap<string, number>>,
): readonly Sample[] {
  return [...counts].flatMap(([key, more]) =>
    [...more].map(([other, value]) => ({ labels: { [first]: key, [second]: other }, value })),
  );
}

function spread(
  shortName: string,
  help: string,
  label: string,
  all: ReadonlyMap<string, Histogram>,
): Family {
  const name = `cliproxy_${shortName}`;
  const values = [...all].flatMap(([key, one]) => one.samples(name, { [label]: key }));
  return { name, help, type: "histogram", values };
}
