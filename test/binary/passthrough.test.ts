import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, rawExchange, requestBytes } from "../harness/raw.ts";
import { chatEvents, messageEvents } from "../harness/replies.ts";
import { normal, nosyHeaders, paced, pingsAndComments, split } from "../harness/scripts.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
});
afterAll(cleanUp);

const dialects = [
  ["/v1/chat/completions", chatEvents],
  ["/v1/messages", messageEvents],
] as const;
const messages = [{ role: "user", content: "hello" }];

describe.each(dialects)("%s", (path, events) => {
  const sizes = [1, 2, 3, 5, 7, 11, 13, 64, 1000, 100_000];
  test.concurrent.each(sizes)("streamed byte for byte in pieces of %d", async (size) => {
    const model = `split-${size}`;
    upstream.on(model, split(size));
    const answer = await proxy.post(path, { model, stream: true, max_tokens: 9, messages });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(await answer.text()).toBe(events(model).join(""));
  });

  test("comments, pings and CRLF go through as they are", async () => {
    upstream.on("m-pings", pingsAndComments);
    const body = { model: "m-pings", stream: true, max_tokens: 9, messages };
    const text = await (await proxy.post(path, body)).text();
    expect(text).toStartWith(": keep-alive\n\n");
    expect(text).toContain(":\r\n\r\n: {");
    expect(text).toEndWith((events("m-pings").at(-1) ?? "").replaceAll("\n", "\r\n"));
    expect(text).not.toContain("upstream_truncated");
  });

  test("events are not held back", async () => {
    upstream.on("m-paced", paced(60));
    const body = { model: "m-paced", stream: true, max_tokens: 9, messages };
    const answer = await proxy.post(path, body);
    const reader = answer.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    // The others are still to come, one each 60 ms: what has come is the start alone.
    expect(new TextDecoder().decode(value).length).toBeLessThan(
      events("m-paced").join("").length / 2,
    );
    await reader?.cancel();
  });

  test("the body goes up byte for byte", async () => {
    const body = `{ "messages":[ {"role":"user","content":"\\u00fc 🦊 \\n"} ],\t"x_unknown": 1e2 ,"max_tokens":9,"model":"m-bytes" }\n`;
    await (await proxy.post(path, body)).text();
    expect(upstream.for("m-bytes").at(-1)?.text).toBe(body);
  });
});

