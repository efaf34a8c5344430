import type { PolicyHost } from "../contract/policy.ts";

/** Most different events that one policy may count. */
export const mostEvents = 32;
const eventName = /^[a-z0-9_]{1,48}$/;
const gaugeName = "cliproxy_policy_events_total";

/** What policies from disk have counted, through reloads. */
export class ScriptCounts {
  readonly #byPolicy = new Map<string, Map<string, number>>();

  /** Returns what is wrong with a name, or undefined. */
  add(policy: string, event: unknown, by: unknown): string | undefined {
    if (typeof event !== "string" || !eventName.test(event)) {
      return "the event must be 1 to 48 of a-z, 0-9 and _";
    }
    if (typeof by !== "number" || !(by >= 0) || !Number.isFinite(by)) {
      return "the amount must be a number, and not negative";
    }
    const events = this.#byPolicy.get(policy) ?? new Map<string, number>();
    if (!events.has(event) && events.size >= mostEvents) {
      return `no more than ${mostEvents} events are counted`;
    }
    events.set(event, (events.get(event) ?? 0) + by);
    this.#byPolicy.set(policy, events);
    return undefined;
  }

  /** Offers the counts once a generation, whichever policy comes first. */
  offer(host: PolicyHost): void {
    if (host.gauges().some(({ name }) => name === gaugeName)) return;
    host.gauge(gaugeName, "What policies from disk counted.", ["policy", "event"], (set) => {
      for (const [policy, events] of this.#byPolicy) {
        for (const [event, count] of events) set(count, policy, event);
      }
    });
  }
}
