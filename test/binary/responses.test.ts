import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { rawExchange } from "../harness/raw.ts";
import { always, cutStream, eventsFor, responseEvents, surfaces } from "./surface-replies.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;
let sandbox: RunningProxy;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  const timeout = { first_byte: "2s", idle: "400ms", total: "5s" };
  const { oai, ant } = providersOf(upstream.url);
  proxy = await startProxy({ config: { providers: { oai: { ...oai, timeout }, ant } } });
  sandbox = await startProxy({ config: { providers: { sandbox: {} } } });
  upstream.on("m", surfaces);
});
afterAll(cleanUp);

interface ErrorBody {
  readonly error: { readonly message: string; readonly type: string; readonly code: string };
}

async function errorOf(answer: Response): Promise<ErrorBody["error"]> {
  return ((await answer.json()) as ErrorBody).error;
}

const session = "01a2125f-9f89-7640-8d86-c952f227dd88";
/** As Codex 0.169 sends them. */
const codexHeaders = {
  "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.169.0)",
  originator: "codex_exec",
  version: "0.169.0",
  "session-id": session,
  "thread-id": session,
  "x-client-request-id": session,
  "x-codex-window-id": `${session}:0`,
  "x-codex-beta-features": "remote_compaction_v2",
  "x-codex-turn-metadata": JSON.stringify({ session_id: session, request_kind: "turn" }),
};

describe("Codex:", () => {
  test("its request goes up whole, and its events come down byte for byte", async () => {
    const body = JSON.stringify({
      model: "codex",
      stream: true,
      store: false,
      include: ["reasoning.encrypted_content"],
      input: [
        { type: "message", role: "developer", content: [{ type: "input_text", text: "Be ..." }] },
        { type: "message", role: "user", content: [{ type: "input_text", text: "say hello" }] },
      ],
      tools: [{ type: "function", name: "shell", strict: false, parameters: { type: "object" } }],
      tool_choice: "auto",
      parallel_tool_calls: true,
      prompt_cache_key: session,
    });
    upstream.on("codex", surfaces);
    const headers = { ...codexHeaders, accept: "text/event-stream" };
    const answer = await proxy.post("/v1/responses", body, { headers });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toStartWith("text/event-stream");
    expect(await answer.text()).toBe(responseEvents("codex").join(""));
    const [seen] = upstream.for("codex");
    expect(seen?.target).toBe("/v1/responses");
    expect(seen?.text).toBe(body);
    for (const [name, value] of Object.entries(headers)) expect(seen?.header(name)).toBe(value);
    expect(seen?.header("authorization")).toBe("Bearer upstream-secret-key-1");
  });

  test("its WebSocket gets 426, on which it falls back at once", async () => {
    const answer = await rawExchange(proxy.url, "GET", "/v1/responses", [
      ["Connection", "Upgrade"],
      ["Upgrade", "websocket"],
      ["Sec-WebSocket-Version", "13"],
      ["Sec-WebSocket-Key", "OQmaINWiH08+bXBbqpUUrQ=="],
      ["sec-websocket-extensions", "permessage-deflate; client_max_window_bits"],
      ["openai-beta", "responses_websockets=2026-02-06"],
      ["authorization", `Bearer ${clientKey}`],
      ...Object.entries(codexHeaders),
    ]);
    expect(answer).toStartWith("HTTP/1.1 426 ");
    expect(answer).toContain('"code":"upgrade_required"');
  });

  test("its list of models is the usual one", async () => {
    const answer = await sandbox.get("/v1/models?client_version=0.169.0", {
      headers: codexHeaders,
    });
    expect(answer.status).toBe(200);
    const { data } = (await answer.json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["sandbox-echo"]);
  });
});

describe("what is kept under an id is refused, and it says why:", () => {
  const stored = [
    ["GET", "/v1/responses/resp_1"],
    ["GET", "/v1/responses/resp_1?stream=true&starting_after=4"],
    ["GET", "/v1/responses/resp_1/input_items"],
    ["DELETE", "/v1/responses/resp_1"],
    ["POST", "/v1/responses/resp_1/cancel"],
    ["POST", "/v1/responses/compact"],
  ] as const;
  test.each(stored)("%s %s", async (method, path) => {
    const headers = { authorization: `Bearer ${clientKey}` };
    const answer = await fetch(proxy.url + path, { method, headers, keepalive: false });
    expect(answer.status).toBe(404);
    expect(await errorOf(answer)).toMatchObject({
      type: "invalid_request_error",
      code: "not_found",
      message: expect.stringContaining("Which provider holds a stored response"),
    });
    const before = upstream.received.length;
    const stranger = await fetch(proxy.url + path, { method, keepalive: false });
    expect(stranger.status).toBe(401);
    expect(await stranger.text()).not.toContain("stored response");
    expect(upstream.received.length).toBe(before);
  });

  test.each(["GET", "DELETE", "PUT"])("%s /v1/responses", async (method) => {
    const headers = { authorization: `Bearer ${clientKey}` };
    const answer = await fetch(`${proxy.url}/v1/responses`, { method, headers, keepalive: false });
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe("POST");
    expect(await errorOf(answer)).toMatchObject({ code: "method_not_allowed" });
  });

  test.each([
    [{ background: true }, "`background` must be false or left out"],
    [{ background: true, stream: true }, "`background` must be false or left out"],
  ])("%j", async (more, message) => {
    const asked = { model: "bg", input: "hi", ...more };
    const answer = await proxy.post("/v1/responses", asked);
    expect(answer.status).toBe(400);
    expect((await errorOf(answer)).message).toContain(message);
    expect(upstream.for("bg")).toHaveLength(0);
  });

  test("a call without a model, although the provider may know one", async () => {
    for (const more of [{ prompt: { id: "pmpt_1" } }, { previous_response_id: "resp_1" }]) {
      const answer = await proxy.post("/v1/responses", { input: "hi", ...more });
      expect(answer.status).toBe(400);
      expect((await errorOf(answer)).message).toContain("tells which provider to ask");
    }
  });

  test("a conversation goes on at the provider, which has the last word", async () => {
    const error = { message: "not found", type: "t", param: "previous_response_id", code: "c" };
    upstream.on("prev", always(400, { error }));
    const asked = { model: "prev", input: "hi", previous_response_id: "resp_1" };
    const answer = await proxy.post("/v1/responses", asked);
    expect(answer.status).toBe(400);
    expect(await errorOf(answer)).toEqual(error as never);
    expect(upstream.for("prev").at(-1)?.text).toContain('"previous_response_id":"resp_1"');
  });
});

