import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { cleanUp } from "../harness/cleanup.ts";
import type { Script } from "../harness/fake-upstream.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { openRaw, type RawClient, rawExchange, requestBytes } from "../harness/raw.ts";
import { sleep } from "../harness/wait.ts";
import {
  type GeminiUpstream,
  geminiKey,
  geminiText,
  modelOf,
  openPieces,
  piecesOf,
  refusing,
  startGemini,
  usual,
} from "./gemini-upstream.ts";

const contents = [{ role: "user", parts: [{ text: "hello" }] }];
const content = { parts: [{ text: "hello" }] };
const key = [["x-goog-api-key", clientKey]] as const;
const limitedKey = "cpk_limited-3Kd8Lw2Rb7Tn5Yc1Hs9Jf4Gp6Qm0vXz";

let upstream: GeminiUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startGemini([
    ...["m-1", "gemini-fast-1", "gemini-slashed", "m-allowed"],
    ...["m-query", "m-fields", "m-headers"],
  ]);
  const gem = {
    protocol: "gemini",
    base_url: upstream.url,
    api_key: geminiKey,
    timeout: { idle: "500ms" },
  };
  proxy = await startProxy({
    config: {
      auth: {
        allow_query_key: true,
        api_keys: [
          { id: "tester", user_id: "tester@example.org", key: clientKey },
          { id: "limited", user_id: "limited@example.org", key: limitedKey, models: ["m-allowed"] },
        ],
      },
      providers: {
        gem,
        alias: {
          ...gem,
          models: [
            { name: "fast", upstream: "gemini-fast-1" },
            { name: "org/slashed", upstream: "models/gemini-slashed" },
          ],
        },
        pair: {
          ...gem,
          api_key: undefined,
          models: ["m-pair-1", "m-pair-2", "m-pair-3", "m-pair-4"],
        },
        oai: { protocol: "openai", base_url: upstream.url, api_key: "k", models: ["gpt-x"] },
      },
    },
    prepare(dir) {
      const auths = `${dir}/auths`;
      mkdirSync(auths, { mode: 0o700 });
      for (const [name, priority] of [
        ["first", 0],
        ["second", 1],
      ] as const) {
        const file = { type: "api_key", token: `gemini-${name}-secret`, priority };
        writeFileSync(`${auths}/pair-${name}.json`, JSON.stringify(file), { mode: 0o600 });
      }
    },
  });
});
afterAll(cleanUp);

function post(target: string, body: unknown, more: Record<string, string> = {}): Promise<Response> {
  return fetch(proxy.url + target, {
    method: "POST",
    headers: { "x-goog-api-key": clientKey, "content-type": "application/json", ...more },
    body: typeof body === "string" ? body : JSON.stringify(body),
    keepalive: false,
  });
}

async function openStream(model: string, query = ""): Promise<RawClient> {
  const client = await openRaw(proxy.url);
  const target = `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent${query}`;
  client.send(requestBytes("POST", target, key, JSON.stringify({ contents })));
  return client;
}

