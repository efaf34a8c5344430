import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import Anthropic0 from "anthropic-sdk-0";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, type Script, startUpstream } from "../harness/fake-upstream.ts";
import {
  clientKey,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { messageReply } from "../harness/replies.ts";
import { always, surfaces } from "./surface-replies.ts";

let upstream: FakeUpstream;
const proxies: Record<string, RunningProxy> = {};

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  proxies.sandbox = await startProxy({
    config: { providers: { sandbox: { models: ["sandbox-echo"] } } },
  });
  proxies.fake = await startProxy({ config: { providers: providersOf(upstream.url) } });
  upstream.on("m", surfaces);
});
afterAll(cleanUp);

const sdks = {
  "anthropic 1": Anthropic,
  "anthropic 0": Anthropic0 as unknown as typeof Anthropic,
};
type Sdk = keyof typeof sdks;
const names = Object.keys(sdks) as Sdk[];

function client(sdk: Sdk, where: string, key = clientKey): Anthropic {
  const baseURL = proxies[where]?.url ?? "";
  return new sdks[sdk]({ baseURL, apiKey: key, maxRetries: 0, logLevel: "off" });
}

async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const messages = [{ role: "user" as const, content: "hello" }];

describe.each(names)("%s: countTokens", (sdk) => {
  test.each([
    ["sandbox", "sandbox-echo", 2],
    ["fake", "m", 2095],
  ])("against %s", async (where, model, expected) => {
    const { input_tokens } = await client(sdk, where).messages.countTokens({ model, messages });
    expect(input_tokens).toBe(expected);
  });

  test("goes up with its query, betas and version, and under the provider's key", async () => {
    const model = `count-${sdk}`;
    upstream.on(model, surfaces);
    await client(sdk, "fake").beta.messages.countTokens({
      model,
      messages,
      betas: ["token-counting-2024-11-01"],
    });
    const [seen] = upstream.for(model);
    expect(seen?.path).toBe("/v1/messages/count_tokens");
    // Version 0 marks its beta calls so.
    expect(seen?.target.endsWith("?beta=true")).toBe(sdk === "anthropic 0");
    expect(seen?.header("anthropic-beta")).toContain("token-counting-2024-11-01");
    expect(seen?.header("anthropic-version")).toBe(
      sdk === "anthropic 0" ? "2023-06-01" : "2026-10-21",
    );
    expect(seen?.header("x-api-key")).toBe("upstream-secret-key-1");
    expect(JSON.stringify(seen?.headers)).not.toContain(clientKey);
  });

  type Case = readonly [name: string, model: string, class_: keyof typeof Anthropic, key: string];
  const cases: readonly Case[] = [
    ["a wrong key", "m", "AuthenticationError", "wrong-key-0123456789"],
    ["no model", "", "BadRequestError", clientKey],
    ["400 of the provider", "c-400", "BadRequestError", clientKey],
    ["404 of the provider", "c-404", "NotFoundError", clientKey],
    ["429 of the provider", "c-429", "RateLimitError", clientKey],
    ["500 of the provider", "c-500", "InternalServerError", clientKey],
    ["529 of the provider", "c-529", "InternalServerError", clientKey],
    ["401 of the provider", "c-401", "InternalServerError", clientKey],
  ];
  beforeAll(() => {
    for (const status of [400, 401, 404, 429, 500, 529]) {
      const body = { type: "error", error: { type: "t", message: `no ${status}` } };
      upstream.on(`c-${status}`, always(status, body, { "retry-after": "7" }));
    }
  });
  test.each(cases)("%s raises the SDK's own class", async (_name, model, class_, key) => {
    const raised = await rejection(
      client(sdk, "fake", key).messages.countTokens({ model, messages }),
    );
    expect(raised).toBeInstanceOf(sdks[sdk][class_] as typeof Anthropic.APIError);
    if (model === "c-429" || model === "c-529") {
      const { headers } = raised as InstanceType<typeof Anthropic.APIError>;
      expect(headers?.get("retry-after")).toBe("7");
    }
  });

  test("an unknown model raises NotFoundError", async () => {
    const asked = client(sdk, "sandbox").messages.countTokens({ model: "nope", messages });
    expect(await rejection(asked)).toBeInstanceOf(sdks[sdk].NotFoundError);
  });
});

describe.each(names)("%s: messages", (sdk) => {
  test("streamed by the helper, against the sandbox", async () => {
    const request = { model: "sandbox-echo", max_tokens: 100, messages };
    const stream = client(sdk, "sandbox").messages.stream(request);
    let text = "";
    stream.on("text", (piece) => {
      text += piece;
    });
    const message = await stream.finalMessage();
    expect(text).toContain("hello");
    expect(message.usage.output_tokens).toBeGreaterThan(5);
  });
});

/** First a call of the tool, then a lost thread for whoever continues one, then an answer. */
function toolTalk(): Script {
  return (wire, request) => {
    const { model = "" } = request.json;
    const { thread, messages: sent } = request.json as {
      thread?: { type: string };
      messages: readonly unknown[];
    };
    const json = { "content-type": "application/json" };
    if (thread?.type === "continue") {
      const details = { error_code: "thread_not_found" };
      const error = { type: "not_found_error", message: "no such thread", details };
      return wire.whole(404, json, JSON.stringify({ type: "error", error, request_id: null }));
    }
    if (sent.length > 1) return wire.whole(200, json, messageReply(model, { text: ["noon"] }));
    const asked = JSON.parse(messageReply(model)) as Record<string, unknown>;
    asked.content = [{ type: "tool_use", id: "toolu_1", name: "now", input: { zone: "UTC" } }];
    asked.stop_reason = "tool_use";
    return wire.whole(200, json, JSON.stringify(asked));
  };
}

describe.each(names)("%s: toolRunner", (sdk) => {
  test("runs a tool; a thread that the provider lost is sent again whole", async () => {
    const model = `tools-${sdk}`;
    upstream.on(model, toolTalk());
    const zones: unknown[] = [];
    const tool = betaTool({
      name: "now",
      description: "the time",
      inputSchema: { type: "object", properties: { zone: { type: "string" } } },
      run: ({ zone }) => {
        zones.push(zone);
        return "12:00";
      },
    });
    const runner = client(sdk, "fake").beta.messages.toolRunner({
      model,
      max_tokens: 100,
      messages: [{ role: "user", content: "What time is it?" }],
      tools: [tool],
    });
    const last = await runner;
    expect(last.content).toMatchObject([{ type: "text", text: "noon" }]);
    expect(zones).toEqual(["UTC"]);
    const sent = upstream
      .for(model)
      .map((r) => r.json as { thread?: unknown; messages: unknown[] });
    expect(sent.at(-1)?.messages).toHaveLength(3);
    const threads = sent.map(({ thread }) => (thread as { type?: string } | undefined)?.type);
    const expected = {
      "anthropic 1": ["create", "continue", "create"],
      "anthropic 0": [undefined, undefined],
    };
    expect(threads).toEqual(expected[sdk] as never);
    if (sdk === "anthropic 1") {
      const [first] = upstream.for(model);
      expect(first?.header("anthropic-beta")).toContain("message-threads-");
    }
  });
});

test("all end with exit code 0", async () => {
  for (const proxy of Object.values(proxies)) expect(await proxy.stop()).toBe(0);
});
