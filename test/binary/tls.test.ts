import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFile, execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cleanUp } from "../harness/cleanup.ts";
import { shake, suiteOf } from "../harness/handshake.ts";
import {
  clientKey,
  configOf,
  makeDir,
  needBinary,
  type ProxyRuntime,
  programOf,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const runtimes: readonly ProxyRuntime[] = ["binary", "bun", "node", "deno"];
const exec = promisify(execFile);

let dir = "";
beforeEach(() => {
  dir = makeDir();
});

function openssl(...words: readonly string[]): void {
  execFileSync("openssl", words, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
}

/** A certificate signed by itself. */
function make(name: string, more: readonly string[] = [], kind = "ec"): void {
  const key = kind === "ec" ? ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] : [kind];
  const san = ["-addext", `subjectAltName=DNS:localhost,DNS:${name}.test,IP:127.0.0.1`];
  openssl(
    ...["req", "-x509", "-newkey", ...key, "-nodes", "-days", "90", "-subj", `/CN=${name}`],
    ...["-keyout", `${name}.key`, "-out", `${name}.crt`, "-addext", "basicConstraints=CA:FALSE"],
    ...san,
    ...more,
  );
  chmodSync(join(dir, `${name}.key`), 0o600);
}

function tlsOf(name: string, more: Readonly<Record<string, unknown>> = {}) {
  const files = { cert_file: join(dir, `${name}.crt`), key_file: join(dir, `${name}.key`) };
  return { server: { tls: { enabled: true, ...files, ...more } } };
}

const weak = [
  "AES128-SHA",
  "AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
];
const good = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"];

describe.each(runtimes)("handshakes on %s", (runtime) => {
  test("TLS 1.2 and 1.3, good suites, and nothing else", async () => {
    make("a");
    const { url, stop } = await startProxy({ runtime, config: tlsOf("a") });
    expect(url).toStartWith("https://");
    for (const version of ["-tls1", "-tls1_1"]) {
      const told = await shake(url, version, "-cipher", "ALL:@SECLEVEL=0");
      expect(suiteOf(told)).toBe("(NONE)");
    }
    expect(suiteOf(await shake(url, "-tls1_3"))).toStartWith("TLS_");
    for (const suite of [...good, "ECDHE-ECDSA-CHACHA20-POLY1305"]) {
      expect(suiteOf(await shake(url, "-tls1_2", "-cipher", suite))).toBe(suite);
    }
    for (const suite of weak) {
      const told = await shake(url, "-tls1_2", "-cipher", `${suite}:@SECLEVEL=0`);
      expect(suiteOf(told)).toBe("(NONE)");
    }
    const init = { headers: { authorization: `Bearer ${clientKey}` } };
    const reply = await fetch(`${url}/v1/models`, { ...init, tls: { rejectUnauthorized: false } });
    expect(reply.status).toBe(200);
    expect(reply.headers.get("strict-transport-security")).toContain("max-age=");
    await stop();
  }, 30_000);

  test("a client certificate: none, a foreign one, a good one", async () => {
    make("a");
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "c.key",
      "-out",
      "c.csr",
      "-subj",
      "/CN=c",
    );
    writeFileSync(join(dir, "c.ext"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n");
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "9",
        "-keyout",
        "own.key",
        "-out",
        "own.crt",
        "-subj",
        "/CN=own",
      ],
      { cwd: dir, stdio: "ignore" },
    );
    openssl(
      "x509",
      "-req",
      "-in",
      "c.csr",
      "-CA",
      "own.crt",
      "-CAkey",
      "own.key",
      "-CAcreateserial",
      "-days",
      "9",
      "-extfile",
      "c.ext",
      "-out",
      "c.crt",
    );
    const config = tlsOf("a", { client_ca_file: join(dir, "own.crt"), client_auth: "require" });
    const { url, stop } = await startProxy({ runtime, config });
    const ask = async (...words: readonly string[]): Promise<string> => {
      try {
        return (await exec("curl", ["-sk", ...words, `${url}/healthz`], { cwd: dir })).stdout;
      } catch {
        return "refused";
      }
    };
    expect(await ask()).toBe("refused");
    expect(await ask("--cert", "a.crt", "--key", "a.key")).toBe("refused");
    expect(await ask("--cert", "c.crt", "--key", "c.key")).toContain("ok");
    await stop();
  }, 30_000);

  test("renewal without a restart, and a broken pair keeps the old one; names choose", async () => {
    make("a");
    make("b");
    make("d");
    const other = { cert_file: join(dir, "d.crt"), key_file: join(dir, "d.key") };
    const proxy = await startProxy({ runtime, config: tlsOf("a", { certificates: [other] }) });
    const { url } = proxy;
    const subject = async (name = "a.test"): Promise<string> =>
      /subject=(.*)/.exec(await shake(url, "-servername", name))?.[1] ?? "";
    expect(await subject()).toContain("a");
    expect(await subject("d.test")).toContain("d");
    writeFileSync(join(dir, "a.crt"), "broken");
    await until("a refusal", () => proxy.stderr().includes("reload rejected"), 10_000);
    expect(await subject()).toMatch(/CN ?= ?a$/);
    copyFileSync(join(dir, "b.key"), join(dir, "a.key"));
    copyFileSync(join(dir, "b.crt"), join(dir, "next.crt"));
    renameSync(join(dir, "next.crt"), join(dir, "a.crt"));
    await until("the new one", async () => /CN ?= ?b$/.test(await subject()), 10_000);
    await proxy.stop();
  }, 40_000);
});

