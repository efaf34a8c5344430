import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";

beforeAll(needBinary);
afterAll(cleanUp);

/** Starts a proxy with policies of a source each, in a thread or in the house. */
function start(
  sources: Readonly<Record<string, string>>,
  isolate: string,
  more: object = {},
): Promise<RunningProxy> {
  return startProxy({
    prepare(dir) {
      const folder = join(dir, "policies");
      mkdirSync(folder, { mode: 0o755 });
      for (const [name, source] of Object.entries(sources)) {
        writeFileSync(join(folder, `${name}.ts`), source);
        chmodSync(join(folder, `${name}.ts`), 0o644);
      }
      const settings = Object.keys(sources).map((name) => [name, { isolate }]);
      const config = {
        ...more,
        server: { port: 0 },
        auth: { dir: join(dir, "auths"), api_keys: [{ id: "tester", key: clientKey }] },
        logging: { audit: { enabled: true, file: join(dir, "audit", "audit.log") } },
        policies: { dir: folder, ...Object.fromEntries(settings) },
      };
      writeFileSync(join(dir, "config.yaml"), JSON.stringify(config));
    },
  });
}

const policyOf = (hooks: string, more = "texts: true,"): string => `
import { definePolicy } from "cliproxy/policy";
export const policy = definePolicy({
  summary: "A policy of a test.", stage: "guard", ${more}
  create: () => ({ ${hooks} }),
});
`;

const mask = policyOf(`call(x, call) {
  const texts = call.texts.filter(({ text }) => text.includes("canary"))
    .map(({ index, text }) => ({ index, text: text.replaceAll("canary", "sparrow") }));
  return texts.length === 0 ? "pass" : { edit: { texts } };
}`);
/** Stands behind `mask` by its name: what it sees has been edited. */
const watch = policyOf(`call(x, call) {
  if (call.texts.some(({ text }) => text.includes("canary"))) return { deny: "not_allowed" };
  return "pass";
}`);

interface Call {
  readonly path: string;
  readonly body: object;
}
const model = "sandbox-echo";
const gemini = "/v1beta/models/sandbox-echo";
const contents = [{ role: "user", parts: [{ text: "a canary" }] }];
const messages = [{ role: "user", content: "a canary" }];

const calls = (stream: boolean): Readonly<Record<string, Call>> => ({
  "openai-chat": { path: "/v1/chat/completions", body: { model, stream, messages } },
  "openai-responses": { path: "/v1/responses", body: { model, stream, input: "a canary" } },
  "anthropic-messages": {
    path: "/v1/messages",
    body: { model, stream, max_tokens: 50, messages },
  },
  gemini: {
    path: stream ? `${gemini}:streamGenerateContent?alt=sse` : `${gemini}:generateContent`,
    body: { contents },
  },
});

