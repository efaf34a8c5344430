import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { type Answer, ask, headerOf } from "../harness/answer.ts";
import { createAuthority } from "../harness/certificates.ts";
import { cleanUp, onCleanup } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { hangBeforeHead, normal } from "../harness/scripts.ts";
import { partsOf, raw, rawEnd } from "../harness/upstream/faults.ts";
import { sleep, until } from "../harness/wait.ts";
import { openBlackHole } from "./black-hole.ts";
import { canary, dialects, timeouts } from "./upstream-bench.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const messages = [{ role: "user", content: "hello" }];
const headers = [["authorization", `Bearer ${clientKey}`]] as const;

function chat({ url }: RunningProxy, model: string, more: object = {}): Promise<Answer> {
  return ask(url, "/v1/chat/completions", headers, JSON.stringify({ model, messages, ...more }));
}

async function proxyFor(base_url: string, timeout: object = timeouts): Promise<RunningProxy> {
  const provider = { protocol: "openai", base_url, api_key: canary, timeout };
  return startProxy({ config: { providers: { oai: provider } } });
}

/** A server without TLS, which takes a handshake for a bad request. */
async function openPlain(): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onCleanup(() => server.close());
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a provider that can't be reached, or is not who it should be", () => {
  const places = ["trusted", "self-signed", "expired", "wrong name", "CA unknown"] as const;
  const others = [
    "refused",
    "no such host",
    "black hole",
    "plain on TLS port",
    "TLS on plain port",
    "silent handshake",
  ] as const;
  type Place = (typeof places)[number] | (typeof others)[number];
  const bases = new Map<Place, string>();
  const upstreams: FakeUpstream[] = [];
  let proxy: RunningProxy;

  beforeAll(async () => {
    const authority = createAuthority();
    const names = "DNS:localhost,IP:127.0.0.1";
    const open = async (...args: Parameters<typeof startUpstream>): Promise<string> => {
      const upstream = await startUpstream(...args);
      upstreams.push(upstream);
      return upstream.url;
    };
    const silent = await startUpstream();
    bases.set("trusted", await open(authority.sign(names, 2)));
    bases.set("self-signed", await open(authority.selfSigned(names)));
    bases.set("expired", await open(authority.sign(names, -1)));
    bases.set("wrong name", await open(authority.sign("DNS:other.example", 2)));
    bases.set("CA unknown", await open(createAuthority().sign(names, 2)));
    bases.set("refused", "http://127.0.0.1:1");
    bases.set("no such host", "https://nowhere.invalid");
    bases.set("black hole", await openBlackHole());
    bases.set("plain on TLS port", (bases.get("trusted") ?? "").replace("https:", "http:"));
    bases.set("TLS on plain port", await openPlain());
    bases.set("silent handshake", silent.url.replace("http:", "https:"));
    const providers = Object.fromEntries(
      [...bases].map(([place, base_url]) => {
        const models = [place];
        const provider = {
          protocol: "openai",
          base_url,
          api_key: canary,
          timeout: timeouts,
          models,
        };
        return [place.toLowerCase().replaceAll(" ", "-"), provider];
      }),
    );
    proxy = await startProxy({
      config: { providers },
      env: { NODE_EXTRA_CA_CERTS: authority.file },
    });
  });

  const cases: readonly (readonly [place: Place, status: number, code: string])[] = [
    ["trusted", 200, "Hello"],
    ["self-signed", 502, "upstream_unreachable"],
    ["expired", 502, "upstream_unreachable"],
    ["wrong name", 502, "upstream_unreachable"],
    ["CA unknown", 502, "upstream_unreachable"],
    ["refused", 502, "upstream_unreachable"],
    ["no such host", 502, "upstream_unreachable"],
    ["plain on TLS port", 502, "upstream_unreachable"],
    ["TLS on plain port", 502, "upstream_unreachable"],
    ["silent handshake", 504, "upstream_timeout"],
    ["black hole", 504, "upstream_timeout"],
  ];
  test.concurrent.each(cases)("%s", async (place, status, words) => {
    for (const stream of [false, true]) {
      const answer = await chat(proxy, place, { stream });
      expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(words)]);
      if (status === 200) continue;
      for (const secret of [
        canary,
        "127.0.0.1",
        "localhost",
        "invalid",
        "ertificate",
        "CERT",
        "TLS",
      ]) {
        expect(answer.text).not.toContain(secret);
      }
    }
  });

  test("nobody but the trusted one has seen a request, or the credential", () => {
    expect(upstreams.map((u) => u.received.length)).toEqual([2, 0, 0, 0, 0]);
  });

  test("the log says what is wrong, and names no address", async () => {
    const log = proxy.stderr();
    for (const word of ["CERT", "SELF_SIGNED", "ECONNREFUSED"]) expect(log).toContain(word);
    for (const secret of [canary, "127.0.0.1"]) expect(log).not.toContain(secret);
    expect(log).not.toContain('"level":"error"');
    expect(await proxy.stop()).toBe(0);
  });
});

