import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Authority, createAuthority } from "../harness/certificates.ts";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { createClientCertificates } from "../harness/client-certificates.ts";
import { FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { startHttpProxy } from "../harness/http-proxy.ts";
import {
  makeDir,
  needBinary,
  type ProxyRuntime,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";

const good: Script = (wire) =>
  wire.whole(
    200,
    { "content-type": "application/json" },
    JSON.stringify({ choices: [{ message: { content: "hi" }, finish_reason: "stop" }] }),
  );
let authority: Authority;
let plain: FakeUpstream;
let secure: FakeUpstream;

beforeAll(async () => {
  needBinary();
  authority = createAuthority();
  plain = (await startUpstream()).on("m", good);
  secure = (await startUpstream(authority.sign("DNS:localhost,IP:127.0.0.1", 2))).on("m", good);
});
afterAll(cleanUp);

const key = "upstream-secret-key-1";

function start(
  provider: object,
  more: { env?: Record<string, string>; runtime?: ProxyRuntime } = {},
): Promise<RunningProxy> {
  const one = { protocol: "openai-compatible", api_key: key, models: ["m"], ...provider };
  return startProxy({ ...more, config: { providers: { one } } });
}
async function ask(proxy: RunningProxy): Promise<number> {
  const body = { model: "m", messages: [{ role: "user", content: "hi" }] };
  const reply = await proxy.post("/v1/chat/completions", body);
  await reply.text();
  return reply.status;
}

describe("proxy_url", () => {
  test("the provider is called through it, by TLS inside, with its login", async () => {
    const via = await startHttpProxy("user:pass-word-0123");
    const proxy = await start({
      base_url: secure.url,
      proxy_url: via.url,
      tls: { ca_file: authority.file },
    });
    const before = secure.received.length;
    expect([await ask(proxy), await ask(proxy)]).toEqual([200, 200]);
    expect(via.asked).toEqual([`CONNECT ${new URL(secure.url).host}`]);
    expect(secure.received.length - before).toBe(2);
    expect(secure.received.at(-1)?.header("proxy-authorization")).toBeUndefined();
    const told = proxy.stdout() + proxy.stderr();
    expect(told).not.toContain("pass-word-0123");
    await proxy.stop();
  });

  test("also over plain HTTP, and whatever NO_PROXY says", async () => {
    const via = await startHttpProxy();
    const proxy = await start(
      { base_url: plain.url, proxy_url: via.url },
      { env: { NO_PROXY: "*", HTTP_PROXY: "http://127.0.0.1:1" } },
    );
    expect(await ask(proxy)).toBe(200);
    expect(via.asked).toEqual([`POST ${plain.url}/v1/chat/completions`]);
    await proxy.stop();
  });

  test.each([
    ["nobody is at its address", async () => "http://127.0.0.1:1"],
    ["it wants another login", async () => (await startHttpProxy("a:b")).url.replace("a:b@", "")],
  ])("where %s, nobody is called directly: 502", async (_case, url) => {
    const before = secure.received.length;
    const proxy = await start({
      base_url: secure.url,
      proxy_url: await url(),
      tls: { ca_file: authority.file },
    });
    expect(await ask(proxy)).toBe(502);
    expect(secure.received.length).toBe(before);
    await proxy.stop();
  });
});

describe("tls of a provider", () => {
  test.each(["binary", "node", "deno"] as const)(
    "on %s: its own authority",
    async (runtime) => {
      const proxy = await start(
        { base_url: secure.url, tls: { ca_file: authority.file } },
        { runtime },
      );
      expect(await ask(proxy)).toBe(200);
      await proxy.stop();
      const without = await start({ base_url: secure.url }, { runtime });
      expect(await ask(without)).toBe(502);
      await without.stop();
      const foreign = await start(
        { base_url: secure.url, tls: { ca_file: createAuthority().file } },
        { runtime },
      );
      expect(await ask(foreign)).toBe(502);
      await foreign.stop();
    },
    30_000,
  );

  test.each(["binary", "node", "deno"] as const)(
    "on %s: a client certificate",
    async (runtime) => {
      const dir = makeDir();
      const { authority: makeAuthority, client } = createClientCertificates(dir);
      const clients = makeAuthority("clients");
      client("proxy", "clients");
      const own = authority.sign("DNS:localhost,IP:127.0.0.1", 2);
      const strict = { requestCert: true, rejectUnauthorized: true, ca: readFileSync(clients) };
      const upstream = new FakeUpstream({ ...own, ...strict }).on("m", good);
      await upstream.listen();
      const shown = { cert_file: join(dir, "proxy.crt"), key_file: join(dir, "proxy.key") };
      const tls = { ca_file: authority.file };
      const proxy = await start({ base_url: upstream.url, tls: { ...tls, ...shown } }, { runtime });
      expect(await ask(proxy)).toBe(200);
      await proxy.stop();
      const without = await start({ base_url: upstream.url, tls }, { runtime });
      expect(await ask(without)).toBe(502);
      await without.stop();
      await upstream.close();
    },
    30_000,
  );
});

describe("what can't be obeyed is a start-up error:", () => {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-wire-"));
  const [cert_file, key_file] = [join(dir, "proxy.crt"), join(dir, "proxy.key")];
  beforeAll(() => {
    onCleanup(() => rmSync(dir, { recursive: true, force: true }));
    const { authority: makeAuthority, client } = createClientCertificates(dir);
    makeAuthority("clients");
    client("proxy", "clients");
    writeFileSync(join(dir, "none.crt"), "nothing");
  });
  const base_url = "https://provider.test";
  const cases: readonly (readonly [string, object, string])[] = [
    ["no URL", { base_url, proxy_url: "proxy" }, "providers.one.proxy_url"],
    ["SOCKS", { base_url, proxy_url: "socks5://127.0.0.1:1080" }, "is a SOCKS proxy"],
    ["FTP", { base_url, proxy_url: "ftp://127.0.0.1" }, "must start with http:// or https://"],
    ["no such file", { base_url, tls: { ca_file: "/nowhere" } }, "providers.one.tls.ca_file"],
    [
      "no certificate",
      { base_url, tls: { ca_file: join(dir, "none.crt") } },
      "no certificate that",
    ],
    ["half a pair", { base_url, tls: { cert_file } }, "providers.one.tls.key_file"],
    [
      "another key",
      { base_url, tls: { cert_file, key_file: join(dir, "clients.key") } },
      "is not the key of",
    ],
    [
      "plain HTTP",
      { base_url: "http://127.0.0.1:1", tls: { cert_file, key_file } },
      "does nothing over plain http",
    ],
    ["the sandbox", { protocol: "sandbox", proxy_url: "http://p.test" }, "does nothing for this"],
  ];
  const onDeno: (typeof cases)[number] = [
    "a proxy on Deno",
    { base_url, proxy_url: "http://127.0.0.1:1" },
    "can't be obeyed",
  ];
  test.each([...cases, onDeno])("%s", async (name, provider, words) => {
    const runtime = name === onDeno[0] ? "deno" : "binary";
    const file = join(makeDir(), "config.yaml");
    const one = { protocol: "openai-compatible", ...provider };
    writeFileSync(file, JSON.stringify({ providers: { one } }));
    const { code, out, err } = await runBinary(["check", "--config", file], { runtime });
    expect(code).toBe(78);
    expect(out + err).toContain(words);
  });
});
