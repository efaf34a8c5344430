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
import { openRaw, requestBytes } from "../harness/raw.ts";
import { normal, nosyHeaders } from "../harness/scripts.ts";
import { byRuntime } from "./targets.ts";

const path = "/v1/chat/completions";
const auth = [["authorization", `Bearer ${clientKey}`]] as const;

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

describe.each(byRuntime)("%s:", (runtime, target) => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startProxy({ runtime, config: { providers: providersOf(upstream.url) } });
  });

  /** Sends a request; the head of its answer in lower case. */
  async function headOf(request: string): Promise<string> {
    const client = await openRaw(proxy.url);
    client.send(request);
    const text = await client.read((t) => t.includes("\r\n\r\n"), 2000);
    client.close();
    return text.slice(0, text.indexOf("\r\n\r\n")).toLowerCase();
  }

  test("up: the body untouched, betas and ids; no credential, address or cookie", async () => {
    const body = `{ "model":"m-up","messages":[],\t"x":"\\u00fc 🦊", "n": 1e2 }\n`;
    const passed = { "x-request-id": "id-7", "anthropic-beta": "a-1", accept: "x/y" };
    const dropped = {
      ...{ cookie: "canary=1", "x-forwarded-for": "198.51.100.7", te: "trailers" },
      ...{ "proxy-authorization": "canary", "accept-encoding": "gzip", "x-copy": clientKey },
    };
    const headers = [...auth, ...Object.entries(passed), ...Object.entries(dropped)];
    await headOf(requestBytes("POST", `${path}?beta=true&x=%20y&key=canary`, headers, body));
    const seen = upstream.for("m-up").at(-1);
    expect(seen?.text).toBe(body);
    expect(seen?.target).toBe(`${path}?beta=true&x=%20y`);
    expect(seen?.header("authorization")).toBe("Bearer upstream-secret-key-1");
    expect(seen?.header("accept-encoding")).toBe("identity");
    for (const [name, value] of Object.entries(passed)) expect(seen?.header(name)).toBe(value);
    const all = JSON.stringify(seen?.headers);
    for (const secret of [clientKey, "canary", "198.51.100.7"]) expect(all).not.toContain(secret);
  });

  test("up: no header but ours and the client's", async () => {
    await headOf(requestBytes("POST", path, auth, '{"model":"m-bare","messages":[]}'));
    const names = upstream
      .for("m-bare")
      .at(-1)
      ?.headers.map(([name]) => name.toLowerCase());
    const always = ["accept-encoding", "authorization", "connection", "content-length"];
    const sorted = [...always, "content-type", "host", ...target.addsUpstream].sort();
    expect(names?.sort()).toEqual(sorted);
  });

  test.each([true, false])("down, stream %p: only what clients act on", async (stream) => {
    upstream.on("m-nosy", normal({ headers: nosyHeaders }));
    const body = JSON.stringify({ model: "m-nosy", stream, messages: [] });
    const head = await headOf(requestBytes("POST", path, auth, body));
    const lines = head.split("\r\n").slice(1);
    const names = lines.map((line) => line.split(":")[0] as string);
    const framing = stream ? ["transfer-encoding", "x-accel-buffering"] : ["content-length"];
    const security = [
      ...["content-security-policy", "x-content-type-options", "x-frame-options"],
      "x-xss-protection",
    ];
    const usual = ["cache-control", "content-type", "date", "x-request-id"];
    const ours = [...usual, ...security, ...framing];
    const limits = ["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"];
    const theirs = [...limits, "x-upstream-request-id", ...target.addsDown];
    expect(names.filter((name) => name !== "connection").sort()).toEqual(
      [...ours, ...theirs].sort(),
    );
    expect(head).not.toContain("secret");
  });

  const own = "Host: 127.0.0.1";
  const key = `Authorization: Bearer ${clientKey}`;
  const body = JSON.stringify({ model: "m-hostile", messages: [] });
  const length = `Content-Length: ${body.length}`;
  const chunked = "Transfer-Encoding: chunked";
  const post = (...lines: readonly string[]) =>
    [`POST ${path} HTTP/1.1`, ...lines, "", body].join("\r\n");
  const hostile: readonly (readonly [name: string, request: string, answer: RegExp])[] = [
    ["foreign Host", post("Host: evil.example", key, length), /^HTTP\/1.1 403/],
    ["no Host", post(key, length), /^HTTP\/1.1 4/],
    ["no Host, by HTTP/1.0", `GET / HTTP/1.0\r\n${key}\r\n\r\n`, /^HTTP\/1.[01] 4/],
    ["two Hosts", post(own, "Host: evil.example", key, length), /^HTTP\/1.1 4/],
    ["two keys", post(own, key, key, length), /^HTTP\/1.1 401/],
    ["length and chunks", post(own, key, length, chunked), /^HTTP\/1.1 400/],
    ["two lengths", post(own, key, length, "Content-Length: 3"), /^HTTP\/1.1 400/],
    ["unknown coding", post(own, key, "Transfer-Encoding: xchunked"), /^HTTP\/1.1 (?:400|501)/],
    ["space before a colon", post(own, key, "Transfer-Encoding : chunked"), /^HTTP\/1.1 400/],
    ["folded line", post(own, key, length, "X: a", " b"), /^HTTP\/1.1 400/],
    ["line feeds alone", post(own, key, length).replaceAll("\r", ""), /^HTTP\/1.1 (?:400|505)/],
    ["headers above 16 KiB", post(own, key, length, `X: ${"a".repeat(17_000)}`), /^HTTP\/1.1 431/],
    ["CONNECT", `CONNECT a:443 HTTP/1.1\r\n${own}\r\n${key}\r\n\r\n`, target.toConnect],
    [
      "two dots in the path",
      `GET /healthz/../v1/models HTTP/1.1\r\n${own}\r\n\r\n`,
      /^HTTP\/1.1 401/,
    ],
  ];
  test.each(hostile)("hostile head, %s: refused, and nothing goes up", async (_name, ...one) => {
    const [request, answer] = one;
    const client = await openRaw(proxy.url);
    client.send(request);
    const text = await client.read((t) => t.includes("\r\n\r\n"), 2000).catch(() => "silence");
    client.close();
    expect(text).toMatch(answer);
    expect(upstream.for("m-hostile")).toEqual([]);
    expect((await proxy.get("/healthz")).status).toBe(200);
  });

  test("headers of almost 16 KiB are taken", async () => {
    const long = ["x-long", "a".repeat(15_500)] as const;
    expect(await headOf(requestBytes("GET", "/v1/models", [...auth, long]))).toStartWith(
      "http/1.1 200",
    );
  });

  test.each([
    [198, "200"],
    [199, "431"],
    [1500, "431"],
  ])("a head of %d fields: %s", async (count, status) => {
    const fields = Array.from({ length: count - 1 }, (_, i) => [`a${i}`, "1"] as const);
    const text = requestBytes("GET", "/healthz", fields);
    expect(await headOf(text)).toStartWith(`http/1.1 ${status}`);
  });

  test("one connection serves one request after the other", async () => {
    const client = await openRaw(proxy.url);
    for (const model of ["m-keep-1", "m-keep-2", "m-keep-3"]) {
      client.send(requestBytes("POST", path, auth, JSON.stringify({ model, messages: [] })));
      await client.read((t) => t.includes(`"model":"${model}"`), 2000);
    }
    client.close();
  });
});