describe.each(["worker", "none"])("texts with isolate: %s", (isolate) => {
  test("are edited in every dialect, and later policies see it", async () => {
    const proxy = await start({ mask, watch }, isolate);
    for (const stream of [false, true]) {
      for (const [dialect, { path, body }] of Object.entries(calls(stream))) {
        const answer = await proxy.post(path, body);
        const text = await answer.text();
        expect({ dialect, status: answer.status, text }).toMatchObject({ dialect, status: 200 });
        expect(text).toContain("sparrow");
        expect(text).not.toContain("canary");
      }
    }
    expect(await proxy.stop()).toBe(0);
  });

  test("model and parameters are edited, and what is no parameter is a fault", async () => {
    const edit = policyOf(
      `call(x, call) {
        if (call.model === "old") return { edit: { model: "sandbox-new" } };
        if (call.maxTokens === 999) return { edit: { parameters: { max_tokens: 5 } } };
        if (call.maxTokens === 998) return { edit: { parameters: { messages: [] } } };
        return "pass";
      }`,
      "",
    );
    const limit = policyOf(
      'call: (x, call) => (call.maxTokens > 100 ? { deny: "not_allowed" } : "pass")',
      "",
    );
    const proxy = await start({ edit, limit }, isolate);
    const status = async (body: object): Promise<number> => {
      const answer = await proxy.post("/v1/chat/completions", { messages, ...body });
      await answer.text();
      return answer.status;
    };
    expect(await status({ model: "old" })).toBe(200);
    expect(await status({ model, max_tokens: 999 })).toBe(200);
    expect(await status({ model, max_tokens: 998 })).toBe(503);
    expect(await status({ model, max_tokens: 997 })).toBe(403);
    const answers = [
      await proxy.post("/v1/chat/completions", { model: "old", messages }),
      await proxy.post("/v1beta/models/old:generateContent", { contents }),
    ];
    for (const answer of answers) expect(await answer.text()).toContain('"sandbox-new"');
    expect(await proxy.stop()).toBe(0);
  });

  test("a policy answers itself, in every dialect, and what can't be told so is a fault", async () => {
    const own = policyOf('call: () => ({ answer: { text: "a wren" } })', "");
    const proxy = await start({ own }, isolate);
    for (const stream of [false, true]) {
      for (const [dialect, { path, body }] of Object.entries(calls(stream))) {
        const answer = await proxy.post(path, body);
        const type = answer.headers.get("content-type");
        const text = await answer.text();
        expect({ dialect, status: answer.status, text }).toMatchObject({ dialect, status: 200 });
        expect(type).toBe(stream ? "text/event-stream" : "application/json");
        expect(text).toContain("a wren");
        if (!stream) expect(JSON.stringify(JSON.parse(text))).not.toContain("canary");
        else
          expect(
            text.split("\n").filter((line) => line.startsWith("data:")).length,
          ).toBeGreaterThan(0);
      }
    }
    const embed = { model, input: "a canary" };
    expect((await proxy.post("/v1/embeddings", embed)).status).toBe(503);
    await proxy.stop();
    const log = readFileSync(join(proxy.dir, "audit", "audit.log"), "utf8");
    expect(log).toContain('"policy":"own"');
  });

  test("headers are set and removed on the way to the provider, but for those of its own", async () => {
    const upstream = await startUpstream();
    const set = policyOf(
      `request: (x) => x.header("x-bad") === null ? "pass"
        : { edit: { headers: { [x.header("x-bad")]: "mine" } } },
      call: () => ({ edit: { headers: { "X-Team": "blue", "x-tag": null } } })`,
      "",
    );
    const proxy = await start({ set }, isolate, { providers: providersOf(upstream.url) });
    const send = (headers: Record<string, string>): Promise<Response> =>
      proxy.post("/v1/chat/completions", { model: "gpt-5", messages }, { headers });
    const answer = await send({ "x-tag": "red" });
    expect(answer.status).toBe(200);
    await answer.text();
    const received = upstream.received.at(-1);
    expect(received?.header("x-team")).toBe("blue");
    expect(received?.header("x-tag")).toBe(undefined);
    const asked = upstream.received.length;
    for (const name of ["authorization", "Connection", "x-api-key", "cookie", "content-length"]) {
      const refused = await send({ "x-bad": name });
      expect({ name, status: refused.status }).toEqual({ name, status: 503 });
    }
    expect(upstream.received.length).toBe(asked);
    expect(await proxy.stop()).toBe(0);
    await upstream.close();
  });

  test("that were not asked for are a fault to read; keys given twice are refused", async () => {
    const proxy = await start({ mask: mask.replace("texts: true,", "") }, isolate);
    const path = "/v1/chat/completions";
    expect((await proxy.post(path, { model, messages })).status).toBe(503);
    expect(await proxy.stop()).toBe(0);
    const other = await start({ watch }, isolate);
    const twice = `{"model":"${model}","messages":[{"role":"user","content":"canary","content":"a"}]}`;
    const answer = await fetch(`${other.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${clientKey}`, "content-type": "application/json" },
      body: twice,
    });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("twice");
    expect(await other.stop()).toBe(0);
  });
});