describe("what is refused at start", () => {
  const cases: readonly [string, () => object, string][] = [
    ["an unknown suite", () => tlsOf("a", { cipher_suites: ["TLS_NONSENSE"] }), "TLS_NONSENSE"],
    ["a suite of TLS 1.3", () => tlsOf("a", { cipher_suites: ["TLS_AES_128_GCM_SHA256"] }), "1.3"],
    ["a weak suite", () => tlsOf("a", { cipher_suites: ["AES128-SHA"] }), "weak"],
    ["an old version", () => tlsOf("a", { min_version: "1.1" }), "min_version"],
    [
      "the guide's RSA suites with an ECDSA key",
      () => tlsOf("a", { cipher_suites: ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"] }),
      "no suite for the ECDSA key",
    ],
    ["a missing file", () => tlsOf("nothing"), "ENOENT"],
    [
      "a key for all",
      () => {
        chmodSync(join(dir, "a.key"), 0o644);
        return tlsOf("a");
      },
      "mode 0644",
    ],
    [
      "another key",
      () => {
        make("b");
        return tlsOf("a", { key_file: join(dir, "b.key") });
      },
      "not the key of the certificate",
    ],
    [
      "a short key",
      () => {
        make("s", [], "rsa:1024");
        return tlsOf("s");
      },
      "1024 bits",
    ],
    [
      "SHA-1",
      () => {
        make("h", ["-sha1"], "rsa:2048");
        return tlsOf("h");
      },
      "SHA-1",
    ],
    ["files without the word", () => tlsOf("a", { enabled: undefined }), "have no effect"],
    ["shadow mode", () => ({ ...tlsOf("a"), policies: { tls: { mode: "shadow" } } }), "open"],
  ];
  test.each(cases)("%s", async (_name, config, told) => {
    make("a");
    const file = join(dir, "config.yaml");
    writeFileSync(file, JSON.stringify(configOf(dir, config() as Record<string, unknown>)));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(code).toBe(78);
    expect(err).toContain(told);
  });

  test("a list of suites on Deno", async () => {
    make("a");
    const file = join(dir, "config.yaml");
    const config = configOf(dir, tlsOf("a", { cipher_suites: [good[0]] }));
    writeFileSync(file, JSON.stringify(config));
    const { code } = await runBinary(["check", "--config", file], { runtime: "deno" });
    expect(code).toBe(78);
    expect(programOf("deno").length).toBeGreaterThan(1);
  });
});

test("`tls new` makes what serves, replaces nothing, and healthcheck asks it", async () => {
  const made = await runBinary([
    "tls",
    "new",
    "--host",
    "localhost",
    "--host",
    "127.0.0.1",
    "--dir",
    dir,
  ]);
  expect(made.code).toBe(0);
  expect((await runBinary(["tls", "new", "--host", "x", "--dir", dir])).code).toBe(1);
  const proxy = await startProxy({ config: tlsOf("tls") });
  const { stdout } = await exec("curl", [
    "-s",
    "--cacert",
    join(dir, "tls.crt"),
    `${proxy.url}/healthz`,
  ]);
  expect(stdout).toContain("ok");
  expect((await runBinary(["healthcheck", "--url", proxy.url])).code).toBe(0);
  await proxy.stop();
});