describe("headers up", () => {
  const sent: Record<string, string> = {
    authorization: `Bearer ${clientKey}`,
    "x-goog-api-key": clientKey,
    cookie: "session=canary-cookie",
    origin: "http://127.0.0.1",
    referer: "http://canary-referer.example/",
    "x-forwarded-for": "198.51.100.7",
    forwarded: "for=198.51.100.7",
    via: "1.1 canary",
    "x-real-ip": "198.51.100.7",
    "proxy-authorization": "Basic canary",
    "x-management-key": "canary-management",
    te: "trailers",
    "accept-encoding": "gzip, br",
    "anthropic-beta": "a-1,b-2",
    "openai-beta": "c=v2",
    "x-request-id": "client-request-7",
    "x-client-request-id": "client-request-8",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "user-agent": "sdk/7",
    "x-app": "cli",
  };
  const passed = [
    ...["anthropic-beta", "openai-beta", "x-request-id", "x-client-request-id", "traceparent"],
    ...["user-agent", "x-app"],
  ];

  test("beta headers and ids, never credentials, cookies and addresses", async () => {
    const { host } = new URL(proxy.url);
    const headers = Object.entries({ ...sent, origin: `http://${host}`, host });
    const body = JSON.stringify({ model: "m-headers", messages });
    const target = "/v1/chat/completions?beta=true&x=%20y&key=canary-query";
    const reply = await rawExchange(proxy.url, "POST", target, headers, body);
    expect(reply).toStartWith("HTTP/1.1 200");
    const [seen] = upstream.for("m-headers");
    for (const name of passed) expect([name, seen?.header(name)]).toEqual([name, sent[name]]);
    expect(seen?.header("accept-encoding")).toBe("identity");
    expect(seen?.header("authorization")).toBe("Bearer upstream-secret-key-1");
    expect(seen?.header("host")).toBe(new URL(upstream.url).host);
    expect(seen?.target).toBe("/v1/chat/completions?beta=true&x=%20y");
    const all = JSON.stringify(seen?.headers);
    for (const secret of [clientKey, "canary", "198.51.100.7", "trailers"]) {
      expect(all).not.toContain(secret);
    }
    const names = seen?.headers.map(([name]) => name.toLowerCase()).sort();
    expect(names).toEqual(
      [
        ...passed,
        ...["accept-encoding", "authorization", "connection", "content-length"],
        ...["content-type", "host"],
        // The runtime's fetch adds it where the client sent none.
        "accept",
      ].sort(),
    );
  });

  test("no other spelling of the address, and the key under no name", async () => {
    const headers = {
      "client-ip": "198.51.100.7",
      "x-original-forwarded-for": "198.51.100.7",
      "x-envoy-external-address": "198.51.100.7",
      "x-my-own-key": clientKey,
      "x-note": `token=${clientKey}; more`,
      "x-auth-token": `Bearer ${clientKey}`,
      "x-kept": "kept-7",
    };
    for (const key of ["authorization", "x-api-key", "x-goog-api-key"]) {
      const sent = { ...headers, authorization: "", [key]: clientKey };
      if (key === "authorization") sent.authorization = `Bearer ${clientKey}`;
      const list = Object.entries(sent).filter(([, value]) => value !== "");
      const body = JSON.stringify({ model: `m-key-${key}`, messages });
      const reply = await rawExchange(proxy.url, "POST", "/v1/chat/completions", list, body);
      expect(reply).toStartWith("HTTP/1.1 200");
      const [seen] = upstream.for(`m-key-${key}`);
      expect(seen?.header("x-kept")).toBe("kept-7");
      const all = JSON.stringify(seen?.headers);
      for (const secret of [clientKey, "198.51.100.7"]) expect(all).not.toContain(secret);
    }
  });

  test("the Anthropic version is added where the client sends none", async () => {
    await proxy.post("/v1/messages", { model: "m-version", max_tokens: 1, messages });
    const [seen] = upstream.for("m-version");
    expect(seen?.header("anthropic-version")).toBe("2023-06-01");
    expect(seen?.header("x-api-key")).toBe("upstream-secret-key-1");
    expect(seen?.header("authorization")).toBeUndefined();
  });
});

describe("headers down", () => {
  test.each(dialects)("%s: only what clients act on", async (path) => {
    for (const stream of [false, true]) {
      upstream.on("m-nosy", normal({ headers: nosyHeaders }));
      const body = JSON.stringify({ model: "m-nosy", stream, max_tokens: 9, messages });
      const headers = [["authorization", `Bearer ${clientKey}`]] as const;
      const text = await rawExchange(proxy.url, "POST", path, headers, body);
      const head = text.slice(0, text.indexOf("\r\n\r\n")).toLowerCase();
      const names = head
        .split("\r\n")
        .slice(1)
        .map((line) => line.split(":")[0])
        .sort();
      const framing = stream ? ["transfer-encoding", "x-accel-buffering"] : ["content-length"];
      const security = [
        ...["content-security-policy", "x-content-type-options", "x-frame-options"],
        "x-xss-protection",
      ];
      const usual = ["cache-control", "content-type", "date", "x-request-id"];
      const ours = [...usual, ...security, ...framing];
      const theirs = [
        ...["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"],
        "x-upstream-request-id",
      ];
      expect(names.filter((name) => name !== "connection")).toEqual([...ours, ...theirs].sort());
      expect(head).not.toContain("secret");
      expect(head).not.toContain("10.1.2.3");
      expect(head).not.toContain(new URL(upstream.url).host);
      expect(head).toContain("x-upstream-request-id: req_upstream_7");
    }
  });

  test("nothing of the provider's credential in any answer or output", async () => {
    expect(proxy.stdout() + proxy.stderr()).not.toContain("upstream-secret-key-1");
    expect(proxy.stdout() + proxy.stderr()).not.toContain(clientKey);
  });
});

