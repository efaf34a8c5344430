/**
 * Tells of what attackers do: guessing keys, probing for paths, smuggling, foreign web pages. It
 * looks at requests that were refused and refuses nothing itself; what the runtime's own parser
 * answers never gets here.
 */
import * as v from "valibot";
import {
  definePolicy,
  type EventType,
  type Exchange,
  type Outcome,
  type PolicyHost,
} from "../src/contract/policy.ts";
import { Tally } from "../src/kit/tally.ts";

/** Refusals of unknown paths from one address until it is told as probing. */
const probes = 20;
/** Refused logins beyond the first delayed one until they are told as an attack. */
const bruteForce = 16;

export const policy = definePolicy({
  name: "detections",
  summary: "Tells of guessed keys, probing, path tricks, smuggling and foreign web pages.",
  stage: "observe",
  onFault: "open",
  covers: { surfaces: "all", streams: true, admin: true },
  config: { schema: v.strictObject({}), keys: {} },
  create(_config, host) {
    const state = host.keep("tallies", () => ({
      logins: new Tally(host.clock),
      probes: new Tally(host.clock),
    }));
    return {
      finish(x, outcome) {
        // What was answered well has passed every check.
        if (outcome.code !== undefined) look(x, outcome, host, state);
      },
    };
  },
});

interface Tallies {
  readonly logins: Tally;
  readonly probes: Tally;
}

type Details = Readonly<Record<string, string | number>>;

function look(x: Exchange, { code, policy: refuser }: Outcome, host: PolicyHost, state: Tallies) {
  const tell = (type: EventType, result: string, details: Details = {}): void =>
    host.emit({ type, result, ip: x.ip, requestId: x.id, details: { ...details, path: x.path } });
  const trick = pathTrick(x.path);
  if (trick !== undefined) tell("suspicious_activity", "path_trick", { trick });
  switch (code) {
    case "too_many_failures": {
      const times = state.logins.add(x.ip);
      if (times === 1) tell("suspicious_activity", "repeated_auth_failures");
      else if (isStep(times, bruteForce)) tell("security_violation", "brute_force", { times });
      return;
    }
    case "bad_host":
    case "cross_site":
      // The management API tells of its own.
      if (x.surface !== "admin") tell("security_violation", code, { host: x.header("host") ?? "" });
      return;
    case "bad_request": {
      const framing = badFraming(x);
      if (framing !== undefined) tell("security_violation", "smuggling", { framing });
      return;
    }
    case "policy_fault":
      tell("security_violation", code, { policy: refuser ?? "" });
      return;
    case "not_found": {
      const times = state.probes.add(x.ip);
      if (isStep(times, probes)) tell("suspicious_activity", "probing", { times });
    }
  }
}

/** At the first so many, then each time they have doubled: a flood is told in few words. */
function isStep(times: number, first: number): boolean {
  return times >= first && Number.isInteger(Math.log2(times / first));
}

/** How a path tries to be read in two ways; undefined: it does not. */
export function pathTrick(path: string): string | undefined {
  if (/%(?:2e|2f|5c|00|25)/i.test(path)) return "encoded dots, slashes or percents";
  if (/(?:^|[/\\])\.{1,2}(?:[/\\;]|$)/.test(path)) return "dot segments";
  if (/\\|[\u0000-\u0020\u007f]/.test(path)) return "backslashes or control characters";
  if (/\/\//.test(path)) return "doubled slashes";
  return /%[46][0-9a-f]|%[57][0-9a]|%3[0-9]/i.test(path) ? "encoded letters" : undefined;
}

/** How a head tries to end its body in two places; undefined: it does not. */
export function badFraming(x: Pick<Exchange, "header">): string | undefined {
  const coding = x.header("transfer-encoding");
  const length = x.header("content-length");
  if (coding !== null && length !== null) return "length and coding";
  if (coding !== null && coding.toLowerCase() !== "chunked") return "odd transfer coding";
  if (length !== null && !/^\d{1,15}$/.test(length)) return "odd length";
  return undefined;
}
