import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { clientKey, type RunningProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";
import type { KeyProof } from "./prove.ts";

const chat = { model: "sandbox-echo", messages: [{ role: "user", content: "hello" }] };

/** One chat call of a client at an address. */
export function callFrom(proxy: RunningProxy, ip: string, key = clientKey): Promise<Response> {
  const headers = { "x-forwarded-for": ip, authorization: `Bearer ${key}` };
  return proxy.post("/v1/chat/completions", chat, { headers });
}

export async function statusFrom(proxy: RunningProxy, ip: string): Promise<number> {
  const reply = await callFrom(proxy, ip);
  await reply.text();
  return reply.status;
}

/** How many of so many calls at once are let in. */
async function admitted(proxy: RunningProxy, calls: number, ip = "203.0.113.1"): Promise<number> {
  const statuses = await Promise.all(Array.from({ length: calls }, () => statusFrom(proxy, ip)));
  return statuses.filter((status) => status === 200).length;
}

const stranger = "8.8.8.8";

const allowlist: readonly KeyProof[] = [
  {
    block: "allowlist",
    key: "server.security.ip_allowlist.enabled",
    without: false,
    prove: async (proxy) => expect(await statusFrom(proxy, stranger)).toBe(403),
  },
  {
    block: "allowlist",
    key: "server.security.ip_allowlist.allowed_ips",
    without: ["10.0.0.0/16"],
    async prove(proxy) {
      for (const ip of ["10.255.0.1", "192.168.1.100", "203.0.113.255"]) {
        expect(await statusFrom(proxy, ip)).toBe(200);
      }
      for (const ip of ["11.0.0.1", "192.168.1.101", "203.0.114.0", stranger]) {
        expect(await statusFrom(proxy, ip)).toBe(403);
      }
    },
  },
  {
    block: "allowlist, all others blocked",
    key: "server.security.ip_allowlist.enabled",
    without: false,
    prove: async (proxy) => expect(await statusFrom(proxy, stranger)).toBe(403),
  },
  {
    block: "allowlist, all others blocked",
    key: "server.security.ip_allowlist.allowed_ips",
    without: ["192.0.2.0/24"],
    prove: async (proxy) => expect(await statusFrom(proxy, "10.1.2.3")).toBe(200),
  },
  {
    block: "allowlist, all others blocked",
    key: "server.security.ip_allowlist.deny_all",
    without: false,
    prove: async (proxy) => expect(await statusFrom(proxy, stranger)).toBe(403),
  },
];

const byAddress = "server.security.rate_limiting";
const rates: readonly KeyProof[] = [
  {
    block: "rate by address",
    key: `${byAddress}.enabled`,
    without: false,
    prove: async (proxy) => expect(await admitted(proxy, 40)).toBeLessThan(40),
  },
  {
    block: "rate by address",
    key: `${byAddress}.requests_per_second`,
    without: 0.01,
    async prove(proxy) {
      await admitted(proxy, 40);
      // At 10 a second there is a place again within a tenth of one.
      await until("a place", async () => (await statusFrom(proxy, "203.0.113.1")) === 200, 2000);
    },
  },
  {
    block: "rate by address",
    key: `${byAddress}.burst`,
    without: 5,
    async prove(proxy) {
      const count = await admitted(proxy, 40);
      expect(count).toBeGreaterThanOrEqual(20);
      expect(count).toBeLessThan(40);
    },
  },
  {
    block: "rate by address",
    key: `${byAddress}.per_ip`,
    without: false,
    also: { [`${byAddress}.per_user`]: true, [`${byAddress}.requests_per_second`]: 0.01 },
    async prove(proxy) {
      await admitted(proxy, 40, "203.0.113.1");
      expect(await statusFrom(proxy, "203.0.113.2")).toBe(200);
    },
  },
  {
    block: "rate of the whole server",
    key: "server.rate_limit.enabled",
    without: false,
    prove: async (proxy) => expect(await admitted(proxy, 400)).toBeLessThan(400),
  },
  {
    block: "rate of the whole server",
    key: "server.rate_limit.requests_per_second",
    without: 0.01,
    async prove(proxy) {
      await admitted(proxy, 400);
      await until("a place", async () => (await statusFrom(proxy, stranger)) === 200, 2000);
    },
  },
  {
    block: "rate of the whole server",
    key: "server.rate_limit.burst",
    without: 20,
    prove: async (proxy) => expect(await admitted(proxy, 250)).toBeGreaterThanOrEqual(200),
  },
];

const headerRoot = "server.security.headers";

/** A header on answers of every kind. */
async function everywhere(proxy: RunningProxy, name: string, value: string): Promise<void> {
  const replies = [
    await proxy.post("/v1/chat/completions", chat),
    await proxy.post("/v1/chat/completions", "{"),
    await proxy.post("/v1/messages", { ...chat, max_tokens: 9, stream: true }),
    await proxy.get("/v1/models", { headers: { authorization: "Bearer nobody" } }),
    await proxy.get("/v1/nothing"),
    await proxy.get("/healthz"),
  ];
  for (const reply of replies) {
    await reply.text();
    expect(reply.headers.get(name)).toBe(value);
  }
}

function headerProof(key: string, name: string, value: string): KeyProof {
  return {
    block: "security headers",
    key: `${headerRoot}.${key}`,
    without: key === "enabled" ? false : "",
    prove: (proxy) => everywhere(proxy, name, value),
  };
}

const headers: readonly KeyProof[] = [
  headerProof("enabled", "x-content-type-options", "nosniff"),
  headerProof("content_type_options", "x-content-type-options", "nosniff"),
  headerProof("frame_options", "x-frame-options", "DENY"),
  headerProof("xss_protection", "x-xss-protection", "1; mode=block"),
  headerProof("content_security_policy", "content-security-policy", "default-src 'self'"),
];

/** Records of the audit log, once one of an event is there. */
export async function recordsWith(
  proxy: RunningProxy,
  file: string,
  type: string,
): Promise<unknown[]> {
  const read = (): { event_type: string }[] =>
    existsSync(file)
      ? readFileSync(file, "utf8")
          .split("\n")
          .flatMap((line) => (line === "" ? [] : JSON.parse(line)))
      : [];
  await (await proxy.post("/v1/chat/completions", chat)).text();
  await callFrom(proxy, stranger, "nobody").then((reply) => reply.text());
  await until(`a record of ${type}`, () => read().some((r) => r.event_type === type), 2000);
  return read();
}

/** The file as a run has it: `logs/audit.log` beside its configuration. */
function auditFile(proxy: RunningProxy): string {
  const config = JSON.parse(readFileSync(proxy.configFile, "utf8"));
  return config.logging.audit.file ?? join(proxy.dir, "none");
}

const audit: readonly KeyProof[] = [
  {
    block: "audit log",
    key: "logging.audit.enabled",
    without: false,
    prove: async (proxy) => void (await recordsWith(proxy, auditFile(proxy), "auth_failure")),
  },
  {
    block: "audit log",
    key: "logging.audit.file",
    prove: async (proxy) => void (await recordsWith(proxy, auditFile(proxy), "auth_failure")),
  },
  {
    block: "audit log",
    key: "logging.audit.format",
    without: "text",
    async prove(proxy) {
      const [first] = await recordsWith(proxy, auditFile(proxy), "auth_failure");
      expect(first).toHaveProperty("event_type");
    },
  },
  {
    block: "audit log",
    key: "logging.audit.events",
    without: ["config_change"],
    async prove(proxy) {
      await recordsWith(proxy, auditFile(proxy), "auth_failure");
      await recordsWith(proxy, auditFile(proxy), "auth_success");
      await recordsWith(proxy, auditFile(proxy), "provider_request");
    },
  },
];

/** What the metrics' listener answers below its address. */
export async function scrape(proxy: RunningProxy, path: string): Promise<string> {
  const { listeners } = proxy.greeting as unknown as { listeners: { metrics?: string } };
  if (listeners.metrics === undefined) throw new Error("there is no listener for metrics");
  return metricsAt(new URL(path, listeners.metrics).href);
}

async function metricsAt(url: string): Promise<string> {
  const reply = await fetch(url);
  if (reply.status !== 200) throw new Error(`status ${reply.status}`);
  return reply.text();
}

const metrics: readonly KeyProof[] = [
  {
    block: "metrics",
    key: "metrics.enabled",
    without: false,
    prove: async (proxy) => void (await scrape(proxy, "/metrics")),
  },
  {
    block: "metrics",
    key: "metrics.port",
    without: 0,
    async prove(proxy) {
      const { port } = JSON.parse(readFileSync(proxy.configFile, "utf8")).metrics;
      expect(await metricsAt(`http://127.0.0.1:${port}/metrics`)).toContain("cliproxy_");
    },
  },
  {
    block: "metrics",
    key: "metrics.path",
    without: "/elsewhere",
    prove: async (proxy) => void (await scrape(proxy, "/metrics")),
  },
];

export const keyProofs: readonly KeyProof[] = [
  ...allowlist,
  ...rates,
  ...headers,
  ...audit,
  ...metrics,
];

/** Keys whose proof waits for what another issue builds, and why. */
export const awaitedKeys: Readonly<Record<string, string>> = {
  "server.security.headers.strict_transport_security": "sent on TLS only (issue 5)",
};
