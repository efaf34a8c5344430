import type { Finding } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import type { RangeEntry } from "../kit/ip-schema.ts";
import { isLoopbackListener } from "../kit/loopback.ts";
import type { Area } from "./area.ts";
import type { ConfigFacts, Facts } from "./facts.ts";
import { isPublicRange, isVast, nearness } from "./nearness.ts";

const kinds = {
  "exposure-plain-http": {
    severity: "critical",
    title: "clients are served without TLS beyond this machine",
    why: "Keys and prompts cross the network as they are: whoever is on the way reads them.",
    mend: "enable server.tls; or listen on loopback behind a proxy that has it",
  },
  "exposure-management": {
    severity: "high",
    title: "the management API is open to addresses of the internet",
    why: "Only its key is left between everybody and the whole house.",
    mend: "name the addresses of administrators in management.allowed_ips",
  },
  "exposure-metrics": {
    severity: "medium",
    title: "the metrics are open beyond this machine",
    why: "They tell addresses, providers and how much is used; nothing asks for a key there.",
    mend: "remove metrics.host, or let only the collector reach that port",
  },
  "exposure-proxies-wide": {
    severity: "critical",
    title: "nearly everybody counts as a trusted proxy",
    why: "Whoever is trusted may make up a client's address: no list and no limit by address holds.",
    mend: "name the addresses of your proxies in server.trusted_proxies",
  },
  "exposure-proxies-public": {
    severity: "medium",
    title: "a public network counts as a trusted proxy",
    why: "Every machine in it may make up a client's address.",
    mend: "name single addresses, or let a firewall keep all others out",
  },
  "exposure-upstream-plain": {
    severity: "high",
    title: "a provider is called without TLS",
    why: "Its credential and every prompt cross the network as they are.",
    mend: "use https:// in base_url and remove allow_insecure",
  },
  "exposure-tls-unverified": {
    severity: "critical",
    title: "certificates of providers are not verified",
    why: "Whoever is on the way can pose as the provider and take the credential.",
    mend: "unset NODE_TLS_REJECT_UNAUTHORIZED",
  },
  "exposure-injected-code": {
    severity: "high",
    title: "a variable puts code or a debugger into the process",
    why: "What it loads, or who attaches, reads every credential in memory.",
    mend: "unset the variable",
  },
  "exposure-environment-proxy": {
    severity: "info",
    title: "providers are called by a proxy of the environment",
    why: "It sees which providers are called, and may be left over from elsewhere.",
    mend: "unset the variable if that is not meant",
  },
  "exposure-policy-off": {
    severity: "medium",
    title: "a policy is turned off",
    why: "What it would refuse gets through.",
    mend: "remove `policies.<name>.mode`",
  },
  "exposure-policy-shadow": {
    severity: "low",
    title: "a policy only counts what it would refuse",
    why: "Shadow mode is for the days before a policy is enforced; it refuses nothing.",
    mend: "read its counts, then remove `policies.<name>.mode`",
  },
  "exposure-uncovered": {
    severity: "low",
    title: "a policy does not see everything, and that was accepted",
    why: "On what it can't see it enforces nothing.",
    mend: "read `cliproxy policies plan`, and remove accept_uncovered where it is not needed",
  },
  "exposure-allowlist-open": {
    severity: "info",
    title: "the list of addresses keeps nobody out",
    why: "With deny_all: false it only frees its addresses from the limit by address.",
    mend: "remove deny_all if the list is to keep others out",
  },
} as const;
const found = finder(kinds);

/** Who can reach what. */
export const exposure: Area = {
  name: "exposure",
  summary: "who can reach what: listeners, TLS, proxies, management, metrics, policies",
  kinds,
  check(facts) {
    const variables = inEnvironment(facts);
    if (facts.config.plan === undefined) return variables;
    return [...listener(facts), ...proxies(facts), ...policies(facts), ...variables];
  },
};

function ranges(config: ConfigFacts, path: string): readonly RangeEntry[] {
  return (config.get(path) ?? []) as readonly RangeEntry[];
}

