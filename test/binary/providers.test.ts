import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import { needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { replyText } from "../harness/replies.ts";
import {
  bomb,
  compressed,
  drip,
  dropAtOnce,
  errorReply,
  garbage,
  hangBeforeHead,
  hangInWhole,
  hangMidStream,
  html500,
  leaky400,
  leaky401,
  normal,
  paced,
  rateLimited,
  redirect,
  shortLength,
  stale,
  unknownCoding,
} from "../harness/scripts.ts";
import { sleep } from "../harness/wait.ts";

const canary = "upstream-canary-key-77";
const messages = [{ role: "user", content: "hello" }];
const dialects = ["/v1/chat/completions", "/v1/messages"] as const;

let upstream: FakeUpstream;
let second: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  [upstream, second] = await Promise.all([startUpstream(), startUpstream()]);
  const timeout = { first_byte: "400ms", idle: "400ms", total: "1200ms" };
  proxy = await startProxy({
    config: {
      providers: {
        oai: {
          protocol: "openai",
          base_url: upstream.url,
          api_key: canary,
          timeout,
        },
        ant: { protocol: "claude", base_url: upstream.url, api_key: canary, timeout },
        named: {
          protocol: "openai-compatible",
          base_url: `${upstream.url}/deep/v4/`,
          models: ["plain", { name: "alias", upstream: "vendor/real-name" }],
        },
        first: {
          protocol: "openai",
          base_url: upstream.url,
          api_key: "first-key",
          models: ["shared", { name: "fails", upstream: "fails-1" }],
        },
        next: {
          protocol: "openai",
          base_url: second.url,
          api_key: "next-key",
          models: ["shared", { name: "fails", upstream: "fails-2" }],
        },
        dead: {
          protocol: "openai",
          base_url: "http://127.0.0.1:1",
          api_key: "dead-key",
          models: ["dead"],
        },
        nowhere: {
          protocol: "openai",
          base_url: "https://nowhere.invalid",
          api_key: "nowhere-key",
          models: ["nowhere"],
        },
        keyless: { protocol: "openai", base_url: upstream.url, models: ["keyless"] },
      },
    },
  });
});
afterAll(cleanUp);

function call(path: string, model: string, stream = false): Promise<Response> {
  return proxy.post(path, { model, stream, max_tokens: 9, messages });
}

function chat(model: string, stream = false): Promise<Response> {
  return call("/v1/chat/completions", model, stream);
}

describe("names", () => {
  type Case = readonly [model: string, status: number, target: string, upstreamModel: string];
  const cases: readonly Case[] = [
    ["plain", 200, "/deep/v4/chat/completions", "plain"],
    ["alias", 200, "/deep/v4/chat/completions", "vendor/real-name"],
    ["named/alias", 200, "/deep/v4/chat/completions", "vendor/real-name"],
    ["named/plain", 200, "/deep/v4/chat/completions", "plain"],
    ["oai/any-model", 200, "/v1/chat/completions", "any-model"],
    ["any-other", 200, "/v1/chat/completions", "any-other"],
    ["oai/org/model", 200, "/v1/chat/completions", "org/model"],
  ];
  test.each(cases)("%s", async (model, status, target, upstreamModel) => {
    const before = upstream.for(upstreamModel).length;
    const answer = await chat(model);
    expect(answer.status).toBe(status);
    await answer.text();
    const seen = upstream.for(upstreamModel);
    expect(seen).toHaveLength(before + 1);
    expect(seen.at(-1)?.target).toBe(target);
  });

  test("a keyless provider gets no credential, and never the client's", async () => {
    await (await chat("plain")).text();
    const seen = upstream.for("plain").at(-1);
    expect(seen?.header("authorization")).toBeUndefined();
    expect(seen?.header("x-api-key")).toBeUndefined();
  });

  test("a name that its own provider doesn't list goes to nobody else", async () => {
    const answer = await chat("named/unlisted");
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain("model_not_found");
    for (const model of ["named/unlisted", "unlisted"]) {
      expect(upstream.for(model)).toHaveLength(0);
    }
  });

  test("only the name changes in the body", async () => {
    const body = `{"messages":[{"role":"user","content":"alias"}], "model" : "alias","n":1e0}`;
    await (await proxy.post("/v1/chat/completions", body)).text();
    const seen = upstream.for("vendor/real-name").at(-1)?.text;
    expect(seen).toBe(body.replace('"model" : "alias"', '"model" : "vendor/real-name"'));
  });

  test("the list holds names, aliases and the providers' own lists; no upstream name", async () => {
    const list = (await (await proxy.get("/v1/models")).json()) as { data: { id: string }[] };
    const ids = list.data.map((m) => m.id);
    for (const id of ["plain", "alias", "shared", "fake-1", "fake-2"]) expect(ids).toContain(id);
    expect(ids).not.toContain("vendor/real-name");
    expect(new Set(ids).size).toBe(ids.length);
    const asked = upstream.received.filter((r) => r.method === "GET" && !r.isMessages);
    expect(asked[0]?.target).toBe("/v1/models");
    expect(asked[0]?.header("authorization")).toBe(`Bearer ${canary}`);
    await proxy.get("/v1/models");
    expect(upstream.received.filter((r) => r.method === "GET" && !r.isMessages)).toHaveLength(1);
  });

  test("one model, with a slash in its name", async () => {
    expect((await proxy.get("/v1/models/alias")).status).toBe(200);
    expect((await proxy.get("/v1/models/no/such")).status).toBe(404);
  });

  test("a provider without its credential is a 503, in words", async () => {
    const answer = await chat("keyless");
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain("credential");
    expect(proxy.greeting.warnings.join()).toContain("keyless");
  });

  test("a model of another dialect says so, where nothing is translated", async () => {
    const answer = await call("/v1beta/models/plain:embedContent", "plain");
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("speaks openai-chat");
  });
});

