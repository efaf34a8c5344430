import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeSelfSigned } from "../../src/kit/self-signed.ts";
import { certificateBlock } from "../../src/kit/tls-pair.ts";
import { freePort } from "../guide/prove.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { curl, shake } from "../harness/handshake.ts";
import {
  clientKey,
  configOf,
  makeDir,
  needBinary,
  type ProxyRuntime,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { rawExchange } from "../harness/raw.ts";
import { until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const dayMs = 86_400_000;
const runtimes: readonly ProxyRuntime[] = ["binary", "node", "deno"];

/** Writes a pair for some names, valid for so many days from a day on. */
async function writePair(
  dir: string,
  hosts: readonly string[],
  days = 30,
  fromMs = Date.now(),
): Promise<{ readonly cert_file: string; readonly key_file: string }> {
  const { cert, key } = await makeSelfSigned(hosts, days, fromMs);
  mkdirSync(dir, { recursive: true });
  const [cert_file, key_file] = [join(dir, "tls.crt"), join(dir, "tls.key")];
  writeFileSync(cert_file, cert);
  writeFileSync(key_file, key, { mode: 0o600 });
  return { cert_file, key_file };
}

/** Names in the certificate that a client of a name is shown. */
async function shown(url: string, name: string): Promise<string> {
  const told = await shake(url, "-servername", name);
  const [pem] = told.match(certificateBlock) ?? [];
  // While a listener takes over, a handshake may find nobody.
  if (pem === undefined) return "";
  return /DNS:[^,]+/.exec(new X509Certificate(pem).subjectAltName ?? "")?.[0] ?? "";
}

describe.each(runtimes)("on %s", (runtime) => {
  test("a mount of Kubernetes that swaps its link is taken over", async () => {
    const dir = makeDir();
    await writePair(join(dir, "first"), ["first.test"]);
    await writePair(join(dir, "second"), ["second.test"]);
    symlinkSync("first", join(dir, "..data"));
    for (const file of ["tls.crt", "tls.key"]) symlinkSync(`..data/${file}`, join(dir, file));
    const files = { cert_file: join(dir, "tls.crt"), key_file: join(dir, "tls.key") };
    const server = { tls: { enabled: true, ...files } };
    const { url, stop } = await startProxy({ runtime, config: { server } });
    expect(await shown(url, "x")).toContain("first.test");
    symlinkSync("second", join(dir, "..next"));
    renameSync(join(dir, "..next"), join(dir, "..data"));
    await until("the second", async () => (await shown(url, "x")).includes("second.test"), 10_000);
    await stop();
  }, 30_000);

  test("a stream that runs goes on through a renewal, and the end closes all", async () => {
    const dir = makeDir();
    const files = await writePair(dir, ["a.test", "localhost"]);
    const server = { tls: { enabled: true, ...files }, drain_timeout: "20s" };
    const config = { server, providers: { sandbox: {} } };
    const { url, stop } = await startProxy({ runtime, config });
    const body = {
      ...{ model: "sandbox-echo", stream: true },
      messages: [{ role: "user", content: "word ".repeat(2000) }],
    };
    const reply = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${clientKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      tls: { rejectUnauthorized: false },
    });
    const reader = reply.body?.getReader();
    let text = new TextDecoder().decode((await reader?.read())?.value);
    await writePair(dir, ["b.test", "localhost"]);
    await until("the new one", async () => (await shown(url, "x")).includes("b.test"), 10_000);
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) break;
      text += new TextDecoder().decode(value);
    }
    expect(text).toEndWith("data: [DONE]\n\n");
    expect(await stop()).toBe(0);
    expect(await curl(`${url}/healthz`, "-k")).toBe(7);
  }, 40_000);

  test("names choose, also by `*` for one label, and the first for all others", async () => {
    const dir = makeDir();
    const usual = await writePair(join(dir, "usual"), ["usual.test"]);
    const wild = await writePair(join(dir, "wild"), ["*.wild.test"]);
    const own = await writePair(join(dir, "own"), ["any.test"]);
    const certificates = [wild, { ...own, hosts: ["own.test"] }];
    const server = { tls: { enabled: true, ...usual, certificates } };
    const { url, stop } = await startProxy({ runtime, config: { server } });
    const asked = [
      "a.wild.test",
      "A.WILD.test",
      "a.b.wild.test",
      "wild.test",
      "own.test",
      "any.test",
    ];
    const told = await Promise.all(asked.map((name) => shown(url, name)));
    expect(told).toEqual([
      ...["DNS:*.wild.test", "DNS:*.wild.test", "DNS:usual.test", "DNS:usual.test"],
      ...["DNS:any.test", "DNS:usual.test"],
    ]);
    await stop();
  }, 30_000);
});

test("plain HTTP is sent on to names of the certificate, and nowhere else", async () => {
  const dir = makeDir();
  const files = await writePair(dir, ["proxy.test", "localhost"]);
  const port = await freePort();
  const server = { port, tls: { enabled: true, ...files, http_redirect_port: 0 } };
  const proxy = await startProxy({ config: { server } });
  const plain = proxy.greeting.listeners.redirect ?? "";
  const ask = (host: string, target = "/v1/models?a=b"): Promise<string> =>
    rawExchange(new URL(plain).origin, "GET", target, [["host", host]], undefined, "127.0.0.1");
  expect(await ask("proxy.test:80")).toContain(
    `Location: https://proxy.test:${port}/v1/models?a=b`,
  );
  for (const host of ["evil.test", "proxy.test.evil.test", "proxy.test@evil.test", "a b"]) {
    const told = await ask(host);
    expect(told).not.toContain("https://");
    expect(told).toMatch(/^HTTP\/1.1 4\d\d/);
  }
  // HSTS is for TLS only (RFC 6797, 7.2).
  expect((await ask("proxy.test")).toLowerCase()).not.toContain("strict-transport-security");
  await proxy.stop();
});

describe("what a clock says of a certificate:", () => {
  const cases: readonly (readonly [string, number, number, string])[] = [
    ["over", 30, Date.now() - 40 * dayMs, "the certificate ended on"],
    ["not yet valid", 30, Date.now() + 9 * dayMs, "is not valid before"],
  ];
  test.each(cases)("%s: refused", async (_name, days, fromMs, told) => {
    const dir = makeDir();
    const files = await writePair(dir, ["localhost"], days, fromMs);
    const file = join(dir, "config.yaml");
    const server = { tls: { enabled: true, ...files } };
    writeFileSync(file, JSON.stringify(configOf(dir, { server })));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(code).toBe(78);
    expect(err).toContain(told);
  });

  test("near its end: told by log, doctor and gauge", async () => {
    const dir = makeDir();
    const files = await writePair(dir, ["localhost"], 5);
    const config = {
      server: { tls: { enabled: true, ...files } },
      metrics: { enabled: true, port: 0 },
    };
    const proxy = await startProxy({ config });
    expect(proxy.stderr()).toContain("a certificate ends soon");
    const metrics = await (await fetch(proxy.greeting.listeners.metrics ?? "")).text();
    const left = /^cliproxy_tls_certificate_expiry_seconds\{certificate="0"\} (\S+)$/m.exec(
      metrics,
    );
    expect(Number(left?.[1])).toBeWithin(4 * 86_400, 5 * 86_400 + 1);
    const { out } = await runBinary(["doctor", "--json", "--config", proxy.configFile]);
    const { findings } = JSON.parse(out) as { findings: { id: string }[] };
    expect(findings.map(({ id }) => id)).toContain("tls-ends-soon");
    await proxy.stop();
  });
});
