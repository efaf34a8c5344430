import { afterAll, describe, expect, test } from "bun:test";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createRawServer, type Server } from "node:net";
import { urlOf } from "../../src/cli/health-url.ts";
import { toHealthUrl } from "../../src/cli/healthcheck.ts";
import { runCaptured } from "./capture.ts";

const closers: (() => void)[] = [];
afterAll(() => {
  for (const close of closers) close();
});

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const asked: string[] = [];
const good = await listen(
  createServer((request, response) => {
    asked.push(request.url ?? "");
    const status = Number(request.url?.slice(1)) || 200;
    response.writeHead(status, { location: "/200" });
    response.end("{}");
  }),
);
const silent = await listen(createRawServer((socket) => void socket.on("error", () => {})));
const rude = await listen(
  createRawServer((socket) => {
    socket.on("error", () => {});
    socket.end("SSH-2.0-OpenSSH\r\n");
  }),
);
const head = "HTTP/1.1 200 OK\r\nx-slow: and never at an end";
let sent = 0;
const drip = await listen(
  createRawServer((socket) => {
    socket.on("error", () => {});
    const timer = setInterval(() => socket.write(head[sent++ % head.length] ?? ""), 100);
    socket.on("close", () => clearInterval(timer));
  }),
);
const flood = await listen(
  createServer((_request, response) => {
    const timer = setInterval(() => response.write("x".repeat(1e5)), 1);
    response.on("close", () => clearInterval(timer));
  }),
);

describe("healthcheck", () => {
  const cases: readonly (readonly [name: string, url: string, code: number, says: string])[] = [
    ["alive", good, 0, `healthy: ${good}/healthz`],
    ["path given", `${good}/readyz`, 0, `healthy: ${good}/readyz`],
    ["503", `${good}/503`, 1, "answered 503"],
    ["redirect is not followed", `${good}/302`, 1, "answered 302"],
    ["endless body", flood, 0, "healthy"],
    ["nobody there", "http://127.0.0.1:1", 1, "unhealthy: http://127.0.0.1:1/healthz: "],
    ["no HTTP", rude, 1, "unhealthy"],
    ["no URL", "127.0.0.1:8317", 1, "no http or https URL"],
    ["file", "file:///etc/passwd", 1, "no http or https URL"],
    ["login is not shown", good.replace("//", "//user:hunter2@"), 0, `healthy: ${good}/healthz`],
  ];
  test.each(cases)("%s", async (_name, url, code, says) => {
    const result = await runCaptured(["healthcheck", "--url", url]);
    expect(result.code).toBe(code);
    expect(result.out + result.err).toContain(says);
    expect(result.out + result.err).not.toContain("hunter2");
  });

  test.each([
    ["silent", silent],
    ["dripping", drip],
  ])("gives up after 2 seconds: %s", async (_name, url) => {
    const started = performance.now();
    const { code, err } = await runCaptured(["healthcheck", "--url", url]);
    expect(code).toBe(1);
    expect(err).toContain("no answer within 2000 ms");
    expect(performance.now() - started).toBeWithin(1900, 3000);
  });

  test("the environment names the address; the option goes before it", async () => {
    const env = { CLIPROXY_HEALTH_URL: `${good}/503` };
    expect((await runCaptured(["healthcheck"], { env })).code).toBe(1);
    expect((await runCaptured(["healthcheck", "--url", good], { env })).code).toBe(0);
  });

  test("as JSON", async () => {
    const { out } = await runCaptured(["healthcheck", "--url", `${good}/503`, "--json"]);
    const url = `${good}/503`;
    expect(JSON.parse(out)).toEqual({ ok: false, status: 503, reason: "answered 503", url });
  });

  test("a proxy of the environment is not asked", async () => {
    const before = process.env.HTTP_PROXY;
    process.env.HTTP_PROXY = "http://127.0.0.1:1";
    try {
      expect((await runCaptured(["healthcheck", "--url", good])).code).toBe(0);
    } finally {
      if (before === undefined) delete process.env.HTTP_PROXY;
      else process.env.HTTP_PROXY = before;
    }
  });
});

describe("the address in a configuration", () => {
  const cases: readonly (readonly [yaml: string, expected: string])[] = [
    ["", "http://127.0.0.1:8317"],
    ["server: { port: 9000 }", "http://127.0.0.1:9000"],
    ["server: { host: 0.0.0.0, port: 9000 }", "http://127.0.0.1:9000"],
    ['server: { host: "::" }', "http://[::1]:8317"],
    ['server: { host: "::1" }', "http://[::1]:8317"],
    ["server: { host: proxy.lan }", "http://proxy.lan:8317"],
    [`server: { port: "\${PORT}" }`, "http://127.0.0.1:9001"],
    [`server: { port: "\${NONE:-9002}" }`, "http://127.0.0.1:9002"],
    [`server: { port: "\${NONE}" }`, "http://127.0.0.1:8317"],
    ["server: { tls: { cert: a } }", "https://127.0.0.1:8317"],
    ["server: { tls: { enabled: false } }", "http://127.0.0.1:8317"],
    [`server: { port: 9000 }\nauth: { key: \${MISSING} }\nauth: [`, "http://127.0.0.1:9000"],
    ["server: 5", "http://127.0.0.1:8317"],
    ["- 1", "http://127.0.0.1:8317"],
  ];
  test.each(cases)("%j", (yaml, expected) => {
    expect(urlOf(yaml, { PORT: "9001" })).toBe(expected);
  });

  test("a file that is not there is bad configuration", async () => {
    const { code, err } = await runCaptured(["healthcheck", "--config", "/nowhere/x.yaml"]);
    expect(code).toBe(78);
    expect(err).toStartWith("cliproxy: /nowhere/x.yaml: ");
    const json = await runCaptured(["healthcheck", "--config", "/nowhere/x.yaml", "--json"]);
    expect(JSON.parse(json.err).error.code).toBe("bad_config");
  });
});

describe("toHealthUrl", () => {
  const cases: readonly (readonly [text: string, expected: string | undefined])[] = [
    ["http://h", "http://h/healthz"],
    ["http://h/", "http://h/healthz"],
    ["https://[::1]:8443/readyz", "https://[::1]:8443/readyz"],
    ["http://u:p@h/?key=x#y", "http://h/healthz"],
    ["ftp://h", undefined],
    ["", undefined],
  ];
  test.each(cases)("%j", (text, expected) => {
    expect(toHealthUrl(text)?.href).toBe(expected as string);
  });
});