describe("faults of the provider, in both dialects:", () => {
  type Case = readonly [
    name: string,
    script: Script,
    status: number,
    code: string | undefined,
    maxMs: number,
  ];
  const own = (message: string) => JSON.stringify({ error: { message, type: "t" }, type: "error" });
  const cases: readonly Case[] = [
    ["garbage instead of HTTP", garbage, 502, "upstream_bad_answer", 700],
    ["reset at once", dropAtOnce("reset"), 502, "upstream_unreachable", 700],
    ["end at once", dropAtOnce("end"), 502, "upstream_unreachable", 700],
    ["silence before the head", hangBeforeHead, 504, "upstream_timeout", 900],
    ["silence in a whole reply", hangInWhole, 504, "upstream_timeout", 900],
    ["short content-length", shortLength(), 502, "upstream_truncated", 700],
    ["HTML 500", html500, 502, "upstream_bad_answer", 700],
    ["401 with the key", leaky401, 502, "upstream_refused_credential", 700],
    ["403", errorReply(403, own("forbidden")), 502, "upstream_refused_credential", 700],
    ["400 with the key", leaky400, 502, "upstream_bad_answer", 700],
    ["400 in its own words", errorReply(400, own("own-words")), 400, undefined, 700],
    ["500 in its own words", errorReply(500, own("own-words")), 500, undefined, 700],
    ["529 in its own words", errorReply(529, own("own-words")), 529, undefined, 700],
    ["429", rateLimited("7"), 429, undefined, 700],
    ["redirect", redirect("http://127.0.0.1:1/evil"), 502, "upstream_bad_answer", 700],
    ["redirect 302 to itself", redirect("/v1/messages", 302), 502, "upstream_bad_answer", 700],
    ["304", (wire) => wire.head(304, {}), 502, "upstream_bad_answer", 700],
    ["unknown coding", unknownCoding, 502, "upstream_bad_answer", 700],
    [
      "two lengths that differ",
      (wire) => wire.raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}"),
      502,
      "upstream_bad_answer",
      700,
    ],
  ];
  const all = cases.flatMap(([name, ...rest]) =>
    dialects.map((path) => [`${name}, ${path}`, path, ...rest] as const),
  );
  test.concurrent.each(all)("%s", async (name, path, script, status, code, maxMs) => {
    upstream.on(name, script);
    const started = performance.now();
    const answer = await call(path, name);
    const text = await answer.text();
    expect(answer.status).toBe(status);
    expect(performance.now() - started).toBeLessThan(maxMs);
    expect(answer.headers.get("content-type")).toStartWith("application/json");
    const body = JSON.parse(text) as { type?: string; error: { code?: string; message?: string } };
    if (code !== undefined && path.endsWith("completions")) expect(body.error.code).toBe(code);
    if (code !== undefined && path.endsWith("messages")) expect(body.type).toBe("error");
    if (name.includes("own words")) expect(text).toContain("own-words");
    if (name.startsWith("429")) expect(answer.headers.get("retry-after")).toBe("7");
    if (code === "upstream_refused_credential") {
      expect(answer.headers.get("x-should-retry")).toBe("false");
    }
    for (const secret of [canary, "secret", "10.1.2.3", "127.0.0.1", upstream.url]) {
      expect(text + JSON.stringify([...answer.headers])).not.toContain(secret);
    }
  });

  test("nobody at its address, and no such host: 502 without the address", async () => {
    for (const model of ["dead", "nowhere"]) {
      const answer = await chat(model);
      const text = await answer.text();
      expect(answer.status).toBe(502);
      expect(text).toContain("upstream_unreachable");
      expect(text).not.toContain("127.0.0.1");
      expect(text).not.toContain("nowhere.invalid");
    }
  });

  test("redirects are not followed: the credential goes nowhere else", async () => {
    const before = second.received.length;
    upstream.on("m-redirect", redirect(`${second.url}/v1/chat/completions`));
    expect((await chat("m-redirect")).status).toBe(502);
    expect(second.received.length).toBe(before);
  });
});

