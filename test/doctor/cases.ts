import type { Disk } from "../../src/doctor/machine-facts.ts";
import { base, me, nowMs, type World } from "./plant.ts";

const dayMs = 86_400_000;
const state = "state: { store: memory }";
/** The least that starts, and more. */
function least(more: string): string {
  return `auth: { dir: BASE/auths }\n${state}\n${more}\n`;
}
/** Random, and never in use anywhere. */
const key = "cpk-Qm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0GpAe";
const real = "providers: { up: { protocol: openai, base_url: https://up.example, MORE } }";
const clients = (more: string): string =>
  `auth: { dir: BASE/auths, api_keys: [{ id: a, key: "\${K}"${more} }] }\n${state}`;
const disk: Disk = {
  ...{ use: "audit" as const, path: `${base}/logs/audit.log`, type: 0xef53 },
  ...{ freeBytes: 2 ** 40, totalBytes: 2 ** 41, freeFiles: 1e6, totalFiles: 2e6 },
};
const audit = least("logging: { audit: { enabled: true, file: BASE/logs/audit.log } }");
const kept = least(
  "logging: { audit: { enabled: true, file: BASE/logs/audit.log, keep: 9, max_size: 1GiB } }",
);
const inside = { container: "/.dockerenv" } as const;
const status = { uid: me, capabilities: [], noNewPrivileges: true, seccomp: 2, tracer: 0 };
const mount = (point: string, options: string) => ({
  ...{ point, type: "ext4", options: options.split(",") },
});

