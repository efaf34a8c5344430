import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDir, runBinary } from "../harness/proxy.ts";
import { callFrom, statusFrom } from "./asking.ts";
import { check, type ProblemProof, start } from "./problem-proof.ts";
import type { Yaml } from "./prove.ts";

const list = (allowed_ips: readonly string[], more: Yaml = {}): Yaml => ({
  server: { security: { ip_allowlist: { enabled: true, allowed_ips }, ...more } },
});

async function refusalOf(config: Yaml, ip: string): Promise<{ code: string; message: string }> {
  const proxy = await start(config);
  const reply = await callFrom(proxy, ip);
  expect(reply.status).toBe(403);
  const { error } = (await reply.json()) as { error: { code: string; message: string } };
  await proxy.stop();
  return error;
}

async function passes(config: Yaml, ip: string): Promise<void> {
  const proxy = await start(config);
  expect(await statusFrom(proxy, ip)).toBe(200);
  await proxy.stop();
}

const noAccess = "Can't access from allowed IP";
export const accessProblems: readonly ProblemProof[] = [
  {
    symptom: noAccess,
    solution: 1,
    async prove() {
      const { message } = await refusalOf(list(["10.0.0.0/8"]), "198.51.100.7");
      expect(message).toContain("198.51.100.7");
      expect(message).toContain("server.security.ip_allowlist.allowed_ips");
      await passes(list(["10.0.0.0/8", "198.51.100.7"]), "198.51.100.7");
    },
  },
  {
    symptom: noAccess,
    solution: 2,
    async prove() {
      for (const [text, told] of [
        ["10.0.0.0/33", "0 to 32"],
        ["010.0.0.0/8", "decimal"],
        ["10.0.0.0-10.0.0.9", "a range like 10.0.0.0/8"],
      ] as const) {
        const { code, err } = await check(list([text]));
        expect([text, code]).toEqual([text, 78]);
        expect(err).toContain("server.security.ip_allowlist.allowed_ips");
        expect(err).toContain(told);
      }
      // Bits behind the prefix do nothing: said, not refused.
      const proxy = await start(list(["10.1.2.3/8"]));
      expect(proxy.stderr()).toContain("10.0.0.0/8");
      expect(await statusFrom(proxy, "10.200.0.1")).toBe(200);
      await proxy.stop();
    },
  },
  {
    symptom: noAccess,
    solution: 3,
    async prove() {
      const { code, err } = await check(list([]));
      expect(code).toBe(78);
      expect(err).toContain("enabled: false");
      await passes({ server: { security: { ip_allowlist: { enabled: false } } } }, "8.8.8.8");
      // The plan says whether it is on.
      const dir = makeDir();
      for (const enabled of [true, false]) {
        const all = { enabled, allowed_ips: ["10.0.0.0/8"] };
        const config = { auth: { dir: "auths" }, server: { security: { ip_allowlist: all } } };
        writeFileSync(join(dir, "c.yaml"), JSON.stringify(config));
        const args = ["policies", "plan", "--json", "--config", join(dir, "c.yaml")];
        const { policies } = JSON.parse((await runBinary(args)).out) as {
          policies: { name: string; mode: string }[];
        };
        const { mode } = policies.find(({ name }) => name === "ip-allowlist") ?? {};
        expect(mode).toBe(enabled ? "enforce" : "not configured");
      }
    },
  },
  {
    symptom: noAccess,
    solution: 4,
    async prove() {
      const deny = { ip_denylist: { enabled: true, denied_ips: ["10.1.0.0/16"] } };
      const { code, message } = await refusalOf(list(["10.0.0.0/8"], deny), "10.1.2.3");
      expect([code, message]).toEqual(["address_denied", expect.stringContaining("denylist")]);
      await passes(list(["10.0.0.0/8"]), "10.1.2.3");
    },
  },
];
