import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeSelfSigned } from "../../src/kit/self-signed.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { createClientCertificates } from "../harness/client-certificates.ts";
import { curl } from "../harness/handshake.ts";
import {
  clientKey,
  configOf,
  makeDir,
  needBinary,
  type ProxyRuntime,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";

let dir = "";
let ours = "";
let good: readonly string[] = [];
let second: readonly string[] = [];
let foreign: readonly string[] = [];

beforeAll(async () => {
  needBinary();
  dir = makeDir();
  const { authority, client } = createClientCertificates(dir);
  ours = authority("ours");
  const other = authority("other");
  good = client("ci", "ours");
  second = client("laptop", "other");
  foreign = createStranger();
  writeFileSync(join(dir, "both.crt"), readFileSync(ours, "utf8") + readFileSync(other, "utf8"));
  const { cert, key } = await makeSelfSigned(["localhost", "127.0.0.1"], 9, Date.now());
  writeFileSync(join(dir, "tls.crt"), cert);
  writeFileSync(join(dir, "tls.key"), key, { mode: 0o600 });
});
afterAll(cleanUp);

/** The same name from an authority that nobody here trusts. */
function createStranger(): readonly string[] {
  const elsewhere = makeDir();
  const made = createClientCertificates(elsewhere);
  made.authority("ours");
  return made.client("ci", "ours");
}

function tls(more: Readonly<Record<string, unknown>> = {}) {
  return {
    ...{ enabled: true, cert_file: join(dir, "tls.crt"), key_file: join(dir, "tls.key") },
    ...more,
  };
}

const both = (): string => join(dir, "both.crt");
const bearer = ["-H", `Authorization: Bearer ${clientKey}`];
const runtimes: readonly ProxyRuntime[] = ["binary", "bun", "node", "deno"];

describe.each(runtimes)("client_auth on %s", (runtime) => {
  test("require: each authority's clients come in, and nobody else", async () => {
    const server = { tls: tls({ client_ca_file: both() }) };
    const { url, stop } = await startProxy({ runtime, config: { server } });
    const ask = (...words: readonly string[]) => curl(`${url}/healthz`, "-k", ...words);
    expect(await ask()).toBeNumber();
    expect(await ask(...foreign)).toBeNumber();
    expect(await ask(...good)).toContain("ok");
    expect(await ask(...second)).toContain("ok");
    await stop();
  }, 30_000);

  test("request: who shows none comes in, by a key as always", async () => {
    const server = { tls: tls({ client_ca_file: both(), client_auth: "request" }) };
    const { url, stop } = await startProxy({ runtime, config: { server } });
    const ask = (...words: readonly string[]) => curl(`${url}/v1/models`, "-k", ...words);
    expect(await ask(...bearer)).toContain('"object":"list"');
    expect(await ask(...bearer, ...good)).toContain('"object":"list"');
    // A certificate alone opens nothing that no client is named for.
    expect(await ask(...good)).toContain("No valid client key");
    await stop();
  }, 30_000);
});

describe("a client that is named by its certificate", () => {
  const config = (clientAuth: string) => ({
    server: { tls: tls({ client_ca_file: both(), client_auth: clientAuth }) },
    auth: {
      api_keys: [
        { id: "tester", key: clientKey },
        { id: "ci", certificate: "ci", models: ["sandbox-echo"] },
      ],
    },
  });
  const body = (model: string): string => JSON.stringify({ model, messages: [] });

  test.each(["require", "request"])(
    "on Node, %s: it is who it shows to be",
    async (clientAuth) => {
      const proxy = await startProxy({ runtime: "node", config: config(clientAuth) });
      const { url, stop } = proxy;
      const ask = (...words: readonly string[]) => curl(`${url}/v1/models`, "-k", ...words);
      expect(await ask(...good)).toContain("sandbox-echo");
      // Verified, and named nowhere.
      expect(await ask(...second)).toContain("No valid client key");
      // The right name from a foreign authority is no name.
      const stranger = await ask(...foreign);
      if (clientAuth === "require") expect(stranger).toBeNumber();
      else expect(stranger).toContain("No valid client key");
      // What the entry allows counts for it.
      const chat = (model: string) =>
        curl(`${url}/v1/chat/completions`, "-k", ...good, "-d", body(model));
      expect(await chat("other")).toContain("may not use that model");
      // Whoever sends a key means that one.
      const wrong = ["-H", "Authorization: Bearer nobody-0123456789"];
      expect(await ask(...good, ...wrong)).toContain("No valid client key");
      await stop();
    },
    30_000,
  );

  test.each(["binary", "bun", "deno"] as const)("on %s: a start-up error", async (runtime) => {
    const file = join(makeDir(), "config.yaml");
    writeFileSync(file, JSON.stringify(configOf(dir, config("require"))));
    const { code, err } = await runBinary(["check", "--config", file], { runtime });
    expect(code).toBe(78);
    expect(err).toContain("this runtime does not tell whose a client shows");
  });

  test("and no certificate is asked for: a start-up error", async () => {
    const file = join(makeDir(), "config.yaml");
    const { auth } = config("require");
    writeFileSync(file, JSON.stringify(configOf(dir, { auth, server: { tls: tls() } })));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(code).toBe(78);
    expect(err).toContain("set server.tls.client_ca_file");
  });
});

test("`healthcheck` shows a certificate where one is required", async () => {
  const { url, stop } = await startProxy({
    config: { server: { tls: tls({ client_ca_file: ours }) } },
  });
  expect((await runBinary(["healthcheck", "--url", url])).code).toBe(1);
  expect((await runBinary(["healthcheck", "--url", url, ...good])).code).toBe(0);
  const half = await runBinary(["healthcheck", "--url", url, ...good.slice(0, 2)]);
  expect([half.code, half.err]).toEqual([1, expect.stringContaining("--cert and --key")]);
  const missing = ["--cert", "/nowhere.crt", "--key", "/nowhere.key"];
  const lost = await runBinary(["healthcheck", "--url", url, ...missing]);
  expect([lost.code, lost.err]).toEqual([1, expect.stringContaining("/nowhere.crt can't be read")]);
  await stop();
});

describe("a file of authorities is refused for", () => {
  const cases: readonly (readonly [string, () => string, string])[] = [
    ["a client's certificate among them", () => read("both.crt") + read("ci.crt"), "certificate 3"],
    ["one that can't be read", () => `${read("ours.crt")}${broken}`, "certificate 2"],
    ["none", () => "no certificate", "holds no certificate"],
  ];
  const read = (name: string): string => readFileSync(join(dir, name), "utf8");
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  test.each(cases)("%s", async (_name, text, told) => {
    const place = makeDir();
    writeFileSync(join(place, "ca.crt"), text());
    const server = { tls: tls({ client_ca_file: join(place, "ca.crt") }) };
    const file = join(place, "config.yaml");
    writeFileSync(file, JSON.stringify(configOf(place, { server })));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(code).toBe(78);
    expect(err).toContain("server.tls.client_ca_file");
    expect(err).toContain(told);
  });
});
