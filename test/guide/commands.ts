import { expect } from "bun:test";
import { join } from "node:path";
import type { RunningProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";
import { type AuditRecord, callFrom, managementKey, recorded, statusFrom } from "./asking.ts";
import { authCommands } from "./proofs-auths.ts";
import { doctorCommands } from "./proofs-doctor.ts";
import { auditFile, causes } from "./proofs-records.ts";
import { tlsCommands } from "./proofs-tls.ts";
import { keyCommands } from "./proofs-vault.ts";
import { blockOf } from "./prove.ts";
import { type CommandProof, end, run, start } from "./shell.ts";

/** The commands of a block: lines that go on are one, and so is a body in quotes. */
export function commandsOf(id: string): string[] {
  const { holds } = blockOf(id);
  const commands: string[] = [];
  let open = false;
  for (const line of "commands" in holds ? holds.commands : []) {
    const text = line.replace(/ \\$/, "");
    if (open) commands.push(`${commands.pop()} ${text}`);
    else commands.push(text);
    const isQuoted = ((commands.at(-1) ?? "").split("'").length - 1) % 2 === 1;
    open = line.endsWith("\\") || isQuoted;
  }
  return commands;
}

function toRecords(out: string): AuditRecord[] {
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as AuditRecord);
}

/** Makes records of some types; the directory in which `logs/` is. */
async function record(proxy: RunningProxy, ...types: readonly string[]): Promise<string> {
  const file = auditFile(proxy);
  for (const type of types) {
    await causes[type]?.(proxy);
    await recorded(file, type);
  }
  return join(file, "../..");
}

const log = "reading the audit log";

function filterProof(type: string): CommandProof {
  return {
    block: log,
    command: `grep "${type}" logs/audit.log`,
    config: "audit log",
    async prove(command, proxy) {
      const cwd = await record(proxy, "auth_success", "auth_failure", "security_violation");
      const { code, out } = await run(command, cwd);
      expect(code).toBe(0);
      expect(toRecords(out).map(({ event_type }) => event_type)).toEqual([type]);
    },
  };
}

const logProofs: readonly CommandProof[] = [
  {
    block: log,
    command: "tail -f logs/audit.log",
    config: "audit log",
    async prove(command, proxy) {
      const cwd = await record(proxy, "auth_failure");
      const { child, out } = start(command, cwd);
      await until("what was there", () => out().includes('"auth_failure"'));
      expect(out()).not.toContain("security_violation");
      await record(proxy, "security_violation");
      await until("what comes", () => out().includes('"security_violation"'));
      end(child);
    },
  },
  filterProof("auth_failure"),
  filterProof("security_violation"),
  {
    block: log,
    command: "cat logs/audit.log | jq '.'",
    config: "audit log",
    async prove(command, proxy) {
      const cwd = await record(proxy, "auth_failure");
      const { code, out } = await run(command, cwd);
      expect(code).toBe(0);
      expect(out).toContain('  "event_type": "auth_failure",\n');
    },
  },
];

/** One curl of the metrics; the port of the guide may be taken here. */
function metricProof(word: string, cause: (proxy: RunningProxy) => Promise<void>): CommandProof {
  return {
    block: "asking for metrics",
    command: `curl http://localhost:9090/metrics | grep ${word}`,
    config: "metrics",
    async prove(command, proxy) {
      const { host, port } = new URL(proxy.greeting.listeners.metrics ?? "");
      expect(host).toBe(`127.0.0.1:${port}`);
      const here = command.replace(":9090", `:${port}`);
      const total = async (): Promise<number> => {
        const { code, out } = await run(here, proxy.dir);
        expect(code).toBe(0);
        const lines = out.split("\n").filter((line) => line.startsWith(`cliproxy_${word}_total{`));
        return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
      };
      const before = await total();
      await cause(proxy);
      expect(await total()).toBeGreaterThan(before);
    },
  };
}

async function failLogins(proxy: RunningProxy): Promise<void> {
  // More than are free: the last ones are refused for their rate.
  for (let i = 0; i < 14; i++) await (await callFrom(proxy, "8.8.8.8", "nobody")).text();
}

const denylist: CommandProof = {
  block: "blocking an address",
  command:
    "curl -X POST http://localhost:8317/v0/management/security/ip-denylist " +
    `-H "Content-Type: application/json" -d '{ "ip": "192.168.1.100", ` +
    `"reason": "Suspicious activity" }'`,
  async prove(command, proxy) {
    const here = command.replace(":8317", `:${new URL(proxy.url).port}`);
    expect(await statusFrom(proxy, "192.168.1.100")).toBe(200);
    // As the guide has it: the management key is always needed, and the answer says so.
    const keyless = JSON.parse((await run(here, proxy.dir)).out);
    expect(keyless.error.message).toContain("X-Management-Key");
    expect(keyless.error.message).toContain("management.key");
    expect(await statusFrom(proxy, "192.168.1.100")).toBe(200);
    const header = `-H "X-Management-Key: ${managementKey}"`;
    const { code, out } = await run(`${here} ${header}`, proxy.dir);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ip: "192.168.1.100", reason: "Suspicious activity" });
    expect(await statusFrom(proxy, "192.168.1.100")).toBe(403);
    expect(await statusFrom(proxy, "192.168.1.101")).toBe(200);
  },
};

export const commandProofs: readonly CommandProof[] = [
  ...keyCommands,
  ...authCommands,
  ...logProofs,
  metricProof("auth_failures", failLogins),
  metricProof("rate_limit_violations", failLogins),
  metricProof("security_events", failLogins),
  denylist,
  ...tlsCommands,
  ...doctorCommands,
];
