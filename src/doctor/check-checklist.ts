import type { Finding } from "../contract/finding.ts";
import { eventTypes } from "../contract/policy.ts";
import { finder } from "../kit/finding.ts";
import { isLoopbackListener } from "../kit/loopback.ts";
import type { Area } from "./area.ts";
import type { Facts } from "./facts.ts";

const kinds = {
  "checklist-tls": {
    severity: "medium",
    title: "TLS is not enabled",
    why: "Without it whoever is on the way reads keys and prompts; on loopback nobody is.",
    mend: "server.tls: { enabled: true, cert_file: …, key_file: … }",
  },
  "checklist-encryption": {
    severity: "medium",
    title: "credentials are not encrypted",
    why: "Whoever gets a copy of their files can use them.",
    mend: 'auth.encryption: { enabled: true, key: "${CLIPROXY_ENCRYPTION_KEY}" }',
  },
  "checklist-allowlist": {
    severity: "medium",
    title: "every address may call",
    why: "A stolen key works from everywhere.",
    mend: "server.security.ip_allowlist: { enabled: true, allowed_ips: […] }",
  },
  "checklist-client-rate": {
    severity: "medium",
    title: "no client is limited",
    why: "One client, or one that guesses keys, can take all there is.",
    mend: "server.security.rate_limiting: { enabled: true, requests_per_second: 10, burst: 20 }",
  },
  "checklist-server-rate": {
    severity: "low",
    title: "the server as a whole is not limited",
    why: "All clients together can take more than the machine and the providers bear.",
    mend: "server.rate_limit: { enabled: true, requests_per_second: 100, burst: 200 }",
  },
  "checklist-provider-rate": {
    severity: "low",
    title: "a provider is not limited",
    why: "What the provider refuses costs an attempt, and what it takes costs money.",
    mend: "providers.<name>.rate_limit: { requests_per_minute: …, tokens_per_minute: … }",
  },
  "checklist-quota": {
    severity: "low",
    title: "a provider has no quota",
    why: "A stolen key, or a loop in a program, can spend without an end.",
    mend: "providers.<name>.quota: { limit: …, reset: monthly }",
  },
  "checklist-headers": {
    severity: "medium",
    title: "security headers are turned off",
    why: "Browsers then guess types, frame pages and run what they should not.",
    mend: "remove what turns them off below server.security.headers",
  },
  "checklist-audit": {
    severity: "medium",
    title: "there is no audit log",
    why: "After an attack nobody can say who did what.",
    mend: "logging.audit: { enabled: true, file: ./logs/audit.log }",
  },
  "checklist-audit-events": {
    severity: "low",
    title: "the audit log leaves events out",
    why: "What is not recorded can't be found later.",
    mend: "remove logging.audit.events: all are recorded then",
  },
  "checklist-audit-required": {
    severity: "info",
    title: "requests are served while the audit log can't be written",
    why: "A full disk is then a way to act without a record.",
    mend: "logging.audit.required: true, if the record matters more than the service",
  },
  "checklist-metrics": {
    severity: "low",
    title: "there are no metrics, so nothing can raise an alarm",
    why: "Failed logins and violations are seen only by who reads logs.",
    mend: "metrics: { enabled: true }, and load deploy/alerts.yaml into Prometheus",
  },
  "checklist-dependencies": {
    severity: "info",
    title: "known flaws of dependencies were not looked for",
    why: "That needs a list of flaws, which changes every day and comes by the network.",
    mend: "trivy fs . in a checkout, or a scanner of your choice over the SBOM of the release",
  },
  "checklist-repository": {
    severity: "info",
    title: "repositories were not searched for secrets",
    why: "The configuration was, and what git keeps of its files; the rest of a history was not.",
    mend: "a hook before each commit: docs/doctor.md#a-hook-before-each-commit",
  },
} as const;
const found = finder(kinds);