/** The body that has arrived so far, without its chunked framing. */
function bodyOf(client: RawClient): string {
  const bytes = Buffer.from(client.bytes());
  let at = bytes.indexOf("\r\n\r\n") + 4;
  let body = "";
  for (;;) {
    const end = bytes.indexOf("\r\n", at);
    const size = end < 0 ? 0 : Number.parseInt(bytes.toString("latin1", at, end), 16);
    if (!(size > 0)) return body;
    body += bytes.toString("latin1", end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}

function asLatin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}

describe("streaming without alt=sse", () => {
  test("goes by in pieces, as they come, byte for byte", async () => {
    let goOn = (): void => {};
    const wanted = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let sent = "";
    upstream.on("m-array", async (wire, request) => {
      const pieces = piecesOf(request);
      sent = pieces.join("");
      await openPieces(wire, request);
      await wire.chunk(pieces[0] ?? "");
      await wanted;
      for (const byte of Buffer.from(pieces.slice(1).join(""))) {
        await wire.chunk(Uint8Array.of(byte));
      }
      await wire.endChunks();
    });
    const client = await openStream("m-array");
    const early = await client.read((text) => text.includes('"Hello"'));
    expect(early).toStartWith("HTTP/1.1 200");
    expect(early).toMatch(/content-type: application\/json/i);
    expect(early).not.toContain("STOP");
    goOn();
    await client.read((text) => text.endsWith("\r\n0\r\n\r\n"));
    expect(bodyOf(client)).toBe(asLatin1(sent));
    client.close();
    const [seen] = upstream.for("m-array");
    expect(seen?.target).toBe("/v1beta/models/m-array:streamGenerateContent");
  });

  /** All but the closing bracket, and before that without the last answer, too. */
  const begin =
    (without: number): Script =>
    async (wire, request) => {
      await openPieces(wire, request);
      for (const piece of piecesOf(request).slice(0, -without)) await wire.chunk(piece);
    };
  const breaks: readonly (readonly [name: string, script: Script])[] = [
    [
      "ends before its reason",
      async (wire, request) => {
        await begin(2)(wire, request);
        await wire.endChunks();
      },
    ],
    [
      "is closed before its reason",
      async (wire, request) => {
        await begin(2)(wire, request);
        await wire.chunk("]");
        await wire.endChunks();
      },
    ],
    [
      "ends before its bracket",
      async (wire, request) => {
        await begin(1)(wire, request);
        await wire.endChunks();
      },
    ],
    [
      "ends in an element",
      async (wire, request) => {
        await openPieces(wire, request);
        await wire.chunk(piecesOf(request).join("").slice(0, -60));
        await wire.endChunks();
      },
    ],
    [
      "is reset",
      async (wire, request) => {
        await begin(2)(wire, request);
        await sleep(30);
        wire.reset();
      },
    ],
    ["falls silent", begin(2)],
  ];
  test.concurrent.each(breaks)(
    "an array that %s is cut, and nothing is added",
    async (name, script) => {
      const model = `array ${name}`;
      upstream.on(model, script);
      const client = await openStream(model);
      await client.closed();
      const text = client.text();
      // Without its last chunk no HTTP client takes it for whole. How much came before, nobody
      // can tell: a reset takes along what is still on its way.
      expect(text).not.toEndWith("0\r\n\r\n");
      expect(text).not.toContain('"error"');
      expect(upstream.for(model)).toHaveLength(1);
      client.close();
    },
  );

  test("the provider's own error goes through as it is", async () => {
    const error = `,\r\n${JSON.stringify({ error: { code: 503, status: "UNAVAILABLE" } })}\n]\n`;
    let sent = "";
    upstream.on("m-own-error", async (wire, request) => {
      sent = piecesOf(request).slice(0, 2).join("") + error;
      await openPieces(wire, request);
      await wire.chunk(sent);
      await wire.endChunks();
    });
    const client = await openStream("m-own-error");
    await client.read((text) => text.endsWith("\r\n0\r\n\r\n"));
    expect(bodyOf(client)).toBe(asLatin1(sent));
    client.close();
  });
});

test.each(["", "?alt=sse"])("a client that leaves is gone upstream: %j", async (query) => {
  const model = `m-leaves${query.length}`;
  upstream.on(model, async (wire, request) => {
    await openPieces(wire, request);
    while (wire.isOpen) {
      await wire.chunk(query === "" ? " " : ": tick\n\n");
      await sleep(20);
    }
  });
  const client = await openStream(model, query);
  await client.read((text) => text.includes("\r\n\r\n"));
  const seen = await upstream.arrived(model);
  expect(seen.goneAtMs).toBeUndefined();
  client.vanish();
  await seen.gone(2000);
});

describe("failover between credentials", () => {
  const failing: readonly (readonly [name: string, model: string, script: Script])[] = [
    ["401", "m-pair-1", refusing(401, "UNAUTHENTICATED")],
    [
      "400 about the key",
      "m-pair-4",
      refusing(400, "INVALID_ARGUMENT", { details: [{ reason: "API_KEY_INVALID" }] }),
    ],
    ["429", "m-pair-2", refusing(429, "RESOURCE_EXHAUSTED")],
    ["503", "m-pair-3", refusing(503, "UNAVAILABLE")],
  ];
  test.each(failing)("after %s the next one is tried", async (_name, model, script) => {
    upstream.on(model, (wire, request) => {
      const isFirst = request.header("x-goog-api-key") === "gemini-first-secret";
      return (isFirst ? script : usual)(wire, request);
    });
    for (const query of ["", "?alt=sse"]) {
      const answer = await post(`/v1beta/models/${model}:streamGenerateContent${query}`, {
        contents,
      });
      expect(answer.status).toBe(200);
      expect(await answer.text()).toContain("STOP");
    }
    const keys = upstream.for(model).map((request) => request.header("x-goog-api-key"));
    expect(keys.slice(0, 2)).toEqual(["gemini-first-secret", "gemini-second-secret"]);
  });
});

test("a key that Google calls a bad request is the proxy's fault, not the client's", async () => {
  const words = { message: "API key not valid: AIza…", details: [{ reason: "API_KEY_INVALID" }] };
  upstream.on("m-bad-key", refusing(400, "INVALID_ARGUMENT", words));
  const answer = await post("/v1beta/models/m-bad-key:generateContent", { contents });
  expect(answer.status).toBe(502);
  const text = await answer.text();
  expect(text).toContain("UPSTREAM_REFUSED_CREDENTIAL");
  expect(text).not.toContain("AIza");
});

describe("names of models", () => {
  const calls: readonly (readonly [
    target: string,
    body: unknown,
    sent: string,
    sentBody?: unknown,
  ])[] = [
    ["/v1beta/models/m-1:generateContent", { contents }, "m-1:generateContent"],
    ["/v1/models/m-1:generateContent", { contents }, "m-1:generateContent"],
    ["/v1/models/models/m-1:generateContent", { contents }, "m-1:generateContent"],
    ["/v1/models/models%2Fm-1:generateContent", { contents }, "m-1:generateContent"],
    ["/v1beta/models/gem/m-1:generateContent", { contents }, "m-1:generateContent"],
    ["/v1beta/models/gem%2Fm-1:countTokens", { contents }, "m-1:countTokens"],
    ["/v1beta/models/fast:generateContent", { contents }, "gemini-fast-1:generateContent"],
    ["/v1beta/models/alias/fast:generateContent", { contents }, "gemini-fast-1:generateContent"],
    ["/v1/models/org%2Fslashed:generateContent", { contents }, "gemini-slashed:generateContent"],
    [
      "/v1beta/models/fast:embedContent",
      { content, model: "models/fast" },
      "gemini-fast-1:embedContent",
      { content, model: "models/gemini-fast-1" },
    ],
    [
      "/v1beta/models/fast:batchEmbedContents",
      { requests: [{ model: "models/fast", content }, { content, model: "fast" }, { content }] },
      "gemini-fast-1:batchEmbedContents",
      {
        requests: [
          { model: "models/gemini-fast-1", content },
          { content, model: "models/gemini-fast-1" },
          { content },
        ],
      },
    ],
    [
      "/v1beta/models/gem/m-1:countTokens",
      { generateContentRequest: { model: "models/gem/m-1", contents } },
      "m-1:countTokens",
      { generateContentRequest: { model: "models/m-1", contents } },
    ],
  ];
  test.each(calls)("%s %j", async (target, body, sent, ...more) => {
    const answer = await post(target, body);
    expect(answer.status).toBe(200);
    await answer.text();
    const seen = upstream.fake.received.at(-1);
    expect(seen?.target).toBe(`/v1beta/models/${sent}`);
    const [sentBody = body] = more.filter((one) => typeof one === "object");
    expect(seen?.text).toBe(JSON.stringify(sentBody));
  });

  const refused: readonly (readonly [target: string, body: unknown, status: number])[] = [
    ["/v1beta/models/m-allowed:embedContent", { content, model: "models/m-2" }, 400],
    [
      "/v1beta/models/m-allowed:batchEmbedContents",
      {
        requests: [
          { model: "models/m-allowed", content },
          { model: "models/m-2", content },
        ],
      },
      400,
    ],
    [
      "/v1beta/models/m-allowed:countTokens",
      { generateContentRequest: { model: "models/m-2", contents } },
      400,
    ],
    ["/v1beta/models/m-allowed:generateContent", '{"model":"m-allowed","model":"m-2"}', 400],
    ["/v1beta/models/m-2:generateContent", { contents }, 403],
    ["/v1beta/models/m-2:generateContent", { contents, model: "m-allowed" }, 400],
    ["/v1beta/models/m-2%2F..%2Fm-allowed:generateContent", { contents }, 400],
    ["/v1beta/models/m-2%3Fx=m-allowed:generateContent", { contents }, 400],
    ["/v1beta/models/m-2:generateContent:generateContent", { contents }, 403],
  ];
  test.each(refused)(
    "what is not allowed does not go upstream: %s %j",
    async (target, body, status) => {
      const before = upstream.fake.received.length;
      const answer = await post(target, body, { "x-goog-api-key": limitedKey });
      expect(answer.status).toBe(status);
      expect(((await answer.json()) as { error: { code: number } }).error.code).toBe(status);
      expect(upstream.fake.received.length).toBe(before);
    },
  );

  test("the one that is allowed does", async () => {
    const target = "/v1beta/models/m-allowed:generateContent";
    const answer = await post(target, { contents }, { "x-goog-api-key": limitedKey });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain(geminiText);
  });

  // Sent raw: fetch would tidy the path up.
  const escapes = [
    ...[
      "..",
      "%2e%2e",
      "..%2f..%2ffiles",
      "%2e%2e%2f%2e%2e%2ffiles",
      "a/../../files",
      "a%2f..%2fb",
    ],
    ...["a%3Fkey=x", "a%23x", "a%5C..%5Cb", "a%252F..%252Fb", "a%00", "%ff", "%zz", "a//b", ""],
  ];
  test.each(escapes)("no name leaves the path: %j", async (name) => {
    const before = upstream.fake.received.length;
    const target = `/v1beta/models/${name}:generateContent`;
    const answer = await rawExchange(proxy.url, "POST", target, key, JSON.stringify({ contents }));
    expect(answer).toMatch(/^HTTP\/1\.1 40[045] /);
    expect(answer).toContain('"status":"');
    expect(upstream.fake.received.length).toBe(before);
  });
});

describe("query", () => {
  test("?key= lets in, and never goes up", async () => {
    const target = `/v1beta/models/m-query:streamGenerateContent?k%65y=${clientKey}&alt=sse`;
    for (const spelled of [target, target.replace("k%65y", "key")]) {
      const body = JSON.stringify({ contents });
      const answer = await rawExchange(proxy.url, "POST", spelled, [], body);
      expect(answer).toStartWith("HTTP/1.1 200");
    }
    expect(upstream.for("m-query")).toHaveLength(2);
    for (const seen of upstream.for("m-query")) {
      expect(seen.target).toBe("/v1beta/models/m-query:streamGenerateContent?alt=sse");
      expect(seen.header("x-goog-api-key")).toBe(geminiKey);
      expect(JSON.stringify(seen.headers)).not.toContain(clientKey);
    }
  });

  test("?key= alone is a 401 where it is not allowed, in words", async () => {
    const config = { providers: { gemini: { base_url: upstream.url, api_key: geminiKey } } };
    const strict = await startProxy({ config });
    const target = `/v1beta/models/m-strict:generateContent?key=${clientKey}`;
    const answer = await rawExchange(strict.url, "POST", target, [], "{}");
    expect(answer).toStartWith("HTTP/1.1 401");
    expect(answer).toContain('"status":"UNAUTHENTICATED"');
    expect(upstream.for("m-strict")).toEqual([]);
    expect(await strict.stop()).toBe(0);
    expect(strict.stdout() + strict.stderr()).not.toContain(clientKey);
  });

  test("what would hide the usage or change the format stays here", async () => {
    const query = "?fields=candidates&alt=proto&access_token=x&callback=y&$alt=json";
    const more = { "x-goog-fieldmask": "candidates", "x-http-method-override": "DELETE" };
    const answer = await post(
      `/v1beta/models/m-fields:generateContent${query}`,
      { contents },
      more,
    );
    expect(answer.status).toBe(200);
    const [seen] = upstream.for("m-fields");
    expect(seen?.target).toBe("/v1beta/models/m-fields:generateContent");
    expect(seen?.header("x-goog-fieldmask")).toBeUndefined();
    expect(seen?.header("x-http-method-override")).toBeUndefined();
  });

  test("headers that Google reads go up", async () => {
    const more = { "x-goog-api-client": "gl-node/20", "x-goog-request-params": "model=m" };
    await post("/v1beta/models/m-headers:generateContent", { contents }, more);
    const [seen] = upstream.for("m-headers");
    for (const [name, value] of Object.entries(more)) expect(seen?.header(name)).toBe(value);
  });
});

describe("paths that three APIs share", () => {
  const shapes: readonly (readonly [headers: Record<string, string>, shape: string])[] = [
    [{ "x-goog-api-key": clientKey }, "models"],
    [{ authorization: `Bearer ${clientKey}`, "x-goog-api-client": "x" }, "models"],
    [{ authorization: `Bearer ${clientKey}` }, "object,data"],
    [{ "x-api-key": clientKey }, "data,has_more,first_id,last_id"],
    [
      { authorization: `Bearer ${clientKey}`, "anthropic-version": "2023-06-01" },
      "data,has_more,first_id,last_id",
    ],
  ];
  test.each(shapes)("GET /v1/models with %j", async (headers, shape) => {
    const answer = await fetch(`${proxy.url}/v1/models`, { headers, keepalive: false });
    expect(Object.keys((await answer.json()) as object).join()).toBe(shape);
  });

  test("a model that is there, and one that is not", async () => {
    for (const version of ["v1", "v1beta"]) {
      const headers = { "x-goog-api-key": clientKey };
      const there = await fetch(`${proxy.url}/${version}/models/fast`, {
        headers,
        keepalive: false,
      });
      expect(await there.json()).toMatchObject({ name: "models/fast", displayName: "fast" });
      const slashed = `${proxy.url}/${version}/models/org/slashed`;
      expect((await fetch(slashed, { headers, keepalive: false })).status).toBe(200);
      const gone = await fetch(`${proxy.url}/${version}/models/no`, { headers, keepalive: false });
      expect(gone.status).toBe(404);
      expect(await gone.json()).toMatchObject({ error: { code: 404, status: "NOT_FOUND" } });
    }
  });

  const others: readonly (readonly [
    method: string,
    path: string,
    status: number,
    words: string,
  ])[] = [
    ["POST", "/v1beta/models/m:predict", 405, "generateContent, streamGenerateContent"],
    ["POST", "/v1/models/m:predict", 405, "generateContent, streamGenerateContent"],
    ["GET", "/v1beta/models/m:generateContent", 405, "generateContent, streamGenerateContent"],
    ["DELETE", "/v1beta/models/m", 405, "does not take that method"],
    ["POST", "/v1beta/cachedContents", 404, "inlineData"],
    ["POST", "/upload/v1beta/files", 404, "inlineData"],
    ["GET", "/v1beta", 404, "no such endpoint"],
  ];
  test.each(others)("%s %s", async (method, path, status, words) => {
    const headers = { "x-goog-api-key": clientKey };
    const answer = await fetch(proxy.url + path, { method, headers, keepalive: false });
    expect(answer.status).toBe(status);
    const { error } = (await answer.json()) as { error: { code: number; message: string } };
    expect(error).toMatchObject({ code: status, message: expect.stringContaining(words) });
  });
});

test("a 429 of ours says in the body, too, when to try again", async () => {
  const config = { server: { limits: { concurrent_requests: 1 } }, providers: {} };
  const small = await startProxy({ config });
  const target = "/v1beta/models/m:generateContent";
  const held = await openRaw(small.url);
  const head = requestBytes("POST", target, [...key, ["content-length", "9"]], "");
  held.send(head);
  await sleep(100);
  const answer = await rawExchange(small.url, "POST", target, key, JSON.stringify({ contents }));
  expect(answer).toStartWith("HTTP/1.1 503");
  expect(answer).toContain('"retryDelay":"1s"');
  held.close();
  expect(await small.stop()).toBe(0);
});

test("ends with exit code 0, and has logged no key", async () => {
  expect(upstream.fake.received.every((r) => modelOf(r) !== "..")).toBe(true);
  expect(await proxy.stop()).toBe(0);
  const output = proxy.stdout() + proxy.stderr();
  for (const secret of [clientKey, geminiKey, limitedKey]) expect(output).not.toContain(secret);
});
