import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { policyKinds } from "../../src/assembly.ts";
import { allKinds } from "../../src/doctor/areas.ts";
import { createAuthority } from "../harness/certificates.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir, needBinary, runBinary } from "../harness/proxy.ts";

beforeAll(needBinary);
afterAll(cleanUp);

/** What doctor finds where a line of the checklists is not kept; empty: only people can see it. */
const checklist: Readonly<Record<string, readonly string[]>> = {
  "Never commit credentials to version control": ["files-tracked-by-git"],
  "Use pre-commit hooks to scan for secrets": ["checklist-repository"],
  "Enable security headers in development": ["checklist-headers"],
  "Test with different user permissions": ["keys-shared"],
  "Review audit logs regularly": ["checklist-audit"],
  "Use staging-specific credentials": [],
  "Enable all security features": [
    ...["checklist-tls", "checklist-encryption", "checklist-allowlist", "checklist-client-rate"],
    ...["checklist-server-rate", "checklist-headers", "checklist-audit", "checklist-metrics"],
  ],
  "Test rate limiting": ["checklist-client-rate"],
  "Verify TLS configuration": ["checklist-tls"],
  "Monitor security metrics": ["checklist-metrics"],
  "Use production TLS certificates (not self-signed)": ["tls-self-signed"],
  "Enable encryption for credentials": ["checklist-encryption", "credentials-not-encrypted"],
  "Configure IP allowlisting": ["checklist-allowlist"],
  "Set appropriate rate limits": ["checklist-client-rate", "checklist-server-rate"],
  "Enable comprehensive audit logging": ["checklist-audit", "checklist-audit-events"],
  "Set up security alerts": ["checklist-metrics"],
  "Regular security audits": [],
  "Rotate credentials quarterly": ["keys-rotation-due"],
  "Keep dependencies updated": ["checklist-dependencies"],
};

const asked = new Set(Object.values(checklist).flat());
/** What nobody can mend for doctor, and so is told always. */
const always = ["checklist-dependencies", "checklist-repository"];

const guide = resolve(import.meta.dirname, "../../../shared/spec/security-guide.md");

test.if(existsSync(guide))("every line of the guide's checklists is here", () => {
  const lines = [...readFileSync(guide, "utf8").matchAll(/^- \[ \] (.*)$/gm)].map(
    ([, line]) => line,
  );
  expect(Object.keys(checklist)).toEqual(lines as string[]);
});

test("doctor's page names the finding of each line, and says which are for people", () => {
  const known = new Set(allKinds(policyKinds).map(({ id }) => id));
  expect([...asked].filter((id) => !known.has(id))).toEqual([]);
  const page = readFileSync(join(import.meta.dirname, "../../docs/doctor.md"), "utf8");
  const table = /\| the guide \| here \|[\s\S]*?\n\n/.exec(page)?.[0] ?? "";
  for (const [line, ids] of Object.entries(checklist)) {
    const row = table.split("\n").find((one) => one.startsWith(`| ${line} |`)) ?? line;
    for (const id of ids) expect(row).toContain(`\`${id}\``);
    if (ids.length === 0) expect(row).toContain("for people");
  }
});

async function found(dir: string, config: object): Promise<readonly string[]> {
  const file = join(dir, "config.yaml");
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const { out } = await runBinary(["doctor", "--json", "--config", file]);
  const { complete, findings } = JSON.parse(out) as {
    complete: boolean;
    findings: { id: string }[];
  };
  expect(complete).toBe(true);
  return findings.map(({ id }) => id).filter((id) => asked.has(id));
}

function makeHouse(): string {
  const dir = makeDir();
  mkdirSync(join(dir, "auths"), { mode: 0o700 });
  const credential = { type: "api_key", token: "sk-ant-api03-Zk3vQ9xT7mW2Lw8Rb1Tn6Yc" };
  writeFileSync(join(dir, "auths/claude.json"), JSON.stringify(credential), { mode: 0o600 });
  return dir;
}

function writePair(dir: string, { cert, key }: { cert: string; key: string }) {
  writeFileSync(join(dir, "tls.crt"), cert);
  writeFileSync(join(dir, "tls.key"), key, { mode: 0o600 });
  return { enabled: true, cert_file: join(dir, "tls.crt"), key_file: join(dir, "tls.key") };
}

const key = { id: "ci", key: "cpk-Qm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0GpAe" };

describe("a line that is not kept is found, and one that is, is not", () => {
  test("a house with everything left out", async () => {
    const dir = makeHouse();
    const config = {
      server: {
        host: "0.0.0.0",
        security: { headers: { enabled: false } },
      },
      auth: { dir: join(dir, "auths"), api_keys: [key] },
      state: { store: "memory" },
    };
    const long = new Date(Date.now() - 100 * 86_400_000);
    utimesSync(join(dir, "auths/claude.json"), long, long);
    const before = await found(dir, config);
    for (const id of [
      ...["checklist-tls", "checklist-encryption", "checklist-allowlist", "checklist-client-rate"],
      ...["checklist-server-rate", "checklist-headers", "checklist-audit", "checklist-metrics"],
      ...["credentials-not-encrypted", "keys-rotation-due", ...always],
    ]) {
      expect(before).toContain(id);
    }
  });

  test("a certificate signed by itself, and an audit log of one event", async () => {
    const dir = makeHouse();
    const pair = createAuthority().selfSigned("DNS:localhost");
    const audit = { enabled: true, file: join(dir, "a.log"), events: ["auth_failure"] };
    const told = await found(dir, {
      server: { tls: writePair(dir, pair) },
      auth: { dir: join(dir, "auths") },
      ...{ state: { store: "memory" }, logging: { audit } },
    });
    expect(told).toContain("tls-self-signed");
    expect(told).toContain("checklist-audit-events");
    expect(told).not.toContain("checklist-tls");
    expect(told).not.toContain("checklist-audit");
  });

  test("a house that keeps them all", async () => {
    const dir = makeHouse();
    const encryption = { enabled: true, key: "n1Vb0Qx4Zt7Kc9Lw2Rm5Yh8Js3Df6Gp0AqWeEiUoTyM=" };
    const pair = createAuthority().sign("DNS:localhost", 90);
    const rate = { enabled: true, requests_per_second: 10, burst: 20 };
    const config = {
      server: {
        host: "0.0.0.0",
        tls: writePair(dir, pair),
        rate_limit: { ...rate, requests_per_second: 100, burst: 200 },
        security: {
          ip_allowlist: { enabled: true, allowed_ips: ["10.0.0.0/8"] },
          rate_limiting: rate,
        },
      },
      auth: {
        ...{ dir: join(dir, "auths"), encryption },
        api_keys: [key],
      },
      state: { store: "memory" },
      logging: { audit: { enabled: true, file: join(dir, "audit.log") } },
      metrics: { enabled: true },
    };
    await found(dir, config);
    const sealed = await runBinary(["auths", "encrypt", "--config", join(dir, "config.yaml")]);
    expect(sealed.code).toBe(0);
    expect([...(await found(dir, config))].sort()).toEqual([...always].sort());
  });
});
