import type { Finding } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import type { IpRange } from "../kit/ip-range.ts";
import { isInRange } from "../kit/ip-range.ts";
import { tokenFigures } from "../kit/token-estimate.ts";
import type { Area } from "./area.ts";
import type { ConfigFacts, Facts } from "./facts.ts";

const kinds = {
  "limits-tokens-below-request": {
    severity: "medium",
    title: "one request may take a whole minute's tokens",
    why: "A reservation above the limit takes all of it, so one request shuts out all others.",
    mend: "raise tokens_per_minute, or lower server.limits.max_output_tokens",
  },
  "limits-quota-below-request": {
    severity: "medium",
    title: "one request may take a whole quota",
    why: "A reservation above the limit holds all of it, so nothing else is admitted meanwhile.",
    mend: "raise the quota, or lower server.limits.max_output_tokens",
  },
  "limits-client-above-server": {
    severity: "low",
    title: "one client may use up the rate of the whole server",
    why: "A limit for each that is not below the limit for all protects nobody from anybody.",
    mend: "lower server.security.rate_limiting, or raise server.rate_limit",
  },
  "limits-nobody-admitted": {
    severity: "high",
    title: "the lists of addresses admit nobody",
    why: "The denylist wins: every address of the allowlist, or every one at all, is on it.",
    mend: "remove from the denylist what is to get in",
  },
  "limits-maintenance": {
    severity: "info",
    title: "the proxy is in maintenance",
    why: "Every request of a client is answered 503.",
    mend: "remove server.maintenance_mode when it is over",
  },
  "limits-open-files": {
    severity: "medium",
    title: "too few files may be open for the requests that are allowed",
    why: "Each request needs a connection to the client and one to the provider.",
    mend: "raise the limit (`ulimit -n`, LimitNOFILE=), or lower server.limits.concurrent_requests",
  },
  "limits-memory": {
    severity: "high",
    title: "the limit on memory is below what the limits on requests may need",
    why: "Whoever holds a valid key can have the process killed by requests that are all allowed.",
    mend: "raise the limit on memory, or lower server.limits.body_bytes_in_flight",
  },
} as const;
const found = finder(kinds);

/** Limits against one another, and against what the machine gives. */
export const limits: Area = {
  name: "limits",
  summary: "limits that admit nothing or too much, open files, memory",
  kinds,
  check(facts) {
    if (facts.config.plan === undefined) return [];
    return [...tokens(facts), ...rates(facts), ...lists(facts), ...resources(facts)];
  },
};

type Numbers = Readonly<Record<string, number>>;

function tokens({ config }: Facts): Finding[] {
  const most = config.get("server.limits.max_output_tokens");
  const request = typeof most === "number" ? most : tokenFigures.outputTokens;
  const each = [
    ["providers.*.rate_limit.tokens_per_minute", "limits-tokens-below-request"],
    ["auth.api_keys.*.rate_limit.tokens_per_minute", "limits-tokens-below-request"],
    ["providers.*.quota.limit", "limits-quota-below-request"],
    ["auth.api_keys.*.quota.limit", "limits-quota-below-request"],
  ] as const;
  const what =
    typeof most === "number"
      ? `a request may ask for ${most}`
      : `a request that sets no limit reserves ${request}`;
  return each.flatMap(([path, id]) =>
    Object.entries((config.get(path) ?? {}) as Numbers)
      .filter(([, limit]) => limit < request)
      .map(([name, limit]) =>
        found(id, `${config.at(path.replace("*", name))} is ${limit}, and ${what}`),
      ),
  );
}

function rates({ config }: Facts): Finding[] {
  const list: Finding[] = [];
  const [one, all] = ["server.security.rate_limiting", "server.rate_limit"].map((path) =>
    config.get(`${path}.enabled`) === false ? undefined : config.get(`${path}.requests_per_second`),
  );
  if (typeof one === "number" && typeof all === "number" && one >= all) {
    const at = config.at("server.rate_limit.requests_per_second");
    list.push(found("limits-client-above-server", `${at}: ${all} for all, ${one} for each`));
  }
  if (config.get("server.maintenance_mode") === true) {
    list.push(found("limits-maintenance", config.at("server.maintenance_mode")));
  }
  return list;
}

function rangesOf(config: ConfigFacts, path: string): readonly IpRange[] {
  const entries = (config.get(path) ?? []) as readonly (
    | { readonly range: IpRange }
    | { readonly ip: { readonly range: IpRange } }
  )[];
  return entries.map((entry) => ("ip" in entry ? entry.ip.range : entry.range));
}

function isEnforced({ plan }: ConfigFacts, policy: string): boolean {
  return plan?.policies.some(({ name, mode }) => name === policy && mode === "enforce") ?? false;
}

function lists({ config }: Facts): Finding[] {
  if (!isEnforced(config, "ip-denylist")) return [];
  const path = "server.security.ip_denylist.denied_ips";
  const denied = rangesOf(config, path);
  const isDenied = (range: IpRange): boolean =>
    denied.some((one) => isInRange(range.first, one) && isInRange(range.last, one));
  const allowed = rangesOf(config, "server.security.ip_allowlist.allowed_ips");
  const isAllDenied =
    isEnforced(config, "ip-allowlist") && allowed.length > 0
      ? config.get("server.security.ip_allowlist.deny_all") !== false && allowed.every(isDenied)
      : denied.some(({ prefix, first }) => prefix === 0 && first.v4);
  return isAllDenied ? [found("limits-nobody-admitted", config.at(path))] : [];
}

/** What is open without any request: listeners, logs, the state, the event loop's own. */
const ownFiles = 64;
const kib = 1024;
const mib = 1024 ** 2;
/** As docs/limits.md measures it: the process, each request, and bodies with their copies. */
const memory = { process: 12 * mib, request: 30 * kib, bodyCopies: 2.5 };

function resources({ config, machine }: Facts): Finding[] {
  const list: Finding[] = [];
  const requests = Number(config.get("server.limits.concurrent_requests"));
  const bodies = Number(config.get("server.limits.body_bytes_in_flight"));
  const files = 2 * requests + ownFiles;
  if (machine.openFiles !== undefined && machine.openFiles < files) {
    const evidence = `${machine.openFiles} files may be open; ${requests} requests need ${files}`;
    list.push(found("limits-open-files", evidence));
  }
  const needed = memory.process + requests * memory.request + bodies * memory.bodyCopies;
  if (machine.memoryLimitBytes !== undefined && machine.memoryLimitBytes < needed) {
    const [has, needs] = [machine.memoryLimitBytes, needed].map((n) => Math.floor(n / mib));
    const what = `${requests} requests with ${Math.floor(bodies / mib)} MiB of bodies`;
    list.push(found("limits-memory", `${has} MiB; ${what} may need ${needs} MiB`));
  }
  return list;
}