/** What the guide offers and is not enabled, and what nobody here can look at. */
export const checklist: Area = {
  name: "checklist",
  summary: "what the guide offers and is not enabled",
  kinds,
  check(facts) {
    const always = [
      found("checklist-dependencies", "this program looks at no network"),
      found("checklist-repository", "this program reads no history"),
    ];
    if (facts.config.plan === undefined) return always;
    return [...protection(facts), ...spending(facts), ...watching(facts), ...always];
  },
};

function isOn({ config }: Facts, policy: string): boolean {
  const planned = config.plan?.policies.find(({ name }) => name === policy);
  return planned?.mode === "enforce";
}

function protection(facts: Facts): Finding[] {
  const { config, files } = facts;
  const isNear = isLoopbackListener(String(config.get("server.host")));
  const severity = isNear ? "info" : "medium";
  const near = isNear ? ", and it listens on loopback only" : "";
  const list: Finding[] = [];
  if (config.get("server.tls.enabled") !== true) {
    list.push(found("checklist-tls", `server.tls.enabled is not set${near}`, { severity }));
  }
  if (config.get("auth.encryption.enabled") !== true) {
    const count = files.credentials.size;
    const evidence = `auth.encryption.enabled is not set; ${count} files in auth.dir`;
    list.push(found("checklist-encryption", evidence, { severity: count > 0 ? "medium" : "low" }));
  }
  if (!isOn(facts, "ip-allowlist")) {
    const evidence = `server.security.ip_allowlist is not set${near}`;
    list.push(found("checklist-allowlist", evidence, { severity }));
  }
  if (!isOn(facts, "rate-limit-client")) {
    const evidence = `server.security.rate_limiting is not set${near}`;
    list.push(found("checklist-client-rate", evidence, { severity: isNear ? "low" : "medium" }));
  }
  if (!isOn(facts, "rate-limit-server")) {
    list.push(found("checklist-server-rate", "server.rate_limit is not set"));
  }
  return [...list, ...headers(facts)];
}

const headerKeys = [
  ...["strict_transport_security", "content_type_options", "frame_options"],
  ...["xss_protection", "content_security_policy"],
].map((key) => `server.security.headers.${key}`);

function headers({ config }: Facts): Finding[] {
  const all = "server.security.headers.enabled";
  if (config.get(all) === false) return [found("checklist-headers", config.at(all))];
  const removed = headerKeys.filter((key) => [false, ""].includes(config.get(key) as string));
  return removed.map((key) => found("checklist-headers", config.at(key), { severity: "low" }));
}

function spending({ config }: Facts): Finding[] {
  const real = config.plan?.providers.filter(({ protocol }) => protocol !== "sandbox") ?? [];
  const set = (path: string): ReadonlySet<string> => new Set(Object.keys(config.get(path) ?? {}));
  const [requests, tokens] = ["requests", "tokens"].map((what) =>
    set(`providers.*.rate_limit.${what}_per_minute`),
  );
  const quotas = set("providers.*.quota.limit");
  return real.flatMap(({ name }) => {
    const at = config.at(`providers.${name}`);
    const isLimited = requests?.has(name) || tokens?.has(name);
    return [
      ...(isLimited ? [] : [found("checklist-provider-rate", at)]),
      ...(quotas.has(name) ? [] : [found("checklist-quota", at)]),
    ];
  });
}

function watching({ config }: Facts): Finding[] {
  const list: Finding[] = [];
  if (config.get("metrics.enabled") !== true) {
    list.push(found("checklist-metrics", "metrics.enabled is not set"));
  }
  if (config.get("logging.audit.enabled") !== true) {
    return [...list, found("checklist-audit", "logging.audit.enabled is not set")];
  }
  const recorded = (config.get("logging.audit.events") ?? []) as readonly string[];
  const missing = eventTypes.filter((type) => !recorded.includes(type));
  if (missing.length > 0) {
    const at = config.at("logging.audit.events");
    list.push(found("checklist-audit-events", `${at}: without ${missing.join(", ")}`));
  }
  if (config.get("logging.audit.required") !== true) {
    list.push(found("checklist-audit-required", "logging.audit.required is not set"));
  }
  return list;
}
