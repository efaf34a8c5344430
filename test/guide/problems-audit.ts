import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startOnFullDisk } from "../harness/full-disk.ts";
import { binary, makeDir, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";
import { recordsOf } from "./asking.ts";
import { check, type ProblemProof } from "./problem-proof.ts";
import { auditFile, causes } from "./proofs-records.ts";
import { configFor, merge, type Yaml } from "./prove.ts";

const noEvents = "No events in audit log";

async function audited(more: Yaml): Promise<RunningProxy> {
  const dir = makeDir();
  mkdirSync(join(dir, "logs"), { mode: 0o700 });
  const config = await configFor("audit log", dir);
  return startProxy({ config: merge(config, { logging: { audit: more } }) });
}

function typesOf(proxy: RunningProxy): string[] {
  return [...new Set(recordsOf(auditFile(proxy)).map(({ event_type }) => event_type))];
}

export const auditProblems: readonly ProblemProof[] = [
  {
    symptom: noEvents,
    solution: 1,
    async prove() {
      const off = await audited({ enabled: false });
      await causes.auth_failure?.(off);
      await off.stop();
      expect(typesOf(off)).toEqual([]);
      const modeOf = (proxy: RunningProxy) =>
        proxy.greeting.plan.policies.find(({ name }) => name === "audit")?.mode;
      expect(modeOf(off)).toBe("not configured");
      const on = await audited({ enabled: true });
      expect(modeOf(on)).toBe("enforce");
      await causes.auth_failure?.(on);
      await until("the record", () => typesOf(on).includes("auth_failure"));
      await on.stop();
    },
  },
  { symptom: noEvents, solution: 2, prove: async () => withoutPermission() },
  {
    symptom: noEvents,
    solution: 3,
    async prove() {
      const some = await audited({ events: ["config_change"] });
      await causes.auth_failure?.(some);
      await causes.config_change?.(some);
      await until("the other event", () => typesOf(some).length > 0);
      expect(typesOf(some)).toEqual(["config_change"]);
      await some.stop();
      const events = ["auth_failures"];
      const { code, err } = await check({
        logging: { audit: { enabled: true, file: "logs/audit.log", events } },
      });
      expect(code).toBe(78);
      expect(err).toContain("logging.audit.events");
      expect(err).toContain("auth_failure");
    },
  },
  {
    symptom: noEvents,
    solution: 4,
    async prove() {
      const full = await startOnFullDisk({ events: ["auth_failure"] });
      full.fill();
      const problem = "audit log can't be written";
      await until("the message", async () => {
        await causes.auth_failure?.(full.proxy);
        return full.proxy.stderr().includes(problem);
      });
      expect(full.proxy.stderr()).toMatch(/ENOSPC|EISDIR|no space/i);
      full.free();
      await until("the record", async () => {
        await causes.auth_failure?.(full.proxy);
        return recordsOf(full.log).some(({ result }) => result === "gap");
      });
    },
  },
];

/** Root may write everywhere: then the process is somebody else, as in a container. */
function withoutPermission(): void {
  const dir = makeDir();
  chmodSync(dir, 0o755);
  const [logs, auths] = [join(dir, "logs"), join(dir, "auths")];
  mkdirSync(logs, { mode: 0o755 });
  mkdirSync(auths, { mode: 0o700 });
  const isRoot = process.getuid?.() === 0;
  const nobody = 65_534;
  if (isRoot) chownSync(auths, nobody, nobody);
  else chmodSync(logs, 0o555);
  const file = join(dir, "c.yaml");
  const config = { auth: { dir: auths }, logging: { audit: { enabled: true, file: `${logs}/a` } } };
  writeFileSync(file, JSON.stringify(config));
  const run = (): { status: number | null; stderr: string } =>
    spawnSync(binary, ["serve", "--port", "0", "--config", file], {
      ...{ cwd: dir, encoding: "utf8", timeout: 1000, env: { PATH: process.env.PATH ?? "" } },
      ...(isRoot && { uid: nobody, gid: nobody }),
    });
  const refused = run();
  expect(refused.status).toBe(78);
  const mend = /chown (\d+) (\S+)/.exec(refused.stderr);
  expect(mend?.[2]).toBe(logs);
  if (isRoot) chownSync(logs, Number(mend?.[1]), nobody);
  else chmodSync(logs, 0o755);
  // It serves until the time is up.
  expect(run().status).not.toBe(78);
}