describe("failover", () => {
  const failing: readonly (readonly [name: string, script: Script])[] = [
    ["429", rateLimited("7")],
    ["500", html500],
    ["401", leaky401],
    ["reset", dropAtOnce("reset")],
    ["redirect", redirect("/")],
  ];
  test.each(failing)("after %s the next provider answers", async (_name, script) => {
    upstream.on("fails-1", script);
    const before = second.for("fails-2").length;
    const answer = await chat("fails");
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain(replyText());
    expect(second.for("fails-2")).toHaveLength(before + 1);
    expect(second.for("fails-2").at(-1)?.header("authorization")).toBe("Bearer next-key");
  });

  test("a 400 is about the request: nobody else is asked", async () => {
    upstream.on("fails-1", errorReply(400, '{"error":{"message":"own-words"}}'));
    const before = second.for("fails-2").length;
    expect((await chat("fails")).status).toBe(400);
    expect(second.for("fails-2")).toHaveLength(before);
  });

  test("after the first byte there is none: the client is told instead", async () => {
    upstream.on("fails-1", async (wire, request) => {
      await wire.stream();
      await wire.chunk(`data: {"id":"1","model":"${request.json.model}","choices":[]}\n\n`);
      wire.reset();
    });
    const before = second.for("fails-2").length;
    const answer = await chat("fails", true);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("upstream_truncated");
    expect(second.for("fails-2")).toHaveLength(before);
  });

  test("all fail: the last one's words", async () => {
    upstream.on("fails-1", html500);
    second.queue(rateLimited("9"));
    const answer = await chat("fails");
    expect(answer.status).toBe(429);
    expect(answer.headers.get("retry-after")).toBe("9");
  });
});

describe("a stale connection", () => {
  const ways = ["reset", "end"] as const;
  test.each(ways)(
    "closed by %s right when the request arrives: sent exactly once more",
    async (how) => {
      const own = await startUpstream();
      own.on("m-stale", stale(how));
      const mine = await startProxy({
        config: { providers: { oai: { protocol: "openai", base_url: own.url, api_key: "k" } } },
      });
      for (let i = 0; i < 5; i++) {
        const body = { model: "m-stale", messages };
        const answer = await mine.post("/v1/chat/completions", body);
        expect(answer.status).toBe(200);
        expect(await answer.text()).toContain(replyText());
      }
      const seen = own.for("m-stale");
      // What is sent once more goes on a connection of its own, which is not kept.
      expect(seen.filter((r) => r.dropped)).toHaveLength(2);
      expect(seen.filter((r) => !r.dropped)).toHaveLength(5);
      expect(await mine.stop()).toBe(0);
    },
  );

  test("a provider that drops every connection is asked twice, not for ever", async () => {
    upstream.on("m-drops", dropAtOnce("reset"));
    expect((await chat("m-drops")).status).toBe(502);
    expect(upstream.for("m-drops")).toHaveLength(2);
  });

  test.each(ways)(
    "a first connection closed by %s after the request: never sent twice",
    async (how) => {
      const own = await startUpstream();
      own.on("m-first", dropAtOnce(how));
      const mine = await startProxy({
        config: { providers: { oai: { protocol: "openai", base_url: own.url, api_key: "k" } } },
      });
      const answer = await mine.post("/v1/chat/completions", { model: "m-first", messages });
      expect(answer.status).toBe(502);
      expect(await answer.text()).toContain("upstream_unreachable");
      expect(own.for("m-first")).toHaveLength(1);
      expect(await mine.stop()).toBe(0);
    },
  );

  // The runtime gives one error for a stale connection and for one that broke in the head.
  test("a connection that breaks in the head is tried once more, and no third time", async () => {
    upstream.on("m-half-head", async (wire) => {
      await wire.raw("HTTP/1.1 200 OK\r\ncontent-ty");
      await sleep(20);
      wire.reset();
    });
    expect((await chat("m-half-head")).status).toBe(502);
    expect(upstream.for("m-half-head").length).toBeLessThanOrEqual(2);
  });

  test("keep-alive: ten requests in a row share a connection", async () => {
    const own = await startUpstream();
    const mine = await startProxy({
      config: { providers: { oai: { protocol: "openai", base_url: own.url, api_key: "k" } } },
    });
    for (let i = 0; i < 10; i++) {
      await (await mine.post("/v1/chat/completions", { model: "m", messages })).text();
    }
    expect(new Set(own.for("m").map((r) => r.connection)).size).toBe(1);
    expect(await mine.stop()).toBe(0);
  });
});

