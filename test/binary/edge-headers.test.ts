import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type Ask, ask, openStreamFrom } from "../harness/edge.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  makeDir,
  needBinary,
  providersOf,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { dropAtOnce, endless, normal } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

const state = { store: "memory" };

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  upstream.on("edge-down", dropAtOnce("reset"));
  upstream.on(
    "edge-theirs",
    normal({
      headers: {
        "Strict-Transport-Security": "max-age=1",
        "X-Frame-Options": "ALLOWALL",
        "Content-Security-Policy": "default-src *",
        "X-XSS-Protection": "0",
        "X-Content-Type-Options": "sniff",
      },
    }),
  );
  proxy = await startProxy({
    config: {
      providers: providersOf(upstream.url),
      state,
      server: {
        limits: { body_bytes: 2000 },
        security: { ip_denylist: { denied_ips: ["127.0.0.66"] } },
      },
    },
  });
});
afterAll(cleanUp);

const guide = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "x-xss-protection": "1; mode=block",
  "content-security-policy": "default-src 'self'",
} as const;
const messages = [{ role: "user", content: "hi" }];
const chat = (model: string, more: object = {}): Ask => ({
  method: "POST",
  path: "/v1/chat/completions",
  body: { model, messages, ...more },
});

describe("the guide's headers stand on every response", () => {
  const cases: readonly (readonly [name: string, ask: Ask, status: number])[] = [
    ["health", { path: "/healthz", key: undefined }, 200],
    ["readiness", { path: "/readyz", key: undefined }, 200],
    ["HEAD of health", { path: "/healthz", method: "HEAD" }, 200],
    ["HEAD of the root", { path: "/", method: "HEAD", key: undefined }, 200],
    ["a whole reply", chat("m"), 200],
    ["a stream", chat("m", { stream: true }), 200],
    ["model list", {}, 200],
    ["one model that is not there", { path: "/v1/models/none" }, 404],
    ["no key", { key: undefined }, 401],
    ["a denied address", { from: "127.0.0.66" }, 403],
    ["a foreign Host", { headers: [["Host", "evil.example"]] }, 403],
    ["an unknown path", { path: "/nowhere" }, 404],
    ["another method", { method: "DELETE", path: "/v1/models" }, 405],
    ["a body that is too large", chat("m", { user: "x".repeat(3000) }), 413],
    ["a body that is none", { method: "POST", path: "/v1/messages", body: [] }, 400],
    ["a provider that is down", chat("edge-down"), 502],
    ["a provider with headers of its own", chat("edge-theirs"), 200],
    ["the same, streamed", chat("edge-theirs", { stream: true }), 200],
  ];
  test.concurrent.each(cases)("%s", async (_name, options, status) => {
    const answer = await ask(proxy, options);
    expect(answer.status).toBe(status);
    const found = Object.keys(guide).map((name) => [name, answer.header(name)]);
    expect(Object.fromEntries(found)).toEqual(guide);
    // RFC 6797, 7.2: not on a plain connection.
    expect(answer.header("strict-transport-security")).toBeUndefined();
  });

  test("each of them once", async () => {
    const stream = await openStreamFrom(proxy, "127.0.0.1", "edge-theirs");
    const head = stream.text().split("\r\n\r\n")[0]?.toLowerCase() ?? "";
    stream.close();
    for (const name of Object.keys(guide)) expect(head.split(`\r\n${name}:`)).toHaveLength(2);
    expect(head).not.toContain("allowall");
  });

  test("while draining, too", async () => {
    const mine = await startProxy({ config: { providers: providersOf(upstream.url), state } });
    upstream.on("edge-drained", endless(20));
    const stream = await openStreamFrom(mine, "127.0.0.1", "edge-drained");
    mine.signal("SIGTERM");
    await until("it drains", async () => (await ask(mine)).status === 503);
    const answer = await ask(mine);
    for (const [name, value] of Object.entries(guide)) expect(answer.header(name)).toBe(value);
    stream.close();
    expect(await mine.stop()).toBe(0);
  });
});

test("each can be changed or removed, and all turned off, by a reload", async () => {
  const config = (headers: object) => ({
    providers: providersOf(upstream.url),
    state,
    server: { security: { headers } },
  });
  const mine = await startProxy({
    config: config({ enabled: true, frame_options: "SAMEORIGIN", xss_protection: "" }),
  });
  const one = await ask(mine, { path: "/healthz" });
  expect(one.header("x-frame-options")).toBe("SAMEORIGIN");
  expect(one.header("x-xss-protection")).toBeUndefined();
  expect(one.header("x-content-type-options")).toBe("nosniff");
  mine.writeConfig(config({ enabled: false }));
  let bare = await ask(mine);
  await until("they are gone", async () => {
    bare = await ask(mine);
    return bare.header("x-frame-options") === undefined;
  });
  for (const name of Object.keys(guide)) expect(bare.header(name)).toBeUndefined();
  expect(await mine.stop()).toBe(0);
});

