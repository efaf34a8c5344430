/**
 * What scanners that nobody here wrote say of the executable's TLS: sslscan and testssl.sh, both in
 * Debian. A tool that is missing fails the run, and says how to get it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeSelfSigned } from "../../src/kit/self-signed.ts";
import { suites } from "../../src/kit/tls-suites.ts";
import { makeGuidePair } from "../guide/prove.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";

const exec = promisify(execFile);

beforeAll(async () => {
  needBinary();
  for (const tool of ["sslscan", "testssl"]) {
    const { stdout } = await exec("sh", ["-c", `command -v ${tool} || true`]);
    if (stdout === "") throw new Error(`${tool} is missing: apt-get install sslscan testssl.sh`);
  }
});
afterAll(cleanUp);

async function ecdsa(dir: string) {
  const { cert, key } = await makeSelfSigned(["localhost", "127.0.0.1"], 90, Date.now());
  const [cert_file, key_file] = [join(dir, "tls.crt"), join(dir, "tls.key")];
  writeFileSync(cert_file, cert);
  writeFileSync(key_file, key, { mode: 0o600 });
  return { cert_file, key_file };
}

const three = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const allOf = (key: string): string[] =>
  suites.flatMap((one) => (one.key === key ? [one.openssl] : []));

interface Scan {
  readonly versions: readonly string[];
  readonly suites: readonly string[];
  readonly heartbleed: boolean;
}

/** The versions and suites that sslscan got an agreement on. */
async function sslscan({ url }: RunningProxy): Promise<Scan> {
  const at = url.replace("https://", "");
  const { stdout } = await exec("sslscan", ["--no-colour", at]);
  const versions = [...stdout.matchAll(/^(SSLv\d|TLSv1\.\d)\s+enabled$/gm)];
  const found = [...stdout.matchAll(/^(?:Preferred|Accepted)\s+\S+\s+\d+ bits\s+(\S+)/gm)];
  return {
    versions: versions.map(([, version = ""]) => version),
    suites: [...new Set(found.map(([, suite = ""]) => suite))].sort(),
    heartbleed: / vulnerable to heartbleed/.test(stdout.replaceAll("not vulnerable", "")),
  };
}

describe("sslscan", () => {
  const cases = [
    ["ECDSA, no list", ecdsa, {}, [...allOf("ECDSA"), ...three], ["TLSv1.2", "TLSv1.3"]],
    ["RSA, no list", makeGuidePair, {}, [...allOf("RSA"), ...three], ["TLSv1.2", "TLSv1.3"]],
    [
      "the guide's list",
      makeGuidePair,
      {
        cipher_suites: [
          "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
          "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ],
      },
      ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", ...three],
      ["TLSv1.2", "TLSv1.3"],
    ],
    ["min_version 1.3", ecdsa, { min_version: "1.3" }, three, ["TLSv1.3"]],
  ] as const;
  test.each(cases)(
    "%s: exactly these versions and suites",
    async (_name, make, more, expected, versions) => {
      const server = { tls: { enabled: true, ...(await make(makeDir())), ...more } };
      const proxy = await startProxy({ config: { server } });
      const scan = await sslscan(proxy);
      expect(scan.versions).toEqual([...versions]);
      expect(scan.suites).toEqual([...expected].sort());
      expect(scan.heartbleed).toBe(false);
      await proxy.stop();
    },
    120_000,
  );
});

interface Told {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/** What is said of a certificate that the tests sign themselves, or of DNS, says nothing of us. */
const notOurs =
  /^(?:cert_|DNS_|overall_|pre_|scanProblem|engine_problem|scanTime|host_cert|final_score|grade)/;

test("testssl.sh finds nothing above low", async () => {
  const dir = makeDir();
  const server = { tls: { enabled: true, ...(await ecdsa(dir)) } };
  const proxy = await startProxy({ config: { server } });
  const report = join(dir, "report.json");
  const words = ["--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", report];
  const at = proxy.url.replace("https://", "");
  await exec("testssl", [...words, "--protocols", "--std", "--fs", "--vulnerable", at], {
    maxBuffer: 2 ** 26,
  }).catch((error: { code?: number; stderr?: string }) => {
    // Its exit code counts findings.
    if (error.code === undefined) throw error;
  });
  const told = JSON.parse(readFileSync(report, "utf8")) as Told[];
  expect(told.length).toBeGreaterThan(30);
  const bad = told.filter(
    ({ id, severity }) => /^(?:MEDIUM|HIGH|CRITICAL)$/.test(severity) && !notOurs.test(id),
  );
  expect(bad).toEqual([]);
  const of = (id: string): string => told.find((one) => one.id === id)?.finding ?? "";
  for (const version of ["SSLv2", "SSLv3", "TLS1", "TLS1_1"]) {
    expect(of(version)).toContain("not offered");
  }
  for (const version of ["TLS1_2", "TLS1_3"]) expect(of(version)).toStartWith("offered");
  await proxy.stop();
}, 600_000);