describe("deadlines", () => {
  test.concurrent("first byte: the request upstream is cancelled", async () => {
    upstream.on("m-hang", hangBeforeHead);
    const answer = await chat("m-hang");
    expect(answer.status).toBe(504);
    await (await upstream.arrived("m-hang")).gone(1000);
  });

  const paths = dialects.map((path) => [path] as const);
  test.concurrent.each(paths)("idle: an error event, then the end: %s", async (path) => {
    const model = `m-idle ${path}`;
    upstream.on(model, hangMidStream);
    const started = performance.now();
    const text = await (await call(path, model, true)).text();
    // Deadlines are looked at every 100 ms.
    expect(performance.now() - started).toBeWithin(290, 900);
    expect(text).toContain("did not answer in time");
    if (path.endsWith("messages")) expect(text).toContain("event: error\n");
    await (await upstream.arrived(model)).gone(1000);
  });

  test.concurrent("a stream that is alive outlives the idle limit", async () => {
    upstream.on("m-alive", paced(90));
    const text = await (await chat("m-alive", true)).text();
    expect(text).toEndWith("data: [DONE]\n\n");
  });

  test.concurrent("total: a drip ends, however lively", async () => {
    upstream.on("m-drip", drip(100));
    const started = performance.now();
    const text = await (await chat("m-drip", true)).text();
    expect(performance.now() - started).toBeWithin(1100, 1800);
    expect(text).toContain("upstream_timeout");
  });
});

describe("compression that nobody asked for", () => {
  const codings = ["gzip", "br", "deflate"] as const;
  const all = codings.flatMap((coding) => dialects.map((path) => [coding, path] as const));
  test.concurrent.each(all)("%s on %s arrives plain", async (coding, path) => {
    upstream.on(`m-${coding}`, compressed(coding));
    for (const stream of [false, true]) {
      const answer = await call(path, `m-${coding}`, stream);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-encoding")).toBeNull();
      const text = await answer.text();
      expect(text).toContain(stream ? " upstream: naïve façade 🦊" : replyText());
      expect(text).not.toContain("upstream_truncated");
    }
  });

  function rssOf(pid: number): number {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  test("a bomb of 200 MB is bounded: told, no memory", async () => {
    upstream.on("m-bomb", bomb(200));
    await (await chat("warm-up")).text();
    const before = rssOf(proxy.pid);
    for (const stream of [false, true]) {
      const got = await chat("m-bomb", stream)
        .then((answer) => answer.text())
        .catch(() => "cut");
      expect(got.length).toBeLessThan(50_000_000);
      if (stream) expect(got).toContain("upstream_truncated");
      else expect(got).toContain("upstream_bad_answer");
    }
    expect(rssOf(proxy.pid) - before).toBeLessThan(50_000_000);
    expect((await chat("after-bomb")).status).toBe(200);
  });
});

test("long replies go through whole", async () => {
  const text = ["x".repeat(3_000_000)];
  upstream.on("m-long", normal({ text }));
  for (const path of dialects) {
    expect(await (await call(path, "m-long")).text()).toContain(text[0] ?? "");
    expect(await (await call(path, "m-long", true)).text()).toContain(text[0] ?? "");
  }
});

test("a long reply that breaks off is cut, never a clean end", async () => {
  upstream.on("m-long-short", async (wire) => {
    await wire.head(200, { "content-type": "application/json", "content-length": "5000000" });
    await wire.raw(`{"a":"${"x".repeat(1_000_000)}`);
    wire.close();
  });
  const answer = chat("m-long-short").then((a) => a.text());
  expect(answer).rejects.toThrow();
  await answer.catch(() => {});
});

test("ends with exit code 0; no credential in any output", async () => {
  expect(proxy.stdout() + proxy.stderr()).not.toContain(canary);
  expect(await proxy.stop()).toBe(0);
});