function listener({ config }: Facts): Finding[] {
  const list: Finding[] = [];
  const host = String(config.get("server.host"));
  const isNear = isLoopbackListener(host);
  const proxied = ranges(config, "server.trusted_proxies").length > 0;
  if (!isNear && config.get("server.tls.enabled") !== true) {
    const near = nearness(host);
    const severity = proxied ? "medium" : near === "private" ? "high" : "critical";
    const evidence = `${config.at("server.host")}: ${host} is ${near}, and server.tls is off`;
    const behind = proxied ? "; trusted_proxies says that a proxy stands before it" : "";
    list.push(found("exposure-plain-http", evidence + behind, { severity }));
  }
  for (const { text, range } of ranges(config, "management.allowed_ips")) {
    if (!isPublicRange(range)) continue;
    const isReached = !isNear || proxied;
    const severity = !isReached ? "low" : isVast(range) ? "critical" : "medium";
    const at = config.at("management.allowed_ips");
    list.push(found("exposure-management", `${at}: ${text}`, { severity }));
  }
  const metricsHost = String(config.get("metrics.host"));
  if (config.get("metrics.enabled") === true && !isLoopbackListener(metricsHost)) {
    const near = nearness(metricsHost);
    const severity = near === "private" ? "low" : "medium";
    const evidence = `${config.at("metrics.host")}: ${metricsHost} is ${near}`;
    list.push(found("exposure-metrics", evidence, { severity }));
  }
  const isOpen = config.get("server.security.ip_allowlist.deny_all") === false;
  const path = "server.security.ip_allowlist.deny_all";
  if (isOpen) list.push(found("exposure-allowlist-open", config.at(path)));
  return list;
}

function proxies({ config }: Facts): Finding[] {
  const at = config.at("server.trusted_proxies");
  const list = ranges(config, "server.trusted_proxies").flatMap(({ text, range }) => {
    if (isVast(range)) return [found("exposure-proxies-wide", `${at}: ${text}`)];
    const isSingle = range.prefix >= (range.first.v4 ? 24 : 56);
    if (isSingle || !isPublicRange(range)) return [];
    return [found("exposure-proxies-public", `${at}: ${text}`)];
  });
  const insecure = (config.get("providers.*.allow_insecure") ?? {}) as Record<string, boolean>;
  for (const { name, base } of config.plan?.providers ?? []) {
    const isFar = base.startsWith("http://") && !isLoopbackListener(new URL(base).hostname);
    if (!isFar || insecure[name] !== true) continue;
    list.push(found("exposure-upstream-plain", config.at(`providers.${name}.base_url`)));
  }
  return list;
}

function policies({ config }: Facts): Finding[] {
  return (config.plan?.policies ?? []).flatMap(({ name, mode }) => {
    const at = config.at(`policies.${name}.mode`);
    const list: Finding[] = [];
    if (mode === "off") list.push(found("exposure-policy-off", at));
    if (mode === "shadow") list.push(found("exposure-policy-shadow", at));
    const path = `policies.${name}.accept_uncovered`;
    if (config.get(path) === true) list.push(found("exposure-uncovered", config.at(path)));
    return list;
  });
}

/** Variables that load code or open a debugger, and what of their values does. */
const injecting: readonly (readonly [name: string, value: RegExp])[] = [
  ["LD_PRELOAD", /./],
  ["LD_AUDIT", /./],
  ["LD_LIBRARY_PATH", /./],
  ["NODE_OPTIONS", /--(?:inspect|require|import|loader|experimental-loader)|-r\b/],
  ["BUN_OPTIONS", /--(?:inspect|preload|require|import)|-r\b/],
  ["BUN_INSPECT", /./],
  ["BUN_INSPECT_PRELOAD", /./],
];

function inEnvironment({ env }: Facts): Finding[] {
  const list: Finding[] = [];
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === "0") {
    list.push(found("exposure-tls-unverified", "NODE_TLS_REJECT_UNAUTHORIZED=0"));
  }
  for (const [name, value] of injecting) {
    if (!value.test(env[name] ?? "")) continue;
    const severity = name === "LD_LIBRARY_PATH" ? "low" : "high";
    list.push(found("exposure-injected-code", name, { severity, mend: `unset ${name}` }));
  }
  const names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
  const set = names.filter((name) => (env[name] ?? "") !== "");
  if (set.length > 0) list.push(found("exposure-environment-proxy", set.join(", ")));
  return list;
}
