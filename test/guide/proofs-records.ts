import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";
import { callFrom, chat, configOfProxy, metricsAt, recorded, recordsOf, scrape } from "./asking.ts";
import { refreshToken } from "./proofs-auths.ts";
import type { KeyProof } from "./prove.ts";

/** The file as a run has it: `logs/audit.log` beside its configuration. */
export function auditFile(proxy: RunningProxy): string {
  return configOfProxy(proxy).logging.audit.file ?? join(proxy.dir, "none");
}

async function failLogin(proxy: RunningProxy): Promise<void> {
  await (await callFrom(proxy, "8.8.8.8", "nobody")).text();
}

async function chatOnce(proxy: RunningProxy): Promise<void> {
  await (await proxy.post("/v1/chat/completions", chat)).text();
}

/** What makes the binary record each event of the guide. */
export const causes: Readonly<Record<string, (proxy: RunningProxy) => Promise<void>>> = {
  auth_success: chatOnce,
  auth_failure: failLogin,
  async config_change(proxy) {
    proxy.signal("SIGHUP");
  },
  provider_request: chatOnce,
  token_refresh: refreshToken,
  async security_violation(proxy) {
    await (await proxy.get("/v1/models", { headers: { host: "evil.example" } })).text();
  },
};

/** An event is recorded when it happens, and only while the list names it. */
function eventProof(type: string, cause: (proxy: RunningProxy) => Promise<void>): KeyProof {
  return {
    block: "audit log",
    key: `logging.audit.events[${type}]`,
    async prove(proxy) {
      await cause(proxy);
      await until(`a record of ${type}`, () => isRecorded(proxy, type), 2000);
    },
  };
}

function isRecorded(proxy: RunningProxy, type: string): boolean {
  return recordsOf(auditFile(proxy)).some(({ event_type }) => event_type === type);
}

async function failureIsRecorded(proxy: RunningProxy): Promise<void> {
  await failLogin(proxy);
  await until("the record", () => isRecorded(proxy, "auth_failure"), 2000);
}

const audit: readonly KeyProof[] = [
  { block: "audit log", key: "logging.audit.enabled", without: false, prove: failureIsRecorded },
  { block: "audit log", key: "logging.audit.file", prove: failureIsRecorded },
  {
    block: "audit log",
    key: "logging.audit.format",
    without: "text",
    async prove(proxy) {
      await failLogin(proxy);
      await recorded(auditFile(proxy), "auth_failure");
      for (const line of readFileSync(auditFile(proxy), "utf8").trimEnd().split("\n")) {
        expect(JSON.parse(line)).toHaveProperty("event_type");
      }
    },
  },
  ...Object.entries(causes).map(([type, cause]) => eventProof(type, cause)),
];

const metrics: readonly KeyProof[] = [
  {
    block: "metrics",
    key: "metrics.enabled",
    without: false,
    prove: async (proxy) => void (await scrape(proxy)),
  },
  {
    block: "metrics",
    key: "metrics.port",
    without: 0,
    async prove(proxy) {
      const { port } = configOfProxy(proxy).metrics;
      expect(await metricsAt(`http://127.0.0.1:${port}/metrics`)).toContain("cliproxy_");
    },
  },
  {
    block: "metrics",
    key: "metrics.path",
    without: "/elsewhere",
    prove: async (proxy) => void (await scrape(proxy)),
  },
];

export const recordProofs: readonly KeyProof[] = [...audit, ...metrics];