describe("what is not on the map", () => {
  const auth = [["authorization", `Bearer ${clientKey}`]] as const;
  const cases: readonly (readonly [method: string, target: string, status: number])[] = [
    ["GET", "/", 404],
    ["GET", "/v1/nothing", 404],
    ["GET", "/v1/chat/completions", 405],
    ["DELETE", "/v1/models", 405],
    ["POST", "/v1/models", 405],
    ["POST", "/v1/chat/completions/", 404],
    ["POST", "/V1/chat/completions", 404],
    ["POST", "//v1/chat/completions", 404],
    // Taken for /v1/models by the runtime: fine with a key, see below for strangers.
    ["GET", "/healthz/../v1/models", 200],
    ["PUT", "/healthz", 404],
    ["HEAD", "/v1/models", 200],
    ["HEAD", "/", 200],
    ["HEAD", "/healthz", 200],
  ];
  test.concurrent.each(cases)("%s %s is %d", async (method, target, status) => {
    const posts = () => upstream.received.filter((r) => r.method !== "GET").length;
    const before = posts();
    const text = await rawExchange(proxy.url, method, target, auth);
    expect(text.split(" ")[1]).toBe(String(status));
    if (method === "HEAD") expect(text.split("\r\n\r\n")[1]).toBe("");
    if (status === 405) expect(text.toLowerCase()).toContain("\r\nallow: ");
    expect(posts()).toBe(before);
  });

  test("a WebSocket is refused with 426, so that Codex falls back at once", async () => {
    const upgrade = [...auth, ["upgrade", "websocket"], ["connection", "upgrade"]] as const;
    const text = await rawExchange(proxy.url, "GET", "/v1/chat/completions", upgrade);
    expect(text).toStartWith("HTTP/1.1 426");
    expect(text.toLowerCase()).toContain("\r\nupgrade: http/1.1");
    expect(text).toContain("upgrade_required");
  });

  test.each(["/", "/api/hello"])("a keyless HEAD %s is a probe, no failed login", async (path) => {
    const own = await startProxy({ config: { metrics: { enabled: true, port: 0 } } });
    // Many more than failures are free.
    for (let i = 0; i < 40; i++) {
      const text = await rawExchange(own.url, "HEAD", path);
      expect(text).toStartWith("HTTP/1.1 200");
      expect(text.split("\r\n\r\n")[1]).toBe("");
    }
    const wrong = [["authorization", "Bearer nobody"]] as const;
    expect(await rawExchange(own.url, "GET", "/v1/models", wrong)).toStartWith("HTTP/1.1 401");
    const metrics = await (await fetch(own.greeting.listeners.metrics ?? "")).text();
    expect(metrics).toContain('cliproxy_auth_failures_total{provider="openai"} 1\n');
    expect(metrics).toContain('security_events_total{event_type="suspicious_activity"} 0\n');
    expect(await rawExchange(own.url, "GET", path)).toStartWith("HTTP/1.1 401");
  });

  const strangers = [
    ...["/", "/v1/nothing", "/v1/models", "/v1/chat/completions"],
    ...["/healthz/../v1/models", "/%76%31/models", "//v1/models", "/v1/./models"],
  ];
  test.each(strangers)("strangers learn nothing: GET %s is 401", async (target) => {
    expect(await rawExchange(proxy.url, "GET", target)).toStartWith("HTTP/1.1 401");
  });

  test("pipelined requests: the runtime hangs up, and nothing is answered twice", async () => {
    const client = await openRaw(proxy.url);
    const one = (model: string) =>
      requestBytes("POST", "/v1/chat/completions", auth, JSON.stringify({ model, messages }));
    client.send(one("m-pipe-1") + one("m-pipe-2"));
    const text = await client.read((t) => t.includes('"model":"m-pipe-2"'));
    expect(text.match(/HTTP\/1\.1 200/g)?.length ?? 0).toBeOneOf([0, 2]);
    expect(upstream.for("m-pipe-1").length).toBeLessThanOrEqual(1);
    expect(upstream.for("m-pipe-2").length).toBeLessThanOrEqual(1);
    client.close();
  });

  test("one connection serves one request after the other", async () => {
    const client = await openRaw(proxy.url);
    for (const model of ["m-keep-1", "m-keep-2", "m-keep-3"]) {
      const body = JSON.stringify({ model, messages });
      client.send(requestBytes("POST", "/v1/chat/completions", auth, body));
      await client.read((t) => t.includes(`"model":"${model}"`));
    }
    client.close();
  });
});