describe("a configuration that would not do what it says stops the start", () => {
  const security = (block: string): string => `server:\n  security:\n    ${block}\n`;
  const cases: readonly (readonly [name: string, yaml: string, path: string, words: string])[] = [
    [
      "54: octal",
      security('ip_denylist: { denied_ips: ["010.0.0.1"] }'),
      "server.security.ip_denylist.denied_ips",
      "8.0.0.1",
    ],
    [
      "54: two numbers",
      security('ip_allowlist: { enabled: true, allowed_ips: ["10.1"] }'),
      "server.security.ip_allowlist.allowed_ips",
      "10.0.0.1",
    ],
    [
      "54: hexadecimal",
      security('ip_denylist: { denied_ips: [{ ip: "0x0a.1" }] }'),
      "server.security.ip_denylist.denied_ips",
      "10.0.0.1",
    ],
    [
      "a prefix that is too long",
      security('ip_denylist: { denied_ips: ["10.0.0.0/33"] }'),
      "denied_ips",
      "0 to 32",
    ],
    [
      "an empty allowlist",
      security("ip_allowlist: { enabled: true, allowed_ips: [], deny_all: true }"),
      "server.security.ip_allowlist",
      "refuse everybody",
    ],
    [
      "proxies: all of IPv4",
      'server: { trusted_proxies: ["0.0.0.0/0"] }\n',
      "server.trusted_proxies",
      "make up an address",
    ],
    [
      "proxies: all of IPv6",
      'server: { trusted_proxies: ["10.0.0.1", "::/0"] }\n',
      "server.trusted_proxies",
      "make up an address",
    ],
    [
      "another forwarding header",
      "server: { forwarded_header: x-real-ip }\n",
      "server.forwarded_header",
      "x-forwarded-for",
    ],
    ...["0", "-1", ".inf", ".nan"].map(
      (rate) =>
        [
          `124: ${rate} requests a second`,
          security(`rate_limiting: { enabled: true, requests_per_second: ${rate}, burst: 1 }`),
          "server.security.rate_limiting.requests_per_second",
          "",
        ] as const,
    ),
    [
      "no burst at all",
      "server: { rate_limit: { enabled: true, requests_per_second: 1, burst: 0 } }\n",
      "server.rate_limit.burst",
      "",
    ],
    [
      "a limit without a rate",
      "server: { rate_limit: { enabled: true } }\n",
      "server.rate_limit",
      "requests_per_second",
    ],
    [
      "by address and by user",
      security("rate_limiting: { requests_per_second: 1, per_ip: true, per_user: true }"),
      "server.security.rate_limiting.per_user",
      "both be true",
    ],
    [
      "a header of two lines",
      security('headers: { frame_options: "DENY\\r\\nset-cookie: a=b" }'),
      "server.security.headers.frame_options",
      "line break",
    ],
    [
      "a message of two lines",
      'server: { maintenance_mode: true, message: "a\\nb" }\n',
      "server.message",
      "one line",
    ],
    [
      "a key that nobody knows",
      security("ip_denylist: { denied_ip: [] }"),
      "denied_ip",
      "denied_ips",
    ],
  ];
  test.concurrent.each(cases)("%s", async (_name, yaml, path, words) => {
    const dir = makeDir();
    const file = join(dir, "bad.yaml");
    mkdirSync(join(dir, "auths"), { mode: 0o700 });
    writeFileSync(file, yaml);
    for (const command of ["check", "serve"]) {
      const { code, err } = await runBinary([command, "--config", file]);
      expect([code, err]).toEqual([78, expect.stringContaining(path)]);
      expect(err).toContain(words);
      expect(err).toMatch(/bad\.yaml:\d+:\d+/);
    }
  });
});

test("proxies with bits behind their prefix are warned of", async () => {
  const mine = await startProxy({
    config: {
      providers: providersOf(upstream.url),
      state,
      server: { trusted_proxies: ["10.1.2.3/8"] },
    },
  });
  expect(mine.greeting.warnings.join()).toContain("10.0.0.0/8");
  expect(await mine.stop()).toBe(0);
});