describe("a kept connection", () => {
  test("what comes on it unasked is nobody's answer", async () => {
    const upstream = await startUpstream();
    const proxy = await proxyFor(upstream.url);
    upstream.on("poisons", async (wire, request) => {
      const p = partsOf(request);
      const poison = '{"poison":"yes"}';
      await wire.raw(p.head("200 OK", p.json, p.length(p.reply)) + p.reply);
      await sleep(50);
      if (!wire.isReused) await wire.raw(p.head("200 OK", p.json, p.length(poison)) + poison);
    });
    for (let i = 0; i < 5; i++) {
      expect((await chat(proxy, "poisons")).status).toBe(200);
      // Long after it came: what crosses the next request on the wire can't be told from an answer.
      await sleep(200 + i * 12);
      const next = await chat(proxy, "victim");
      expect([next.status, next.body.includes("poison")]).toEqual([200, false]);
    }
    expect(await proxy.stop()).toBe(0);
  });

  test("many that went stale together: every request is answered", async () => {
    const upstream = await startUpstream();
    const proxy = await proxyFor(upstream.url);
    upstream.on("warm", async (wire, request) => {
      await until("all are here", () => upstream.for("warm").length % 16 === 0);
      await normal()(wire, request);
      wire.closeOnNext("reset");
    });
    const sixteen = (model: string) => Array.from({ length: 16 }, () => chat(proxy, model));
    await Promise.all(sixteen("warm"));
    const answers = await Promise.all(sixteen("after"));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(await proxy.stop()).toBe(0);
  });

  const late: readonly (readonly [afterMs: number, sent: number])[] = [
    [0, 2],
    [500, 1],
  ];
  test.each(late)("a hang-up %d ms after the request: sent %d times", async (afterMs, sent) => {
    const upstream = await startUpstream();
    const proxy = await proxyFor(upstream.url);
    for (let i = 0; i < 3; i++) expect((await chat(proxy, "fast")).status).toBe(200);
    upstream.on("hangs up", async (wire) => {
      await sleep(afterMs);
      wire.close();
    });
    const answer = await chat(proxy, "hangs up");
    expect([answer.status, upstream.for("hangs up").length]).toEqual([502, sent]);
    expect(upstream.connections).toBe(sent);
    expect(await proxy.stop()).toBe(0);
  });

  test("a slow provider that hangs up sooner than it ever answered may be stale", async () => {
    const upstream = await startUpstream();
    const proxy = await proxyFor(upstream.url, { first_byte: "5s" });
    upstream.on("slow", async (wire, request) => {
      await sleep(600);
      await normal()(wire, request);
    });
    expect((await chat(proxy, "slow")).status).toBe(200);
    upstream.on("hangs up", async (wire) => {
      await sleep(250);
      wire.close();
    });
    expect((await chat(proxy, "hangs up")).status).toBe(502);
    expect(upstream.for("hangs up")).toHaveLength(2);
    expect(await proxy.stop()).toBe(0);
  });

  test("what a provider leaves half said is not used again", async () => {
    const upstream = await startUpstream();
    const proxy = await proxyFor(upstream.url);
    upstream.on(
      "half",
      raw((p) => p.head("200 OK", p.json, "Content-Length: 900") + p.reply),
    );
    expect((await chat(proxy, "half")).status).toBe(504);
    await (await upstream.arrived("half")).gone();
    const next = await chat(proxy, "next");
    expect(next.status).toBe(200);
    expect(upstream.for("next")[0]?.connection).not.toBe(upstream.for("half")[0]?.connection);
    expect(await proxy.stop()).toBe(0);
  });
});

describe("an answer before the request is read", () => {
  const content = "x".repeat(8_000_000);
  const ends: readonly (readonly [name: string, end: boolean])[] = [
    ["and the connection stays", false],
    ["and the connection is closed", true],
  ];
  test.each(ends)("%s: passed on, or told", async (_name, end) => {
    for (const { path, body } of dialects) {
      const upstream = await startUpstream();
      const proxy = await startProxy({
        config: {
          providers: {
            oai: { protocol: "openai", base_url: upstream.url, api_key: canary, timeout: timeouts },
            ant: { protocol: "claude", base_url: upstream.url, api_key: canary, timeout: timeouts },
          },
        },
      });
      upstream.early = (end ? rawEnd : raw)((p) => {
        const error = p.error(413);
        return p.head("413 X", p.json, p.length(error)) + error;
      });
      const asked = { ...body("early", false), messages: [{ role: "user", content }] };
      const answer = await ask(proxy.url, path("early", false), headers, JSON.stringify(asked));
      // What was sent into a closed connection may cost the answer.
      expect(answer.status).toBeOneOf(end ? [413, 502] : [413]);
      if (answer.status === 413) expect(answer.body).toContain("own-words");
      upstream.early = undefined;
      expect((await chat(proxy, "fine")).status).toBe(200);
      expect(await proxy.stop()).toBe(0);
    }
  });
});

test("retry-after of a provider that is down comes with our words, too", async () => {
  const upstream = await startUpstream();
  const proxy = await proxyFor(upstream.url);
  upstream.on(
    "down",
    raw((p) => `${p.head("503 X", "Retry-After: 7", "Content-Length: 4")}down`),
  );
  const answer = await chat(proxy, "down");
  expect([answer.status, headerOf(answer, "retry-after")]).toEqual([502, "7"]);
  expect(await proxy.stop()).toBe(0);
});

test("silence is cut by the deadline, also with a full house", async () => {
  const upstream = await startUpstream();
  const proxy = await proxyFor(upstream.url);
  upstream.on("hangs", hangBeforeHead);
  const answers = await Promise.all(Array.from({ length: 100 }, () => chat(proxy, "hangs")));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([504]));
  await until("all are gone upstream", () => upstream.for("hangs").every((r) => r.goneAtMs));
  expect(await proxy.stop()).toBe(0);
});