describe("hostile heads: refused, never sent upstream, and the next one is served", () => {
  const key = `Authorization: Bearer ${clientKey}`;
  const body = JSON.stringify({ model: "m-hostile", messages });
  const post = (host: string, ...lines: readonly string[]) =>
    ["POST /v1/chat/completions HTTP/1.1", host, key, ...lines, "", body].join("\r\n");
  const own = "Host: 127.0.0.1";
  const length = `Content-Length: ${body.length}`;
  const chunked = "Transfer-Encoding: chunked";
  const cases: readonly (readonly [name: string, request: string, status: RegExp])[] = [
    ["foreign Host", post("Host: evil.example", length), /^HTTP\/1.1 403/],
    ["Host that begins like ours", post("Host: 127.evil.example", length), /^HTTP\/1.1 403/],
    ["no Host", post("X: y", length), /^HTTP\/1.1 4/],
    ["two Hosts", post(own, "Host: evil.example", length), /^HTTP\/1.1 4/],
    ["two Hosts, ours last", post("Host: evil.example", own, length), /^HTTP\/1.1 4/],
    ["cross-site page", post(own, "Origin: https://evil.example", length), /^HTTP\/1.1 403/],
    ["cross-site fetch", post(own, "Sec-Fetch-Site: cross-site", length), /^HTTP\/1.1 403/],
    ["length and chunks", post(own, length, chunked), /^HTTP\/1.1 400/],
    ["chunks and length", post(own, chunked, length), /^HTTP\/1.1 400/],
    ["two lengths", post(own, length, "Content-Length: 3"), /^HTTP\/1.1 400/],
    ["negative length", post(own, "Content-Length: -1"), /^HTTP\/1.1 400/],
    ["unknown transfer coding", post(own, "Transfer-Encoding: xchunked"), /^HTTP\/1.1 (?:400|501)/],
    ["space before the colon", post(own, "Transfer-Encoding : chunked"), /^HTTP\/1.1 400/],
    ["header of 20 KB", post(own, length, `X-A: ${"a".repeat(20_000)}`), /^HTTP\/1.1 431/],
    ["key beside another one", post(own, key, length), /^HTTP\/1.1 401/],
    ["CONNECT", `CONNECT a:443 HTTP/1.1\r\n${own}\r\n${key}\r\n\r\n`, /^HTTP\/1.1 4/],
    ["unknown method", `FOO / HTTP/1.1\r\n${own}\r\n${key}\r\n\r\n`, /^(?:HTTP\/1.1 [45]|$)/],
    [
      "upgrade with a request behind it",
      `GET /v1/models HTTP/1.1\r\n${own}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${post(own, length)}`,
      /^(?:HTTP\/1.1 4|$)/,
    ],
  ];
  test.concurrent.each(cases)("%s", async (_name, request, status) => {
    const client = await openRaw(proxy.url);
    client.send(request);
    const text = await client.read((t) => t.includes("\r\n\r\n"), 1000).catch(() => "silence");
    client.close();
    expect(text).toMatch(status);
    expect(upstream.for("m-hostile")).toEqual([]);
    expect((await proxy.get("/v1/models")).status).toBe(200);
  });
});

describe("bodies that are refused never reach the provider", () => {
  const cases: readonly (readonly [name: string, body: string, status: number, words: string])[] = [
    ["no JSON", "hello", 400, "JSON"],
    ["empty", "", 400, "JSON"],
    ["no model", "{}", 400, "model"],
    ["model is an object", '{"model":{"a":1}}', 400, "model"],
    ["model is empty", '{"model":""}', 400, "model"],
    ["two models", '{"model":"a","model":"b"}', 400, "twice"],
    ["Model beside model", '{"model":"a","Model":"b"}', 400, "differs"],
    ["stream is a word", '{"model":"a","stream":"yes"}', 400, "stream"],
    ["max_tokens is a word", '{"model":"a","max_tokens":"5"}', 400, "max_tokens"],
    ["max_tokens is negative", '{"model":"a","max_tokens":-1}', 400, "max_tokens"],
    ["something behind it", '{"model":"a"} {"model":"b"}', 400, "follows"],
    ["too deep", `{"model":"a","x":${"[".repeat(600)}${"]".repeat(600)}}`, 400, "deep"],
  ];
  test.concurrent.each(cases)("%s", async (_name, body, status, words) => {
    for (const [path] of dialects) {
      const answer = await proxy.post(path, body);
      expect(answer.status).toBe(status);
      expect(await answer.text()).toContain(words);
    }
    const models = new Set(["a", "b"]);
    expect(upstream.received.filter((r) => models.has(r.json.model ?? ""))).toEqual([]);
  });

  test("compressed by the client: 415", async () => {
    const headers = { "content-encoding": "gzip" };
    const answer = await proxy.post("/v1/messages", "x", { headers });
    expect(answer.status).toBe(415);
  });
});

test("ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
});
