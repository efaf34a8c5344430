import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { makeSelfSigned } from "../../src/kit/self-signed.ts";
import { type KeyKind, suites } from "../../src/kit/tls-suites.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { curl, shake, suiteOf } from "../harness/handshake.ts";
import {
  configOf,
  makeDir,
  needBinary,
  type ProxyRuntime,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";

let dir = "";
beforeAll(async () => {
  needBinary();
  dir = makeDir();
  const { cert, key } = await makeSelfSigned(["ecdsa.test", "localhost"], 30, Date.now());
  writeFileSync(join(dir, "ECDSA.crt"), cert);
  writeFileSync(join(dir, "ECDSA.key"), key, { mode: 0o600 });
  const san = ["-addext", "subjectAltName=DNS:rsa.test,DNS:localhost"];
  const files = ["-keyout", "RSA.key", "-out", "RSA.crt", "-days", "30", "-subj", "/CN=rsa"];
  const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files, ...san];
  execFileSync("openssl", words, { cwd: dir, stdio: "ignore" });
  execFileSync("chmod", ["600", "RSA.key"], { cwd: dir });
});
afterAll(cleanUp);

function tls(kind: KeyKind, more: Readonly<Record<string, unknown>> = {}) {
  const files = { cert_file: join(dir, `${kind}.crt`), key_file: join(dir, `${kind}.key`) };
  return { server: { tls: { enabled: true, ...files, ...more } } };
}

/** All that OpenSSL can offer, also what nobody should take. */
const offered: readonly string[] = execFileSync("openssl", [
  ...["ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
])
  .toString()
  .trim()
  .split(":");

/** The suites that a listener takes, found by offering what it did not take before. */
async function taken(url: string): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const left = offered.filter((suite) => !found.includes(suite)).join(":");
    const suite = suiteOf(await shake(url, "-tls1_2", "-cipher", `${left}:@SECLEVEL=0`));
    if (!offered.includes(suite)) return found;
    found.push(suite);
  }
}

test("OpenSSL offers what is weak, so that it can be refused", () => {
  expect(offered.length).toBeGreaterThan(60);
  for (const weak of ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"]) {
    expect(offered).toContain(weak);
  }
});

const choosing: readonly ProxyRuntime[] = ["binary", "node"];

describe.each(choosing)("a list of one on %s: that suite and no other", (runtime) => {
  test.each(suites)(
    "$iana",
    async ({ iana, openssl, key }) => {
      // Both of its names mean the same.
      for (const name of [iana, openssl]) {
        const config = tls(key, { cipher_suites: [name] });
        const { url, stop } = await startProxy({ runtime, config });
        expect(await taken(url)).toEqual([openssl]);
        // TLS 1.3 has its own three, whatever the list says.
        expect(suiteOf(await shake(url, "-tls1_3"))).toStartWith("TLS_");
        await stop();
      }
    },
    30_000,
  );
});

const all: readonly ProxyRuntime[] = ["binary", "node", "deno"];

describe.each(all)("on %s", (runtime) => {
  test.each(["ECDSA", "RSA"] as const)(
    "no list, %s: the good ones, and no other",
    async (kind) => {
      const { url, stop } = await startProxy({ runtime, config: tls(kind) });
      const good = suites.filter(({ key }) => key === kind).map(({ openssl }) => openssl);
      expect((await taken(url)).sort()).toEqual(good.sort());
      await stop();
    },
    30_000,
  );

  test("min_version 1.3: a client of 1.2 is refused", async () => {
    const config = tls("ECDSA", { min_version: "1.3" });
    const { url, stop } = await startProxy({ runtime, config });
    expect(await taken(url)).toEqual([]);
    expect(suiteOf(await shake(url, "-tls1_3"))).toStartWith("TLS_");
    await stop();
  });

  test("an ECDSA and an RSA certificate: each for its name, or a start-up error", async () => {
    const { server } = tls("RSA");
    const { cert_file, key_file } = server.tls;
    const config = tls("ECDSA", { certificates: [{ cert_file, key_file, hosts: ["rsa.test"] }] });
    if (runtime === "node") {
      const file = join(dir, "config.yaml");
      writeFileSync(file, JSON.stringify(configOf(dir, config)));
      const { code, err } = await runBinary(["check", "--config", file], { runtime });
      expect([code, err]).toEqual([78, expect.stringContaining("would show the wrong one")]);
      return;
    }
    const { url, stop } = await startProxy({ runtime, config });
    for (const [name, kind] of [
      ["rsa.test", "RSA"],
      ["ecdsa.test", "ECDSA"],
    ] as const) {
      const suite = suiteOf(await shake(url, "-tls1_2", "-servername", name));
      expect(suite).toStartWith(`ECDHE-${kind}-`);
    }
    await stop();
  });

  test("plain HTTP, noise and half a hello on the port of TLS: closed, and it lives", async () => {
    const { url, stop } = await startProxy({ runtime, config: tls("ECDSA") });
    const port = Number(new URL(url).port);
    const hello = Buffer.from("1603010200010001fc0303", "hex");
    for (const bytes of ["GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", "\0".repeat(500), hello]) {
      const told = await sendPlain(port, bytes);
      expect(told).not.toContain("200");
      expect(told).not.toContain("cliproxy");
    }
    expect(await curl(`${url}/healthz`, "-k")).toContain("ok");
    await stop();
  }, 30_000);
});

/** What comes back for bytes that are no TLS; half a hello is let go by us. */
function sendPlain(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let told = "";
    const socket = connect(port, "127.0.0.1", () => void socket.write(bytes));
    const end = (): void => void socket.destroy();
    if (typeof bytes !== "string") setTimeout(end, 200);
    socket.on("data", (data) => {
      told += data.toString("latin1");
    });
    socket.on("error", end);
    socket.on("close", () => resolve(told));
    socket.on("end", end);
  });
}