/** For each finding of doctor's own a world that has it, as bad as it is there. */
export const cases: readonly (readonly [found: string, world: World])[] = [
  ["critical config-broken", { config: "server: { prot: 1 }" }],
  ["critical config-broken", { config: "server: [" }],
  [
    "critical config-broken",
    { config: least("server: { rate_limit: { requests_per_second: 0 } }") },
  ],
  [
    "critical config-broken",
    { config: least("server: { security: { ip_allowlist: { enabled: true, allowed_ips: [] } } }") },
  ],
  ["critical config-broken", { config: least("server: { trusted_proxies: [0.0.0.0/0] }") }],
  ["info config-sandbox", {}],
  ["low config-warning", {}],
  // Files.
  ["high files-auth-dir-mode", { files: { auths: { kind: "directory", mode: 0o755 } } }],
  ["critical files-auth-dir-mode", { files: { auths: { kind: "directory", mode: 0o777 } } }],
  ["medium files-auth-dir-mode", { files: { auths: { kind: "directory", mode: 0o750 } } }],
  [
    "critical files-credential-mode",
    {
      files: {
        auths: { kind: "directory", mode: 0o755 },
        "auths/claude.json": { mode: 0o644 },
      },
    },
  ],
  // Only the directory keeps it from others.
  [
    "medium files-credential-mode",
    { files: { auths: { kind: "directory" }, "auths/claude.json": { mode: 0o644 } } },
  ],
  [
    "critical files-key-mode",
    { files: { auths: { kind: "directory", mode: 0o755 }, "auths/client.key": { mode: 0o604 } } },
  ],
  [
    "high files-key-mode",
    { files: { auths: { kind: "directory", mode: 0o750 }, "auths/client.key": { mode: 0o640 } } },
  ],
  [
    "high files-state-mode",
    { config: "state: { path: BASE/s.db }", files: { "s.db": { mode: 0o644 } } },
  ],
  [
    "high files-state-mode",
    { config: "state: { path: BASE/s.db }", files: { "s.db-wal": { mode: 0o644 } } },
  ],
  ["medium files-audit-mode", { config: audit, files: { "logs/audit.log": { mode: 0o644 } } }],
  [
    "medium files-audit-mode",
    { config: audit, files: { "logs/audit.log.20260101T000000Z.9": { mode: 0o604 } } },
  ],
  ["critical files-config-writable", { files: { "config.yaml": { mode: 0o602 } } }],
  ["high files-config-writable", { files: { "config.yaml": { mode: 0o620 } } }],
  [
    "critical files-config-readable",
    { config: least(`management: { key: ${key} }`), files: { "config.yaml": { mode: 0o644 } } },
  ],
  ["critical files-program-writable", { files: { cliproxy: { mode: 0o777 } } }],
  ["high files-owner", { files: { "auths/claude.json": { uid: 7 } } }],
  ["low files-owner", { files: { "config.yaml": { uid: 7 } } }],
  ["critical files-parent-writable", { files: { [base]: { kind: "directory", mode: 0o777 } } }],
  [
    "medium files-parent-writable",
    { files: { [base]: { kind: "directory", mode: 0o775, gid: 50 } } },
  ],
  ["medium files-parent-owner", { files: { [base]: { kind: "directory", uid: 7 } } }],
  [
    "high files-link",
    { files: { "auths/claude.json": { target: "/elsewhere/x" }, "/elsewhere/x": {} } },
  ],
  ["medium files-link-broken", { files: { "auths/claude.json": { target: "/nowhere/x" } } }],
  ["medium files-odd", { files: { "auths/claude.json": { kind: "other" } } }],
  ["low files-stray", { files: { "auths/claude.json.bak": {} } }],
  ["high files-unreadable", { files: { auths: { error: "EACCES" } } }],
  [
    "critical files-tracked-by-git",
    {
      files: {
        ".git": { kind: "directory" },
        ".git/index": { text: `DIRC..\u0011auths/claude.json\0..` },
        "auths/claude.json": {},
      },
    },
  ],
  // Secrets.
  ["high secrets-literal", { config: least(`management: { key: ${key} }`) }],
  ["high secrets-pasted", { config: least("# was: sk-ant-api03-abcdefgh12345678") }],
  ["high secrets-pasted", { config: least("# was: 4f3c2a1b9e8d7c6f5a4b3c2d1e0f9a8b") }],
  [
    "high secrets-pasted",
    { config: least(`${real.replace("MORE", `api_key: "\${K:-${key.slice(4)}}"`)}`) },
  ],
  ["medium secrets-plaintext", { files: { "auths/claude.json": { text: '{"token":"t"}' } } }],
  [
    "medium secrets-placeholder",
    { files: { "auths/claude.json": { text: '{"type":"api_key","token":"sk-ant-xxxxx"}' } } },
  ],
  [
    "medium secrets-placeholder",
    {
      config: least(real.replace("MORE", `api_key: "\${K}"`)),
      env: { K: "your-api-key-here-please" },
    },
  ],
  ["low secrets-unread-variable", { env: { OLD_API_KEY: "0123456789abcdef0123" } }],
  // Keys.
  ["medium keys-client-weak", { config: clients(""), env: { K: "kd83nfq0xm2v7bz1" } }],
  [
    "high keys-management-weak",
    { config: least(`management: { key: "\${K}" }`), env: { K: "kd83nfq0xm2v7bz1" } },
  ],
  ["high keys-reused", { config: `${clients("")}\nmanagement: { key: "\${K}" }`, env: { K: key } }],
  ["low keys-expired", { config: clients(", expires: 2026-01-01T00:00:00Z"), env: { K: key } }],
  ["low keys-expiring", { config: clients(", expires: 2026-12-01T00:00:00Z"), env: { K: key } }],
  ["medium keys-admit-nothing", { config: clients(", models: []"), env: { K: key } }],
  ["low keys-shared", {}],
  [
    "medium keys-in-query",
    { config: `auth: { dir: BASE/auths, allow_query_key: true }\n${state}` },
  ],
  ["low keys-rotation-due", { files: { "auths/claude.json": { mtimeMs: nowMs - 92 * dayMs } } }],
  // Exposure.
  ["critical exposure-plain-http", { config: least("server: { host: 0.0.0.0 }") }],
  ["critical exposure-plain-http", { config: least('server: { host: "::" }') }],
  ["critical exposure-plain-http", { config: least("server: { host: proxy.example }") }],
  ["high exposure-plain-http", { config: least("server: { host: 10.1.2.3 }") }],
  [
    "medium exposure-plain-http",
    { config: least("server: { host: 0.0.0.0, trusted_proxies: [10.0.0.1] }") },
  ],
  [
    "critical exposure-management",
    {
      config: least("server: { host: 10.1.2.3 }\nmanagement: { allowed_ips: [0.0.0.0/0] }"),
    },
  ],
  ["low exposure-management", { config: least("management: { allowed_ips: [0.0.0.0/0] }") }],
  ["medium exposure-metrics", { config: least("metrics: { enabled: true, host: 0.0.0.0 }") }],
  ["low exposure-metrics", { config: least("metrics: { enabled: true, host: 10.1.2.3 }") }],
  ["critical exposure-proxies-wide", { config: least("server: { trusted_proxies: [0.0.0.0/1] }") }],
  [
    "medium exposure-proxies-public",
    { config: least("server: { trusted_proxies: [203.0.0.0/16] }") },
  ],
  [
    "high exposure-upstream-plain",
    {
      config: least(
        "providers: { up: { protocol: openai, base_url: http://up.example, allow_insecure: true } }",
      ),
    },
  ],
  ["critical exposure-tls-unverified", { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0" } }],
  ["high exposure-injected-code", { env: { NODE_OPTIONS: "--inspect=0.0.0.0" } }],
  ["high exposure-injected-code", { env: { LD_PRELOAD: "/x.so" } }],
  ["info exposure-environment-proxy", { env: { HTTPS_PROXY: "http://proxy.example:3128" } }],
  [
    "medium exposure-policy-off",
    { config: least("policies: { security-headers: { mode: off } }".replace("off", '"off"')) },
  ],
  ["low exposure-policy-shadow", { config: least("policies: { detections: { mode: shadow } }") }],
  [
    "info exposure-allowlist-open",
    {
      config: least(
        "server: { security: { ip_allowlist: { allowed_ips: [10.0.0.0/8], deny_all: false } } }",
      ),
    },
  ],
  // Limits.
  [
    "medium limits-tokens-below-request",
    { config: least(real.replace("MORE", "rate_limit: { tokens_per_minute: 4095 }")) },
  ],
  [
    "medium limits-client-above-server".replace("medium", "low"),
    {
      config: least(
        "server: { rate_limit: { requests_per_second: 5 }, security: { rate_limiting: { requests_per_second: 5 } } }",
      ),
    },
  ],
  [
    "high limits-nobody-admitted",
    {
      config: least(
        "server: { security: { ip_allowlist: { allowed_ips: [10.1.0.0/16] }, ip_denylist: { denied_ips: [10.0.0.0/8] } } }",
      ),
    },
  ],
  [
    "high limits-nobody-admitted",
    { config: least("server: { security: { ip_denylist: { denied_ips: [0.0.0.0/0] } } }") },
  ],
  ["info limits-maintenance", { config: least("server: { maintenance_mode: true }") }],
  ["medium limits-open-files", { machine: { openFiles: 1024 } }],
  ["high limits-memory", { machine: { memoryLimitBytes: 128 * 1024 ** 2 } }],
  [
    "medium limits-quota-below-request",
    {
      config: `auth: { dir: BASE/auths }
state: { path: BASE/s.db }
server: { limits: { max_output_tokens: 32000 } }
${real.replace("MORE", "quota: { limit: 31999, reset: hourly }")}`,
    },
  ],
  // Machine.
  ["high machine-clock-wrong", { nowMs: Date.UTC(1970, 0, 1) }],
  ["low machine-clock-unsynchronised", { machine: { isClockSynchronized: false } }],
  ["medium machine-clock-future", { files: { "auths/a.json": { mtimeMs: nowMs + 301_000 } } }],
  ["high machine-disk-full", { machine: { disks: [{ ...disk, freeBytes: 64 * 1024 ** 2 - 1 }] } }],
  ["high machine-disk-full", { machine: { disks: [{ ...disk, freeFiles: 99 }] } }],
  [
    "medium machine-disk-short",
    { config: kept, machine: { disks: [{ ...disk, freeBytes: 2e9 }] } },
  ],
  ["low machine-audit-unbounded", { config: audit, machine: { disks: [disk] } }],
  ["medium machine-disk-volatile", { machine: { disks: [{ ...disk, type: 0x01021994 }] } }],
  ["medium machine-core-dumps", { machine: { coreBytes: Number.POSITIVE_INFINITY } }],
  ["high machine-traced", { machine: { status: { ...status, tracer: 9 } } }],
  ["low machine-ptrace", { machine: { ptraceScope: 0 } }],
  ["low machine-addresses", { machine: { randomized: 1 } }],
  ["info machine-swap", { machine: { hasSwap: true } }],
  // Container.
  ["high container-root", { machine: { status: { ...status, uid: 0 } } }],
  ["medium container-capabilities", { machine: { status: { ...status, capabilities: [0, 10] } } }],
  ["high container-capabilities", { machine: { status: { ...status, capabilities: [21] } } }],
  [
    "medium container-new-privileges",
    { machine: { status: { ...status, noNewPrivileges: false } } },
  ],
  ["medium container-seccomp", { machine: { ...inside, status: { ...status, seccomp: 0 } } }],
  ["low container-seccomp", { machine: { status: { ...status, seccomp: 0 } } }],
  ["medium container-writable-root", { machine: { ...inside, mounts: [mount("/", "rw")] } }],
  [
    "low container-tmp-exec",
    { machine: { ...inside, mounts: [mount("/", "ro"), mount("/tmp", "rw,nosuid")] } },
  ],
  [
    "low container-writable-mount",
    { machine: { ...inside, mounts: [mount("/", "ro"), mount("/config", "rw")] } },
  ],
  ["critical container-docker-socket", { machine: { ...inside, hasDockerSocket: true } }],
  [
    "low container-memory-unlimited",
    { machine: { container: "/.dockerenv", memoryLimitBytes: undefined } },
  ],
  // Checklist.
  ["medium checklist-tls", { config: least("server: { host: 0.0.0.0 }") }],
  ["info checklist-tls", {}],
  ["low checklist-encryption", {}],
  ["medium checklist-encryption", { files: { "auths/a.json": { text: "{}" } } }],
  ["medium checklist-allowlist", { config: least("server: { host: 0.0.0.0 }") }],
  ["medium checklist-client-rate", { config: least("server: { host: 0.0.0.0 }") }],
  ["low checklist-server-rate", {}],
  ["low checklist-provider-rate", { config: least(real.replace("MORE", "models: [m]")) }],
  ["low checklist-quota", { config: least(real.replace("MORE", "models: [m]")) }],
  [
    "medium checklist-headers",
    { config: least("server: { security: { headers: { enabled: false } } }") },
  ],
  [
    "low checklist-headers",
    { config: least("server: { security: { headers: { frame_options: false } } }") },
  ],
  ["medium checklist-audit", {}],
  [
    "low checklist-audit-events",
    {
      config: least(
        "logging: { audit: { enabled: true, file: BASE/logs/audit.log, events: [auth_failure] } }",
      ),
    },
  ],
  ["info checklist-audit-required", { config: audit }],
  ["low checklist-metrics", {}],
  ["info checklist-dependencies", {}],
  ["info checklist-repository", {}],
];

/** Worlds that look like one with a finding, and are not: the id must not appear. */
export const sound: readonly (readonly [id: string, why: string, world: World])[] = [
  ["files-auth-dir-mode", "0700", { files: { auths: { kind: "directory", mode: 0o700 } } }],
  ["files-credential-mode", "0400", { files: { "auths/a.json": { mode: 0o400 } } }],
  ["files-owner", "root's", { files: { "auths/a.json": { uid: 0 } } }],
  ["files-parent-writable", "sticky", { files: { [base]: { kind: "directory", mode: 0o1777 } } }],
  [
    "files-link",
    "within, as Kubernetes mounts it",
    { files: { "auths/a.json": { target: `${base}/auths/..data` }, "auths/..data": {} } },
  ],
  [
    "files-tracked-by-git",
    "another file whose path ends so",
    {
      files: {
        ".git": { kind: "directory" },
        ".git/index": { text: `DIRC..\u0019example/auths/claude.json\0..` },
        "auths/claude.json": {},
      },
    },
  ],
  ["files-config-readable", "no secret", { files: { "config.yaml": { mode: 0o644 } } }],
  [
    "secrets-pasted",
    "a digest of a key",
    {
      config: `auth: { dir: BASE/auths, api_keys: [{ id: a, key_sha256: ${"4f3c2a1b9e8d7c6f".repeat(4)} }] }\n${state}`,
    },
  ],
  ["secrets-pasted", "a model", { config: least("# claude-sonnet-4-5-20250929, gpt-4o-mini") }],
  ["secrets-pasted", "a variable", { config: least('# "${ANTHROPIC_API_KEY_2025_PRODUCTION}"') }],
  [
    "secrets-plaintext",
    "an envelope",
    { files: { "auths/a.json": { text: '{"v":1,"alg":"A256GCM","n":"x","ct":"y"}' } } },
  ],
  [
    "secrets-unread-variable",
    "named by the configuration",
    { config: `${clients("")}`, env: { K: key, CLIPROXY_MANAGEMENT_KEY: key } },
  ],
  ["keys-client-weak", "random", { config: clients(""), env: { K: key } }],
  [
    "keys-rotation-due",
    "of this quarter",
    { files: { "auths/a.json": { mtimeMs: nowMs - dayMs } } },
  ],
  ["exposure-plain-http", "loopback", { config: least("server: { host: 127.0.0.2 }") }],
  [
    "exposure-proxies-wide",
    "private",
    { config: least("server: { trusted_proxies: [10.0.0.0/8] }") },
  ],
  [
    "exposure-proxies-public",
    "single address",
    { config: least("server: { trusted_proxies: [203.0.113.7] }") },
  ],
  ["exposure-injected-code", "harmless", { env: { NODE_OPTIONS: "--max-old-space-size=256" } }],
  [
    "limits-tokens-below-request",
    "as much as one reserves",
    { config: least(real.replace("MORE", "rate_limit: { tokens_per_minute: 4096 }")) },
  ],
  ["limits-open-files", "just enough", { machine: { openFiles: 2 * 2048 + 64 } }],
  ["limits-memory", "the documented 256 MiB", { machine: { memoryLimitBytes: 256 * 1024 ** 2 } }],
  ["machine-clock-future", "five minutes", { files: { "auths/a.json": { mtimeMs: nowMs + 3e5 } } }],
  ["machine-disk-full", "enough", { machine: { disks: [{ ...disk, freeBytes: 64 * 1024 ** 2 }] } }],
  [
    "container-capabilities",
    "the one that the guide adds",
    { machine: { status: { ...status, capabilities: [10] } } },
  ],
  ["container-writable-root", "outside of one", { machine: { mounts: [mount("/", "rw")] } }],
  [
    "container-tmp-exec",
    "noexec",
    { machine: { ...inside, mounts: [mount("/", "ro"), mount("/tmp", "rw,noexec")] } },
  ],
  [
    "container-writable-mount",
    "where the log is",
    {
      config: audit,
      machine: {
        ...inside,
        disks: [disk],
        mounts: [mount("/", "ro"), mount(`${base}/logs`, "rw")],
      },
    },
  ],
];