test("an alias is the only change, on every surface", async () => {
  const models = [{ name: "fast", upstream: "vendor/real" }];
  const { oai } = providersOf(upstream.url);
  const aliased = await startProxy({ config: { providers: { oai: { ...oai, models } } } });
  upstream.on("vendor/real", surfaces);
  const bodies: readonly (readonly [string, string])[] = [
    ["/v1/responses", '{ "input" : "hi", "model":"fast" , "x":1.0}'],
    ["/v1/completions", '{"prompt":["a","b"],"model":"fast"}'],
    ["/v1/embeddings", '{"model":"fast","input":[[1,2]],"encoding_format":"base64"}'],
  ];
  for (const [path, body] of bodies) {
    expect((await aliased.post(path, body)).status).toBe(200);
    const seen = upstream.for("vendor/real").at(-1);
    expect([seen?.path, seen?.text]).toEqual([path, body.replace("fast", "vendor/real")]);
  }
  const listed = await aliased.get("/v1/models");
  expect(((await listed.json()) as { data: unknown[] }).data).toHaveLength(1);
  expect(await aliased.stop()).toBe(0);
});

test("a model of another API names the endpoint that would do", async () => {
  const cases = [
    ["/v1/completions", "ant/m", "(POST /v1/messages)"],
    ["/v1/embeddings", "ant/m", "(POST /v1/messages)"],
  ] as const;
  for (const [path, model, message] of cases) {
    const answer = await proxy.post(path, { model, input: "hi", messages: [] });
    expect(answer.status).toBe(400);
    expect((await errorOf(answer)).message).toContain(message);
  }
});

describe("streams:", () => {
  const read = async (model: string): Promise<string> => {
    const answer = await proxy.post("/v1/responses", { model, input: "hi", stream: true });
    expect(answer.status).toBe(200);
    return answer.text();
  };
  const whole = (model: string): string => responseEvents(model).join("");

  test.each([1, 7, 1000])("in pieces of %d bytes", async (size) => {
    const model = `split-${size}`;
    const script: Script = async (wire, request) => {
      const all = Buffer.from(eventsFor(request).join(""));
      await wire.stream();
      for (let at = 0; at < all.length; at += size) await wire.chunk(all.subarray(at, at + size));
      await wire.endChunks();
    };
    upstream.on(model, script);
    expect(await read(model)).toBe(whole(model));
  });

  test("a last event of 3 MB is the end, and nothing follows it", async () => {
    const image = "A".repeat(3_000_000);
    const events = responseEvents("image");
    const last = events.at(-1)?.replace('"output":[', `"output":[{"result":"${image}"},`) ?? "";
    upstream.on("image", async (wire) => {
      await wire.stream();
      for (const event of [...events.slice(0, -1), last]) await wire.chunk(event);
      await wire.endChunks();
    });
    const text = await read("image");
    expect(text.length).toBe(events.slice(0, -1).join("").length + last.length);
    expect(text.endsWith(last)).toBe(true);
  });

  test("one that is whole but stays open ends well", async () => {
    upstream.on("open", async (wire, request) => {
      await wire.stream();
      for (const event of eventsFor(request)) await wire.chunk(event);
    });
    expect(await read("open")).toBe(whole("open"));
  });

  const broken: readonly (readonly [name: string, script: Script, code: string])[] = [
    ["ends too early", cutStream(1, (wire) => wire.endChunks()), "upstream_truncated"],
    ["falls silent", cutStream(1, () => {}), "upstream_timeout"],
  ];
  test.each(broken)("one that %s fails with the next number", async (name, script, code) => {
    upstream.on(name, script);
    const text = await read(name);
    const events = text
      .split("\n\n")
      .map((block) => /^data: (.*)$/m.exec(block)?.[1])
      .filter((data) => data !== undefined)
      .map((data) => JSON.parse(data));
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual([...events.keys()]);
    expect(events.at(-1)).toMatchObject({
      type: "response.failed",
      response: { status: "failed", error: { code } },
      error: { code },
    });
  });
});

test("all end with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
  expect(await sandbox.stop()).toBe(0);
});
